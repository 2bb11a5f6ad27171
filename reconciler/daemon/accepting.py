"""Which commit of the state repository is in force, and what it says: the last good one, whatever happens to the branch."""

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.bundled import bundled_files
from reconciler.errors import SourceError
from reconciler.ids import AssociationName, CommitId
from reconciler.model.desired import DesiredState
from reconciler.model.read_state import Readings, read_state
from reconciler.model.signer import Signer
from reconciler.problem import Gravity, Problem
from reconciler.schedule.association import association_lints, parse_association_schedule
from reconciler.schedule.error import ScheduleError
from reconciler.settings import HostSettings
from reconciler.source.accept import Acceptance, Candidate, InForce, accept
from reconciler.source.local import earlier_in_checkout
from reconciler.source.records import CommitRecord, ReadLimits
from reconciler.source.repository import Repository
from reconciler.source.signature_tools import Signature
from reconciler.source.snapshot import STATE_ROOTS, is_left_alone, name_problem
from reconciler.source.trust import Trust, trusted
from reconciler.transport.known_hosts import parse as parse_known_hosts

SHRINK_TRAILER = "Allow-Shrink:"
_MOST_TRAILERS = 50
"""Signatures that are judged for trailers' sake: each costs two processes, and a hostile push has thousands."""
_SIGN_AGAIN = "have the head of the branch signed by one of the TrustedSigners of this host"
_LIMITS = ReadLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What is in force, and why."""

    in_force: InForce
    desired: DesiredState | None
    """None: nothing is in force, and nothing may be done."""
    problems: tuple[str, ...] = ()
    """Why the newest commit is not in force, for the report."""
    refused: tuple[Problem, ...] = ()
    """Every mistake of the newest commit, where it does not validate."""
    allow_shrink: frozenset[AssociationName] = frozenset()


def check_schedule(text: str) -> tuple[list[str], list[str]]:
    """Give the errors and the lints of an association's schedule: what `read_state` may not import."""
    try:
        expression = parse_association_schedule(text)
    except ScheduleError as exc:
        return [str(exc)], []
    return [], list(association_lints(expression))


ReadCommit = tuple[CommitId, DesiredState | None, tuple[Problem, ...]]
"""A commit with what it says, and what is wrong in it."""


