"""Both branches of one repository as this host sees them: what is in force, and what was reported."""

import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.commands.record import ROOT as COMMANDS
from reconciler.commit.branch import ReportsBranch, Standing, read_branch
from reconciler.commit.heartbeat import Heartbeat, NoHeartbeat, look_at_heartbeat
from reconciler.commit.own_writes import OwnWrites
from reconciler.commit.places import find_places
from reconciler.compliance.paths import LEDGERS
from reconciler.compliance.read import Branch, read_branch_files
from reconciler.daemon.accepting import Accepted, ReadCommit, StateBranch, document_paths
from reconciler.daemon.clone_health import CloneHealth
from reconciler.daemon.ledger_follower import LedgerFollower
from reconciler.daemon.own_repository import read_reports_ahead
from reconciler.daemon.reports import Reports
from reconciler.errors import DesiredStateError, SourceError, UsageError
from reconciler.ids import CommitId, DocumentName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.node import Mode, Transport
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.document_versions import with_earlier
from reconciler.model.reading.patch_sources import with_allowed
from reconciler.model.signer import Signer
from reconciler.patching.ledger import Ledger
from reconciler.plan.ground import Ground, ground
from reconciler.problem import Problem
from reconciler.settings import HostSettings
from reconciler.source.records import CommitRecord, Person
from reconciler.source.repository import Repository
from reconciler.source.signature import own_signer
from reconciler.source.trust import trusted

ACCEPTED_REF = "refs/accepted/state"
"""In our own clone: the last commit this host accepted, for the time the compliance branch cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one handle of a clone has read of both branches: records, which another thread's may go on from."""

    own: OwnWrites = field(default_factory=OwnWrites)
    ground: Ground | None = None
    state: ReadCommit | None = None
    reports: Reports | None = None
    """Its branch belongs to that handle, and is not used by others."""
    ledger: tuple[CommitId | None, Ledger] | None = None


