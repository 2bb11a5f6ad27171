"""What one management host can tell of one state repository from git and from what it kept itself; asks no node.

Quick to load, so that a question that git answers does not wait for what talks to nodes.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from reconciler.commit.lease import holder_name
from reconciler.commit.places import Places, find_places
from reconciler.daemon.branches import Branches, believed_reporters
from reconciler.daemon.clone_health import CloneHealth
from reconciler.daemon.contents import Contents
from reconciler.daemon.offline import OfflinePlans, Planned
from reconciler.daemon.own_repository import open_repository
from reconciler.daemon.passing import limited
from reconciler.daemon.patch_files import PatchFiles
from reconciler.daemon.pause_file import PauseFile
from reconciler.daemon.push_rights import PushRights
from reconciler.daemon.replay import Replays
from reconciler.ids import NodeId
from reconciler.plan.difference import PlanDifference
from reconciler.plan.ground import Ground
from reconciler.plan.notes import waiting_windows
from reconciler.settings import HostSettings
from reconciler.source.git_process import GitOptions
from reconciler.source.repository import Repository


class RepositoryView:
    """One host, one repository, one state folder: what is in force, what was reported, what would be planned. For one thread."""

    def __init__(
        self,
        repo: str | Repository,
        *,
        settings: HostSettings,
        state_dir: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.state_dir = state_dir
        self.clock = clock
        self.holder = holder_name(socket.gethostname(), state_dir)
        """Who this host is in leases and heartbeats."""
        self.repository = repo if isinstance(repo, Repository) else open_repository(repo, settings, state_dir)
        self.clone = CloneHealth(self.repository)
        self._settings = settings
        self._reporters = believed_reporters(settings)
        self.branches = Branches(self.repository, settings, clock, self._reporters, self.clone)
        self.contents = Contents(state_dir / "content", settings, self.repository.read_file, clock)
        self.patch_files = PatchFiles(state_dir / "patch-files", settings)
        self.pauses = PauseFile(folder=state_dir)
        self.rights = PushRights(repository=self.repository, folder=state_dir, silenced=settings.may_push_state)
        self.replays = Replays(state_dir / "plans")
        self._offline = OfflinePlans(
            self.repository, self.branches.read_state, self.branches.narrowed, self.contents.recalled
        )

    @contextmanager
    def beside(self) -> Iterator[tuple[Repository, Branches, Contents]]:
        """Open the repository once more for another thread, as another process would."""
        options = GitOptions(signing_key=self._settings.signing_key)
        with Repository.open(self.repository.address, state_dir=self.state_dir, options=options) as repository:
            branches = Branches(
                repository,
                self._settings,
                self.clock,
                self._reporters,
                CloneHealth(repository),
                known=self.branches.known,
            )
            contents = Contents(self.state_dir / "content", self._settings, repository.read_file, self.clock)
            with closing(contents):
                yield repository, branches, contents

    @property
    def shown_address(self) -> str:
        """The repository, without credentials."""
        return self.repository.address.shown

    @property
    def outputs(self) -> Path:
        """Where full outputs of runs are kept."""
        return self.state_dir / "runs"

    def limited(self, limit: tuple[str, ...]) -> tuple[NodeId, ...]:
        """Give the nodes that `--limit` means. Raises UsageError where it means none."""
        base, _ = self.branches.in_force()
        return limited(base, limit)

    def plan_committed(self, *, limit: tuple[str, ...], inventory: str, at: datetime | None = None) -> Planned:
        """Plan from the facts of a commit of the compliance branch, or make the plan of an earlier pass again."""
        self.branches.read_ahead()
        base, accepted = self.branches.in_force()
        nodes = limited(base, limit)
        self.branches.look(base.desired)
        kept = self.replays.find(inventory)
        if kept is not None:
            return self._offline.again(kept, at)
        commit = self.branches.commit_of(inventory)
        branch = self.branches.committed_at(commit) or self._offline.branch_at(commit)
        return self._offline.plan(base, branch, nodes, at or self.clock(), accepted.allow_shrink)

    def plan_difference(self, base_rev: str, head_rev: str, *, at: datetime | None) -> PlanDifference:
        """Tell what a change does, from committed facts: plans both revisions and compares. Raises DesiredStateError."""
        branch = self.branches.committed()
        self.repository.fetch_everything()
        return self._offline.difference(base_rev, head_rev, branch, at or self.clock())

    def warnings(self, base: Ground, places: Places | None = None) -> tuple[str, ...]:
        """Give what should be otherwise with the key that pushes reports, as found last, and what git asks for in vain."""
        places = places or find_places(self.repository, base.desired.fleet.reports_remote)
        branch = self.branches.state_branch(base) if self.rights.concern(places) else None
        rights = () if branch is None else self.rights.warnings(places, branch)
        return (*rights, *waiting_windows(base.desired))

    def close(self) -> None:
        """Let go of downloads and the clone."""
        self.contents.close()
        self.patch_files.close()
        self.repository.close()