class StateBranch:
    """The state branch of one repository, as this host may serve it."""

    def __init__(
        self,
        repository: Repository,
        settings: HostSettings,
        clock: Callable[[], datetime],
        last_read: ReadCommit | None = None,
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._clock = clock
        self._readings = Readings()
        self._read = last_read
        self._judged: tuple[tuple[CommitId, tuple[Signer, ...]], Signature] | None = None

    @property
    def last_read(self) -> ReadCommit | None:
        """The commit that was read last."""
        return self._read

    def look(
        self, accepted: CommitId | None, *, accept_rewind: CommitId | None = None, received: bool = True
    ) -> Accepted:
        """Fetch, and decide what is in force; `accepted` is the last accepted commit as far as anybody knows.

        `received`: this host accepted it itself. What a report says was accepted vouches for nobody: then the signature
        of whatever comes into force is judged, by the host's own signers alone.
        """
        head, trouble = self._head()
        here = accepted is not None and self._repository.has_commit(accepted)
        desired, problems = (None, ()) if head is None else self._read_head(head)
        errors = tuple(problem for problem in problems if problem.gravity is Gravity.ERROR)
        if head is not None and desired is None:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            trouble = f"it does not validate: {errors[0]}{more}"
        trust = self._trust(accepted if here and received else None)
        if desired is not None and head is not None:
            trouble = self._refused_by_host(desired) or trouble
            if not received or head != accepted:
                trouble = self._unsigned(head, trust) or trouble
        descends = head is not None and (accepted is None or (here and self._repository.is_ancestor(accepted, head)))
        verdict = accept(
            Candidate(head=head, trouble=trouble, descends=descends),
            accepted=accepted,
            accepted_is_here=here,
            accept_rewind=accept_rewind,
        )
        if verdict.commit is None:
            return Accepted(in_force=verdict, desired=None, problems=(verdict.reason,), refused=errors)
        unsigned = "" if received else self._unsigned(verdict.commit, trust)
        if unsigned:
            reason = f"{verdict.commit[:12]}, which a report names as accepted, is not: {unsigned}; {_SIGN_AGAIN}"
            return Accepted(in_force=verdict, desired=None, problems=(reason,))
        if verdict.commit != head:
            desired, _ = self.read(verdict.commit)
        kept = verdict.acceptance is Acceptance.KEPT
        shrink, ignored = self._allowed_to_shrink(accepted if here else None, verdict.commit, trust)
        return Accepted(
            in_force=verdict,
            desired=desired,
            problems=(*((verdict.reason,) if kept else ()), *ignored),
            refused=errors,
            allow_shrink=shrink,
        )

    def vouches(self, accepted: CommitId, later: CommitId) -> bool:
        """Whether a commit counts as signed for a host that accepted `accepted`, by whose signers it goes."""
        return not self._unsigned(later, self._trust(accepted))

    def _read_head(self, head: CommitId) -> tuple[DesiredState | None, tuple[Problem, ...]]:
        """Read a commit that is not accepted yet: what cannot be read at all is a mistake of it, like any other."""
        try:
            return self.read(head)
        except SourceError as exc:
            remedy = "push a commit that holds the state repository's files and little else"
            return None, (Problem(file="state", message=f"the commit cannot be read: {exc}", remedy=remedy),)

    def _trust(self, accepted: CommitId | None) -> Trust:
        """Give whose signatures count now: the host's signers, and those of the last accepted commit."""
        if not self._settings.trusted_signers:
            return Trust()
        desired = None if accepted is None else self.read(accepted)[0]
        return trusted(self._settings.trusted_signers, () if desired is None else desired.signers, self._clock())

    def _unsigned(self, commit: CommitId, trust: Trust) -> str:
        """Say why a commit's signature keeps it from coming into force; empty: it does not, or none is asked for."""
        if not self._settings.trusted_signers:
            return ""
        key = (commit, trust.keys)
        if self._judged is None or self._judged[0] != key:
            self._judged = (key, self._repository.signature(commit, trust))
        found = self._judged[1]
        return "" if found.signer is not None else f"{found.reason} (host settings, TrustedSigners)"

    def read(self, commit: CommitId) -> tuple[DesiredState | None, tuple[Problem, ...]]:
        """Read one commit: the state, or None with every mistake. The last one read is kept."""
        if self._read is not None and self._read[0] == commit:
            return self._read[1], self._read[2]
        snapshot = self._repository.read_files(commit)
        desired, problems = read_state(
            snapshot.files,
            commit=commit,
            trees=snapshot.trees,
            bundled=bundled_files(),
            check_schedule=check_schedule,
            readings=self._readings,
            earlier=lambda names: self._repository.earlier_contents(commit, document_paths(names)),
        )
        more = (*snapshot.problems, *_no_state(snapshot.files), *_known_hosts_problems(desired))
        problems = tuple(sorted((*more, *problems)))
        if any(problem.gravity is Gravity.ERROR for problem in more):
            desired = None
        self._read = (commit, desired, problems)
        return desired, problems

    def _head(self) -> tuple[CommitId | None, str]:
        """Give the head of the branch that counts: the host's, else fleet.yaml's at the remote's HEAD, else HEAD."""
        try:
            if self._settings.branch is not None:
                self._repository.fetch_state(self._settings.branch)
                return self._repository.resolve(f"refs/heads/{self._settings.branch}"), ""
            self._repository.fetch_state()
            head = self._repository.resolve("HEAD")
            desired, _ = self.read(head)
            branch = None if desired is None else desired.fleet.branch
            if branch is None or branch == self._repository.head_branch():
                return head, ""
            self._repository.fetch_state(branch)
            return self._repository.resolve(f"refs/heads/{branch}"), ""
        except SourceError as exc:
            return None, str(exc)

    def _refused_by_host(self, desired: DesiredState) -> str:
        wanted = self._settings.fleet
        if wanted is not None and desired.fleet.id != wanted:
            return f"it is of fleet {desired.fleet.id}, and this host serves {wanted} alone (host settings, Fleet)"
        return ""

    def _allowed_to_shrink(
        self, accepted: CommitId | None, commit: CommitId, trust: Trust
    ) -> tuple[frozenset[AssociationName], tuple[str, ...]]:
        """Give what `Allow-Shrink: NAME` trailers name in the commits since the last accepted one, and which do not count.

        Where signatures are asked for, a trailer counts only in a commit that is itself signed.
        """
        if accepted == commit:
            return frozenset(), ()
        allowed: set[AssociationName] = set()
        ignored: list[str] = []
        carrying = ((record.id, _shrinking(record.message)) for record in self._since(accepted, commit))
        for number, (made, names) in enumerate((made, names) for made, names in carrying if names):
            why = "there are too many like it" if number >= _MOST_TRAILERS else self._unsigned(made, trust)
            if not why:
                allowed |= names
            else:
                ignored.append(f"{SHRINK_TRAILER} {', '.join(sorted(names))} in {made[:12]} does not count: {why}")
        return frozenset(allowed), tuple(ignored[:_MOST_TRAILERS])

    def _since(self, accepted: CommitId | None, commit: CommitId) -> tuple[CommitRecord, ...]:
        return self._repository.commits_between(accepted, commit, limit=1000)


def _shrinking(message: str) -> frozenset[AssociationName]:
    lines = (line.strip() for line in message.splitlines())
    return frozenset(
        AssociationName(line.removeprefix(SHRINK_TRAILER).strip()) for line in lines if line.startswith(SHRINK_TRAILER)
    )


def _no_state(files: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """Complain about a repository of something else: an empty fleet would come into force, and read as a good one."""
    if any(name.startswith("state/") for name in files):
        return ()
    return (
        Problem(
            file="state",
            message="there is no folder state/ with files in it: this is no state repository",
            remedy="name another folder, or make a state repository with `reconciler init`",
        ),
    )


def file_content(path: Path) -> bytes | str:
    """Give a file's bytes, or why they cannot be had."""
    try:
        if path.stat().st_size > _LIMITS.file_bytes:
            return f"this file is larger than {_LIMITS.file_bytes} bytes"
        return path.read_bytes()
    except OSError as exc:
        return f"this file cannot be read: {exc.strerror}"


def folder_files(folder: Path) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """Give the files of a checkout as they lie on disk, and what cannot be one of them; links are not followed."""
    problems: list[Problem] = []
    files: dict[str, bytes] = {}
    for root in STATE_ROOTS:
        for path in sorted((folder / root).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if is_left_alone(name):
                continue
            misnamed = None if path.is_dir() and not path.is_symlink() else name_problem(name)
            if misnamed is not None:
                problems.append(misnamed)
            elif path.is_symlink():
                problems.append(
                    Problem(
                        file=name,
                        message="this is a symbolic link",
                        remedy="put the file itself here; links are never followed",
                    )
                )
            elif path.is_file() and not any(parent.is_symlink() for parent in path.relative_to(folder).parents):
                content = file_content(path)
                if isinstance(content, bytes):
                    files[name] = content
                else:
                    problems.append(
                        Problem(file=name, message=content, remedy="make it readable and small, or remove it")
                    )
    return files, tuple(problems)


def repository_root(folder: Path) -> Path:
    """Give the checkout that a folder lies in: itself, or where it is part of one, the folder around `state/`."""
    whole = folder.absolute()
    inside = (whole, *whole.parents)
    for below, above in itertools.pairwise(inside):
        if (below / "state").is_dir() and below.name not in STATE_ROOTS:
            return folder if below == whole else below
        if below.name in STATE_ROOTS and (above / "state").is_dir():
            return above
        if (below / ".git").exists():
            break
    return folder


def read_folder(folder: Path) -> tuple[DesiredState | None, tuple[Problem, ...]]:
    """Read a checkout as it lies on disk, committed or not; nothing is run."""
    files, problems = folder_files(folder)
    desired, found = read_state(
        files, bundled=bundled_files(), check_schedule=check_schedule, earlier=lambda names: _earlier(folder, names)
    )
    known = _known_hosts_problems(desired)
    return desired, tuple(sorted((*problems, *_no_state(files), *found, *known)))


def _earlier(folder: Path, names: Collection[str]) -> Mapping[str, tuple[tuple[str, bytes], ...]] | None:
    """Give what a checkout's documents held before; None where its history is not whole, or cannot be read."""
    try:
        return earlier_in_checkout(folder, document_paths(names))
    except SourceError:
        return None


def document_paths(names: Collection[str]) -> tuple[str, ...]:
    """Give every path that documents of these names may have had as single files, and their names by them."""
    return tuple(f"documents/{name}.{ending}" for name in sorted(names) for ending in ("json", "yaml", "yml"))


def _known_hosts_problems(desired: DesiredState | None) -> tuple[Problem, ...]:
    """Say which lines of state/known_hosts do not read: one that should revoke a key is an error, the others pin nothing."""
    return () if desired is None else parse_known_hosts(desired.known_hosts).problems