class Branches:
    """The state branch and the compliance branch; each is read anew only where it moved. For one thread."""

    def __init__(
        self,
        repository: Repository,
        settings: HostSettings,
        clock: Callable[[], datetime],
        reporters: tuple[Signer, ...] = (),
        clone: CloneHealth | None = None,
        known: Known | None = None,
    ) -> None:
        """Follow both branches; `known` is what another handle of this process has read of them."""
        known = known or Known()
        self._repository = repository
        self._clone = clone or CloneHealth(repository)
        self._settings = settings
        self._clock = clock
        self._state = StateBranch(repository, settings, clock, known.state)
        self._reporters = reporters
        self._rewind: CommitId | None = None
        self._ledger = LedgerFollower(repository, known.ledger)
        self._ground = known.ground
        self._own = known.own
        self._others = known.reports
        self._reports: Reports | None = None

    @property
    def known(self) -> Known:
        """What this has read so far; from any thread."""
        return Known(
            own=self._own,
            ground=self._ground,
            state=self._state.last_read,
            reports=self._reports,
            ledger=self._ledger.known,
        )

    # The state branch

    @property
    def known_ground(self) -> Ground | None:
        """What was in force when we last looked."""
        return self._ground

    def in_force(self, accept_rewind: str | None = None) -> tuple[Ground, Accepted]:
        """Fetch and decide what is in force. Raises DesiredStateError or SourceError where nothing is.

        Where that is our own clone's fault, it is made anew: every command begins here.
        """
        try:
            return self._clone.kept_sound(lambda: self._in_force(accept_rewind))
        except BaseException:
            self._repository.end_reading_ahead()
            raise

    def _in_force(self, accept_rewind: str | None) -> tuple[Ground, Accepted]:
        known = self._repository.ref(ACCEPTED_REF)
        self._rewind = None if accept_rewind is None else CommitId(accept_rewind)
        accepted = self._state.look(
            None if known is None else CommitId(known),
            accept_rewind=self._rewind,
            received=known is not None,
        )
        if accepted.desired is None:
            if accepted.refused:
                raise DesiredStateError(accepted.refused)
            raise SourceError("; ".join(accepted.problems))
        return self._ground_of(accepted.desired), accepted

    def last_accepted(self) -> DesiredState | None:
        """Give the state this host accepted last, from our own clone; asks nobody. None: there is none yet."""
        known = self._repository.ref(ACCEPTED_REF)
        return None if known is None else self._state.read(CommitId(known))[0]

    def read_state(self, commit: CommitId) -> tuple[DesiredState | None, tuple[Problem, ...]]:
        """Read the state at one commit: None with every mistake where it does not validate."""
        return self._state.read(commit)

    def with_numbers(self, desired: DesiredState, name: str) -> DesiredState:
        """Give the state with the versions that a document of one file had: for who names one by its number.

        Raises SourceError where the history is not whole.
        """
        found = desired.documents.get(DocumentName(name))
        if found is None or desired.commit is None or len(found.versions) > 1:
            return desired
        (document,) = found.versions.values()
        earlier = self._repository.earlier_contents(desired.commit, document_paths([name])).get(name)
        if not earlier:
            return desired  # a folder of versions, or a bundled one
        versions = with_earlier(found, earlier, document.text, read_document_file)
        return replace(desired, documents={**desired.documents, found.name: versions})

    def accept(self, commit: CommitId) -> None:
        """Remember a commit as accepted: a pass was made by it."""
        self._repository.update_refs({ACCEPTED_REF: (None, commit)}, checked=False)

    def agree(self, reports: Reports, accepted: Accepted, base: Ground) -> tuple[Reports, Accepted, Ground]:
        """Hold what we accepted against what the fleet's history says was accepted last: it may know of a later commit.

        Then that one decides what is a rewind, whose signature counts and which trailers are new, as on the host that
        accepted it. Where we accepted something ourselves, only a descendant of it is later.
        """
        remembered = reports.read.history.state_commit
        if reports.standing.lost is not None:
            return reports, accepted, base  # a history that is not believed says nothing of what was accepted either
        ours = self._repository.ref(ACCEPTED_REF)
        if remembered is None or remembered == ours or not self._is_later(remembered, ours):
            return reports, accepted, base
        if remembered == base.desired.commit:
            return reports, replace(accepted, allow_shrink=frozenset()), base  # what it allows has been made use of
        received = ours is not None and self._state.vouches(CommitId(ours), remembered)
        again = self._state.look(remembered, accept_rewind=self._rewind, received=received)
        if again.desired is None:
            raise SourceError("; ".join(again.problems))
        base = self._ground_of(again.desired)
        return self.look(base.desired), again, base

    def _is_later(self, remembered: CommitId, ours: str | None) -> bool:
        if ours is None:
            return True
        return self._repository.has_commit(remembered) and self._repository.is_ancestor(CommitId(ours), remembered)

    def _ground_of(self, desired: DesiredState) -> Ground:
        if self._ground is None or self._ground.desired.commit != desired.commit:
            self._ground = self._without_local_checks(ground(self.narrowed(desired), self._ground))
        return self._ground

    def _without_local_checks(self, base: Ground) -> Ground:
        """Ask no `Checks` of this host: they are programs of the repository's, and a pull request may bring a local node."""
        nodes = base.desired.nodes
        if self._settings.local_changes or all(node.transport is not Transport.LOCAL for node in nodes.values()):
            return base
        asked = {
            name: replace(questions, checks=()) if nodes[name].transport is Transport.LOCAL else questions
            for name, questions in base.questions.items()
        }
        return replace(base, questions=asked)

    def narrowed(self, desired: DesiredState) -> DesiredState:
        """Give what of a commit this host lets be: local nodes only observe, and insecure sources are used where its settings allow it."""
        desired = self._with_allowed_sources(desired)
        if self._settings.local_changes:
            return desired
        nodes = {
            name: replace(node, mode=Mode.OBSERVE) if node.transport is Transport.LOCAL else node
            for name, node in desired.nodes.items()
        }
        return replace(desired, nodes=nodes)

    def _with_allowed_sources(self, desired: DesiredState) -> DesiredState:
        allowed = self._settings.insecure_patch_sources
        if not allowed:
            return desired
        baselines = {
            name: replace(one, sources=tuple(with_allowed(source, allowed) for source in one.sources))
            for name, one in desired.baselines.items()
        }
        return replace(desired, baselines=baselines)

    def state_branch(self, base: Ground) -> str | None:
        """Name the branch that comes into force here; None: the remote's HEAD names none."""
        return self._settings.branch or base.desired.fleet.branch or self._repository.head_branch()

    # The compliance branch

    def read_ahead(self) -> None:
        """Begin to read the reports where they never were: whoever reads the state first asks for them right after it."""
        if self._reports is None:
            read_reports_ahead(self._repository)

    def _looked(self) -> Reports:
        self.read_ahead()
        base, _ = self.in_force()
        return self.look(base.desired)

    def look(self, desired: DesiredState) -> Reports:
        """Fetch the compliance branch, and read it where it moved; our own clone is made anew where it broke."""
        return self._clone.kept_sound(lambda: self._look(desired))

    def _look(self, desired: DesiredState) -> Reports:
        places = find_places(self._repository, desired.fleet.reports_remote)
        known = self._reports
        if known is None or known.branch.branch != desired.fleet.reports_branch or known.branch.places != places:
            branch = self._reports_branch(desired)
            known = self._of_others(branch)
        else:
            branch = known.branch
        standing = branch.look()
        if known is not None and known.read.history.commit == standing.tip and known.standing.lost == standing.lost:
            read = known.read
        else:
            read = self._brought_forward(known, standing) or self._read_anew(standing)
        forgotten = () if known is None else known.forgotten
        self._reports = Reports(branch=branch, standing=standing, read=read, forgotten=forgotten)
        return self._reports

    def _of_others(self, branch: ReportsBranch) -> Reports | None:
        """Give what another handle of this process has read of the same branch."""
        others, self._others = self._others, None
        if others is None or others.branch.begins_anew:
            return None
        if (others.branch.branch, others.branch.places) != (branch.branch, branch.places):
            return None
        return Reports(branch=branch, standing=others.standing, read=others.read)

    def _brought_forward(self, known: Reports | None, standing: Standing) -> Branch | None:
        """Give what was read, where records of commands, by this process, are all that came to it: nobody reads those from it."""
        if known is None or known.standing.lost is not None or standing.lost is not None:
            return None
        before, tip = known.read.history.commit, standing.tip
        written = None if before is None or tip is None else self._own.since(before, tip)
        if not written or not all(write.is_below(COMMANDS) for write in written):
            return None
        return replace(known.read, history=replace(known.read.history, commit=tip), committed_at=written[0].when)

    def _read_anew(self, standing: Standing) -> Branch:
        read = self._read_reports(standing)
        if standing.lost is None and standing.tip is not None:
            read = self._ledger.followed(read, standing.tip)
        return read

    def _read_reports(self, standing: Standing) -> Branch:
        if standing.tip is None:
            return Branch(history=History(lost=standing.lost))
        try:
            with closing(read_branch(self._repository, standing.tip)) as files:
                read = read_branch_files(files, standing.tip)
            read = replace(read, committed_at=self._repository.commit_record(standing.tip).committed)
        except SourceError:
            if standing.lost is None:
                raise
            read = Branch(history=History(commit=standing.tip))
        return read if standing.lost is None else replace(read, history=replace(read.history, lost=standing.lost))

    def begin_history_anew(self, accepted: Accepted, base: Ground) -> tuple[Accepted, Ground]:
        """Leave the reports as they were out; which commit they knew was accepted still counts, if they can be read.

        They are forgotten once the rebuilt report is written.
        """
        try:
            reports = self.look(base.desired)
        except SourceError:
            pass
        else:
            _, accepted, base = self.agree(reports, accepted, base)
        branch = self._reports_branch(base.desired)
        branch.start_anew(self._clock())
        standing = branch.look()
        there = () if standing.tip is None else tuple(self._repository.blob_ids(standing.tip))
        self._reports = Reports(
            branch=branch,
            standing=standing,
            read=self._only_the_ledger(standing),
            forgotten=tuple(path for path in there if path.startswith(("nodes/", "inventory/"))),
        )
        return accepted, base

    def give_up_beginning_anew(self) -> None:
        """Go by the reports as they are again, where a new history was asked for and nothing was written of it."""
        if self._reports is not None and self._reports.branch.begins_anew:
            self._reports = None

    def _only_the_ledger(self, standing: Standing) -> Branch:
        """Give what a person's word leaves of the reports: when versions were first seen is no matter of any node's history."""
        if standing.tip is None:
            return Branch(history=History())
        with closing(read_branch(self._repository, standing.tip, (LEDGERS,))) as files:
            ledger = read_branch_files(files, standing.tip).ledger
        at = self._repository.commit_record(standing.tip).committed
        read = Branch(history=History(commit=standing.tip), ledger=ledger, committed_at=at)
        return self._ledger.followed(read, standing.tip)

    def _reports_branch(self, desired: DesiredState) -> ReportsBranch:
        return ReportsBranch(
            repository=self._repository,
            places=find_places(self._repository, desired.fleet.reports_remote),
            branch=desired.fleet.reports_branch,
            person=Person(email=f"reconciler@{socket.gethostname()}"),
            why_not=self._why_not_believed if self._reporters else None,
            own=self._own,
        )

    def _why_not_believed(self, commit: CommitId) -> str | None:
        found = self._repository.signature(commit, trusted(self._reporters, (), self._clock()))
        return None if found.signer is not None else f"{found.reason} (host settings, SigningKey and ReportSigners)"

    def committed(self) -> Branch:
        """Give the compliance branch, read as it is now."""
        return self._looked().read

    def committed_at(self, commit: CommitId) -> Branch | None:
        """Give the compliance branch at a commit, if it is the one that was read last."""
        known = self._reports
        if known is None or known.read.history.commit != commit or known.read.history.lost is not None:
            return None
        return known.read

    def facts_of(self, node: NodeId) -> Facts:
        """Give one node's committed facts. Raises UsageError for a node nobody reported."""
        facts: Mapping[NodeId, Facts] = self.committed().facts
        if node not in facts:
            raise UsageError(f"no facts of a node {node!r} are committed; `reconciler nodes` lists the nodes")
        return facts[node]

    def page(self) -> str | None:
        """Give the report's page as committed."""
        tip = self._looked().standing.tip
        content = None if tip is None else self._repository.read_file(tip, "README.md")
        return None if content is None else content.decode("utf-8", "replace")

    def heartbeat(self) -> Heartbeat | NoHeartbeat:
        """Give the heartbeat as it stands at its home, or what stands in its place."""
        return look_at_heartbeat(self._repository, self._looked().branch.places.home)

    def reported_commits(self) -> tuple[CommitRecord, ...]:
        """Give the commits of the compliance branch, oldest first."""
        tip = self._looked().standing.tip
        return () if tip is None else self._repository.commits_between(None, tip)

    def commit_of(self, revision: str) -> CommitId:
        """Give the commit a revision means; the reports' branch by its own name."""
        if self._reports is not None and revision == self._reports.branch.branch and self._reports.standing.tip:
            return self._reports.standing.tip
        self._repository.fetch_everything()
        return self._repository.resolve(revision)


def believed_reporters(settings: HostSettings) -> tuple[Signer, ...]:
    """Give whose signed reports count; none: signatures of reports are not asked for. Raises SettingsError."""
    own = () if settings.signing_key is None else (own_signer(settings.signing_key),)
    return (*own, *settings.report_signers)
