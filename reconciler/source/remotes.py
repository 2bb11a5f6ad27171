"""What remotes hold, and what we bring from them and to them; our tracking refs follow."""

from collections.abc import Mapping, Sequence

from reconciler.errors import CommitError, SourceError
from reconciler.source.address import RepositoryAddress, branch_name
from reconciler.source.clone import clear_stale_locks
from reconciler.source.git_process import Finished, GitProcess, other_side
from reconciler.source.git_text import read_push_result, read_remote_refs
from reconciler.source.local import clear_stale_ref_locks
from reconciler.source.own_refs import OwnRefs
from reconciler.source.records import RefResult, RefRule, RefUpdate, Remote, RemoteRefs
from reconciler.source.ref_files import remote_refs

HEAD = "HEAD-commit"
"""The tracking ref of what a remote's HEAD names."""
_MAX_REFS_A_CALL = 500
_MAX_REFS = 50_000
"""Each that we follow is a file of ours; who asks for branches and tags means to review them."""
_MAX_REFS_BYTES = 32 * 1024 * 1024
_FETCH_TRIES = 20
"""Each loses only to another handle of our clone, which brought the same refs."""
_PUSH = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")


class _Changing(SourceError):
    """What a remote has is not what it had a moment before."""


class Remotes:
    """The remotes of one clone; `state` is where the state branch is read."""

    def __init__(self, git: GitProcess, refs: OwnRefs, state: Remote) -> None:
        self._git = git
        self._refs = refs
        self._state = state
        self._head: str | None = None

    def look(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Ask a remote which of `refs` (full names; a trailing `*` is allowed) it has, without fetching."""
        where = remote.address
        found = None if where.path is None else remote_refs(where.path, refs)
        if found is not None:
            return found
        asked = (
            "ls-remote",
            "--symref",
            *other_side(where, "upload-pack"),
            "--end-of-options",
            where.shown,
            "HEAD",
            *refs,
        )
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login, most=_MAX_REFS_BYTES)
        if finished.status != 0:
            raise SourceError(f"{where.shown} cannot be read: {_without(where, finished.complaint)}")
        if finished.stdout.count(b"\n") > _MAX_REFS:
            raise SourceError(f"{where.shown} has more than {_MAX_REFS} branches and tags; remove some")
        found = read_remote_refs(finished.stdout)
        return RemoteRefs(
            head_branch=found.head_branch,
            head=found.head,
            ids={ref: value for ref, value in found.ids.items() if _asked_for(ref, refs)},
        )

    def fetch(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Bring our tracking refs of `remote` to what it has: moved, added, and removed where it has them no more.

        HEAD's commit comes along. Where nothing changed, one question is all that is asked.
        """
        tries = _FETCH_TRIES
        while True:
            seen = self.look(remote, refs)
            known = self._tracked(remote)
            try:
                self._follow(remote, refs, seen, known)
            except (SourceError, CommitError) as exc:
                tries -= 1
                # Another handle of our clone may have moved the same ones meanwhile.
                if not tries or not (isinstance(exc, _Changing) or self._tracked(remote) != known):
                    raise
            else:
                return seen

    def _tracked(self, remote: Remote) -> Mapping[str, str]:
        self._refs.look_again()
        return self._refs.below(remote.tracking("refs/"))

    def _follow(self, remote: Remote, refs: Sequence[str], seen: RemoteRefs, known: Mapping[str, str]) -> None:
        """Bring what was seen there and is not as it was known here."""
        wanted = {remote.tracking(ref): (ref, value) for ref, value in seen.ids.items()}
        if seen.head is not None and remote.name == self._state.name:
            wanted[remote.tracking(HEAD)] = ("HEAD", seen.head)
            if seen.head_branch is not None:
                branch = f"refs/heads/{branch_name(seen.head_branch)}"
                wanted[remote.tracking(branch)] = (branch, seen.head)
        prefix = remote.tracking("refs/")
        gone = {
            name: value
            for name, value in known.items()
            if name not in wanted and (name == prefix + HEAD or _asked_for("refs/" + name.removeprefix(prefix), refs))
        }
        if gone:
            if self.look(remote, refs) != seen:
                raise _Changing(
                    f"{remote.address.shown} is being changed"
                )  # maybe by another handle of ours, which brought that
            self._refs.update({name: (value, None) for name, value in gone.items()})
        moved = [f"+{ref}:{name}" for name, (ref, value) in wanted.items() if known.get(name) != value]
        for start in range(0, len(moved), _MAX_REFS_A_CALL):
            self.bring(remote.address, moved[start : start + _MAX_REFS_A_CALL])
        if moved:
            self._refs.look_again()
        if remote.name == self._state.name:
            self._remember_head(seen)

    def bring(self, where: RepositoryAddress, refspecs: Sequence[str]) -> None:
        """Fetch what refspecs say, commits by their ids among them. Raises SourceError."""
        options = [
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
        ]
        options += ["--update-shallow"] if where.is_local else []
        asked = ("fetch", *options, *other_side(where, "upload-pack"), "--end-of-options", where.shown, *refspecs)
        finished = self._fetched(where, asked)
        if finished.status != 0 and any(name.endswith(".lock") for name in clear_stale_locks(self._git)):
            finished = self._fetched(where, asked)
        if finished.status != 0:
            clear_stale_locks(self._git)
            raise SourceError(f"{where.shown} cannot be fetched: {_without(where, finished.complaint)}")

    def _fetched(self, where: RepositoryAddress, asked: Sequence[str]) -> Finished:
        """Run one fetch; a git that was ended leaves the pack it was writing, gigabytes each time: it is removed."""
        try:
            return self._git.run(*asked, limit=self._git.options.network, login=where.login)
        except SourceError:
            clear_stale_locks(self._git)
            raise

    def _remember_head(self, seen: RemoteRefs) -> None:
        head = self._state.tracking("HEAD")
        if seen.head_branch is not None and seen.head_branch != self._head:
            self._head = seen.head_branch
            self._git.ask("symbolic-ref", head, self._state.tracking(f"refs/heads/{branch_name(seen.head_branch)}"))

    def push(
        self, remote: Remote, updates: Sequence[RefUpdate], also: Mapping[str, str] | None = None
    ) -> tuple[RefResult, ...]:
        """Move refs of a remote, each by its own rule; what it refused is in the results, only no answer is an error.

        Our tracking refs follow what it took, and with them those that `also` names: its ref -> another one of ours.
        """
        where = remote.address
        leases = [
            f"--force-with-lease={update.ref}:{update.expected or ''}"
            for update in updates
            if update.rule is RefRule.COMPARE_AND_SWAP
        ]
        specs = [f"{update.new}:{update.ref}" for update in updates]
        # Whether a local remote should be packed is asked after one push of sixteen: it costs a process, and is seldom so.
        seldom = () if any(update.new.startswith("0") for update in updates) else ("receive.autogc=false",)
        far = other_side(where, "receive-pack", *seldom)
        asked = ("push", *_PUSH, *leases, *far, "--end-of-options", where.shown, *specs)
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login)
        complaint = _without(where, finished.complaint)
        if finished.status != 0 and not finished.stdout.startswith(b"To "):
            raise CommitError(f"{where.shown} cannot be pushed to: {complaint}")
        results = read_push_result(finished.stdout, updates, complaint)
        clear_stale_ref_locks(where, (result.ref for result in results if not result.accepted))
        followers = also or {}
        self._refs.update(
            {
                name: (None, update.new)
                for update, result in zip(updates, results, strict=True)
                for name in (remote.tracking(update.ref), followers.get(update.ref))
                if result.accepted and name is not None
            },
            checked=False,
        )
        return results

    def would_take(self, remote: Remote, update: RefUpdate) -> bool:
        """Tell whether a remote would take a push, as far as it says before anything is pushed; nothing is."""
        where = remote.address
        spec = f"{update.new}:{update.ref}"
        asked = ("push", "--dry-run", *_PUSH, *other_side(where, "receive-pack"), "--end-of-options", where.shown, spec)
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login)
        return finished.status == 0 and read_push_result(finished.stdout, (update,), "")[0].accepted


def _asked_for(ref: str, asked: Sequence[str]) -> bool:
    return any(ref == name or (name.endswith("*") and ref.startswith(name[:-1])) for name in asked)


def _without(address: RepositoryAddress, complaint: str) -> str:
    return complaint.replace(address.text, address.shown)
