"""The compliance branch: files in, a commit or none, pushed and never forced; and the whole branch out, as a stream.

What is committed waits in our clone until every place has it, so a remote that is away for a day loses nothing. Where
somebody else pushed first, our commits are made again on top of theirs.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.commit.fence import check_epoch
from reconciler.commit.heartbeat import Heartbeat, prepare_heartbeat
from reconciler.commit.join import join, written_later
from reconciler.commit.message import EPOCH, Message
from reconciler.commit.own_writes import OwnWrite, OwnWrites
from reconciler.commit.places import Places
from reconciler.errors import CommitError, SourceError
from reconciler.ids import CommitId
from reconciler.source.address import branch_name
from reconciler.source.git_text import blob_id
from reconciler.source.records import Person, RefRule, RefUpdate, Remote, WriteRequest
from reconciler.source.repository import HEARTBEAT_REF, LEASE_REF, Repository

ANEW = "begin a new history from what the nodes remember with `reconciler once --new-history`"
HOOK_SAYS_NO = "hook declined"
"""In git's words for a refusal: a rule of the server's, which the next pass asks again. Anything else may be a race."""

T = TypeVar("T")
Also = Callable[[CommitId | None], Mapping[str, bytes | None]]
"""Gives changed files from the tip that they are committed upon."""

_QUEUES = "refs/queue/"
PUSH_TRIES = 6
"""Each try loses only to a push that somebody else got through; six in a row is not a race any more."""
QUEUE_TRIES = 50
"""Each try loses only to another handle of our clone that moved the queue: a daemon has one for each command, and writes quickly."""
LOCKED_TRIES = 5
"""How many of them lose though nothing moved: git itself waits for each lock, and holds one for milliseconds."""


def nothing_else(_tip: CommitId | None) -> Mapping[str, bytes | None]:
    """Change nothing more."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The branch as it is now, with what is ours and waits."""

    tip: CommitId | None
    """What to read, and to commit upon; None: there is no branch yet."""
    lost: str | None = None
    """Why its history cannot be trusted: deleted or rewound since we last saw it. Nothing is written then."""
    unreachable: tuple[str, ...] = ()
    """Places that could not be asked; what they hold is as old as our last look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What became of our commits."""

    tip: CommitId | None
    waiting: int = 0
    """Commits that some place has not yet."""
    reasons: tuple[str, ...] = ()
    """Why they wait."""

    @property
    def complete(self) -> bool:
        """Whether every place has everything."""
        return not self.reasons


@dataclass(slots=True, kw_only=True)
class ReportsBranch:
    """One branch at its places. Only the holder of the lease writes; everybody may read."""

    repository: Repository
    places: Places
    branch: str
    person: Person
    why_not: Callable[[CommitId], str | None] | None = None
    """Why a commit that we did not make is not believed; None: it is. Left out: signatures are not asked for."""
    own: OwnWrites = field(default_factory=OwnWrites)
    """What this process committed; other handles of it on this clone may have the same."""
    _me: object = field(default_factory=object, init=False)
    """Who takes a turn: `own` remembers that, and keeps no handle alive with it."""
    _believed: set[CommitId] = field(default_factory=set, init=False)
    _known: CommitId | None = field(default=None, init=False)
    """Where it was when we looked or wrote last: what we write rests on that, wherever another handle moved it since."""
    _seen: tuple[CommitId | None, ...] = field(default=(), init=False)
    """What the places had at our last look."""
    _anew: tuple[datetime, CommitId | None] | None = field(default=None, init=False)
    """When a person had history begin anew, and upon what: until that is written, our clone knows nothing of it."""

    def __post_init__(self) -> None:
        branch_name(self.branch)

    @property
    def ref(self) -> str:
        """The branch's name at its places."""
        return f"refs/heads/{self.branch}"

    def look(self) -> Standing:
        """Fetch branch, heartbeat and lease of every place, and put what waits on top of what they have."""
        unreachable: list[str] = []
        for place in self.places.all:
            try:
                self.repository.fetch(place, (self.ref, HEARTBEAT_REF, LEASE_REF))
            except SourceError as exc:
                unreachable.append(str(exc))
        if self._anew is not None:
            self.start_anew(self._anew[0])
            return Standing(tip=self.tip(), unreachable=tuple(unreachable))
        lost = self._in_turn(self._joined)  # else each handle makes again what waits, and one of them is heard
        self._known, self._seen = self.tip(), self._there()
        return Standing(tip=self.tip(), lost=lost, unreachable=tuple(unreachable))

    @property
    def has_news(self) -> bool:
        """Whether a place was seen to hold another commit than at our last look: who led before us may have pushed it."""
        return self._anew is None and self._there() != self._seen

    def _there(self) -> tuple[CommitId | None, ...]:
        return tuple(self._commit(place.tracking(self.ref)) for place in self.places.all)

    def tip(self) -> CommitId | None:
        """Give the branch with what waits, as of the last look; asks nobody."""
        if self._anew is not None:
            return self._anew[1]
        return self._commit(self._queue) or self._commit(self.places.home.tracking(self.ref))

    def write(
        self,
        changes: Mapping[str, bytes | None],
        message: Message,
        *,
        now: datetime,
        epoch: int | None = None,
        also: Also = nothing_else,
    ) -> CommitId | None:
        """Commit changed files (None: the file goes) in our clone; None: they all are there already. No change, no commit.

        `also` gives more of them, from the tip that they are committed upon. What a leader of a later epoch wrote since we looked
        stays as it is.
        """
        _check_paths(changes)

        def written() -> CommitId | None:
            tip = self.tip()
            later = self._written_later(tip, epoch)
            wanted = {path: content for path, content in {**changes, **also(tip)}.items() if path not in later}
            return self._write(tip, wanted, message, now, epoch)

        made = self._in_turn(written)
        self._known = self.tip()
        return made

    def _written_later(self, tip: CommitId | None, epoch: int | None) -> frozenset[str]:
        known = self._known
        if epoch is None or known is None or tip is None or self.own.since(known, tip) is not None:
            return frozenset()
        return written_later(self.repository, known, tip, epoch)

    def _write(
        self,
        tip: CommitId | None,
        changes: Mapping[str, bytes | None],
        message: Message,
        now: datetime,
        epoch: int | None,
    ) -> CommitId | None:
        there = self._files(tip)
        news = {path: content for path, content in changes.items() if _differs(there.get(path), content)}
        if not news:
            self._move_queue(tip)
            return None
        tied = message.trailers if epoch is None else {**message.trailers, EPOCH: str(epoch)}
        text = Message(subject=message.subject, body=message.body, trailers=tied).text()
        parents = () if tip is None else (tip,)
        request = WriteRequest(parents=parents, changes=news, message=text, person=self.person, when=now)
        if self._anew is None:
            made = self.repository.commit_to(self._queue, request)
        else:
            made = self.repository.write_commit(request)
            self._move_queue(made)
        self.own.note(made, OwnWrite(parent=tip, paths=frozenset(news), when=_whole_second(now)), _with(there, news))
        return made

    def publish(self, heartbeat: Heartbeat | None = None, *, epoch: int | None = None) -> Publication:
        """Bring what waits, and the heartbeat, to every place; what a place does not take goes on waiting.

        `LeaseLost` where a lease or heartbeat with a higher epoch than ours stands there: then nothing was pushed.
        """
        refused: tuple[str, ...] = ()
        ours = self.tip()
        beating = set() if heartbeat is None else {place.name for place in self.places.all}
        for _ in range(PUSH_TRIES):
            standing = self.look()
            if standing.lost is not None:
                return Publication(tip=standing.tip, waiting=self._waiting(), reasons=(standing.lost,))
            self.check_epoch(epoch)
            if refused and not beating and ours is not None and self._is_everywhere(ours):
                return Publication(tip=standing.tip, waiting=self._waiting(), reasons=standing.unreachable)
            refused, away = self._push(heartbeat, beating)
            if not refused:
                return Publication(tip=self.tip(), waiting=self._waiting(), reasons=(*standing.unreachable, *away))
            if all(HOOK_SAYS_NO in reason for reason in refused):
                break
        return Publication(tip=self.tip(), waiting=self._waiting(), reasons=refused)

    def check_epoch(self, epoch: int | None) -> None:
        """Raise `LeaseLost` where a place was last seen to have a leader of a later epoch; None: nobody leads for this."""
        for place in self.places.all if epoch is not None else ():
            check_epoch(self.repository, place, epoch or 0)

    def start_anew(self, now: datetime) -> None:
        """Take the places as they are for the truth: for `--new-history`, by a person's word.

        Only what is written next makes it so, in one move: who is ended before, or does not lead, believes what it believed.
        What we had is then kept in our clone under `refs/abandoned/`.
        """
        tips = [self._commit(place.tracking(self.ref)) for place in self.places.all]
        self._anew = now, join(self.repository, None, tips, self.person)

    @property
    def begins_anew(self) -> bool:
        """Whether a new history was asked for, and nothing is written of it yet."""
        return self._anew is not None

    def _move_queue(self, made: CommitId | None) -> None:
        """Let what waits end at `made`; where history begins anew, that becomes true with it."""
        old = self.repository.ref(self._queue)
        moved: dict[str, tuple[str | None, str | None]] = {self._queue: (old, made)}
        if self._anew is not None:
            if old is not None:
                kept = f"refs/abandoned/{self.branch}/{int(self._anew[0].timestamp())}"
                moved[kept] = (self.repository.ref(kept), old)
            for place in self.places.all:
                published = self._published(place)
                moved[published] = (self.repository.ref(published), self._commit(place.tracking(self.ref)))
        self.repository.update_refs({ref: (held, new) for ref, (held, new) in moved.items() if held != new})
        self._anew = None

    @property
    def _queue(self) -> str:
        return f"{_QUEUES}{self.branch}"

    def _published(self, place: Remote) -> str:
        return f"refs/published/{place.name}/{self.branch}"

    def _commit(self, ref: str) -> CommitId | None:
        found = self.repository.ref(ref)
        return None if found is None else CommitId(found)

    def _lost(self, place: Remote) -> str | None:
        """Say how a place lost what we know it had."""
        last, there = self._commit(self._published(place)), self._commit(place.tracking(self.ref))
        where = f"{self.branch} at {place.address.shown}"
        remedy = f"push that commit back, or {ANEW}"
        if last is None:
            return self._foreign(place, there) or self._unbelieved(place, there, last)
        if there is None:
            return f"{where} was deleted; it was at {last}: {remedy}"
        if not self.repository.is_ancestor(last, there):
            return f"{where} was rewound or rewritten: {there} does not descend from {last}; {remedy}"
        return self._unbelieved(place, there, last)

    def _unbelieved(self, place: Remote, there: CommitId | None, last: CommitId | None) -> str | None:
        """Say why a commit that we have not seen before is not one of ours or of another host of the fleet.

        Its files are what its signer wrote, all of them, on top of what that signer believed: so the tip alone is judged.
        """
        if there is None or there == last or there in self._believed:
            return None
        if self.why_not is not None:
            why = self.why_not(there)
        elif last is not None and self.repository.is_signed(last) and not self.repository.is_signed(there):
            why = "it is not signed, and what was there before is"
        else:
            why = None
        if why is None:
            self._believed.add(there)
            return None
        where = f"{self.branch} at {place.address.shown}"
        back = "" if last is None else f"set the branch back to {last}, or "
        return f"{where} holds a commit that is not believed, {there}: {why}; {back}{ANEW}"

    def _foreign(self, place: Remote, there: CommitId | None) -> str | None:
        ours = self._commit(self._queue)
        if place == self.places.home or there is None or ours is None:
            return None
        if self.repository.merge_base(ours, there) is not None:
            return None
        return f"{self.branch} at {place.address.shown} is the branch of another history; name another branch or remote"

    def _in_turn(self, move: Callable[[], T]) -> T:
        """Move refs of our clone. Another process may move the same ones meanwhile: then once more, behind whoever waits here.

        Where none of them moved, something keeps them locked: that is told soon, for each try makes again what waits.
        """
        locked = 0
        for left in reversed(range(QUEUE_TRIES)):
            with self.own.turn.of(self._me) as again:
                if not again:  # what they held before our turn is not what they hold, and all made upon it is in vain
                    self.repository.forget_refs()
                held = self._held()
                try:
                    return move()
                except CommitError:
                    self.repository.forget_refs()
                    locked += self._held() == held
                    if not left or locked == LOCKED_TRIES:
                        raise
        raise AssertionError

    def _held(self) -> tuple[str | None, ...]:
        places = self.places.all
        mine = (self._queue, *map(self._published, places), *(place.tracking(self.ref) for place in places))
        return tuple(map(self.repository.ref, mine))

    def _joined(self) -> str | None:
        """Put what waits on top of what the places have; or say why home's history cannot be trusted."""
        lost = self._lost(self.places.home)
        if lost is not None:
            self.repository.forget_refs()  # another handle of our clone may have moved them while they were being read
            lost = self._lost(self.places.home)
        if lost is None:
            self._join()
        return lost

    def _join(self) -> None:
        queue = self._commit(self._queue)
        sound = [place for place in self.places.all if self._lost(place) is None]
        tips = [self._commit(place.tracking(self.ref)) for place in sound]
        joined = join(self.repository, queue, tips, self.person)
        if joined != queue:
            self.repository.update_refs({self._queue: (queue, joined)})
        for place in sound:
            self._remember(place)

    def _remember(self, place: Remote) -> None:
        there = self._commit(place.tracking(self.ref))
        if there is not None and there != self.repository.ref(self._published(place)):
            self.repository.update_refs({self._published(place): (None, there)}, checked=False)

    def _push(self, heartbeat: Heartbeat | None, beating: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Push to every place; give what was refused (worth another try) and what could not be asked (is not)."""
        refused: list[str] = []
        away: list[str] = []
        for place in self.places.all:
            lost = self._lost(place)
            if lost is not None:
                away.append(lost)
                continue
            updates = self._updates(place, heartbeat if place.name in beating else None)
            try:
                results = self.repository.push(place, updates, {self.ref: self._published(place)}) if updates else ()
            except CommitError as exc:
                away.append(str(exc))
                continue
            refused += [f"{place.address.shown} refused {r.ref}: {r.reason}" for r in results if not r.accepted]
            if any(r.accepted and r.ref == HEARTBEAT_REF for r in results):
                beating.discard(place.name)
            self._remember(place)
        return tuple(refused), tuple(away)

    def _is_everywhere(self, ours: CommitId) -> bool:
        """Whether another handle of our clone pushed what we wanted to: it does so with what it writes itself upon it."""
        return all(tip is not None and self.repository.is_ancestor(ours, tip) for tip in self._there())

    def _updates(self, place: Remote, heartbeat: Heartbeat | None) -> tuple[RefUpdate, ...]:
        tip = self.tip()
        updates: list[RefUpdate] = []
        if tip is not None and tip != self.repository.ref(place.tracking(self.ref)):
            updates.append(RefUpdate(ref=self.ref, new=tip, rule=RefRule.FAST_FORWARD))
        if heartbeat is not None:
            updates.append(prepare_heartbeat(self.repository, place, heartbeat, fetch=False))
        return tuple(updates)

    def _waiting(self) -> int:
        tip = self.tip()
        if tip is None:
            return 0
        return max(
            self.repository.count_between(self._commit(place.tracking(self.ref)), tip) for place in self.places.all
        )

    def _files(self, tip: CommitId | None) -> Mapping[str, str]:
        if tip is None:
            return {}
        known = self.own.files_at(tip)
        if known is None:
            known = self.repository.blob_ids(tip)
            self.own.keep_files(tip, known)
        return known


def known_tip(repository: Repository) -> CommitId | None:
    """Give where the branch was when this host last looked, before anybody knows its name; None: there are several, or none."""
    tips = repository.refs(_QUEUES).values()
    return CommitId(next(iter(tips))) if len(tips) == 1 else None


def read_branch(
    repository: Repository, commit: CommitId, roots: tuple[str, ...] = ()
) -> Generator[tuple[str, bytes], None, None]:
    """Give (path, content) of every file of the branch at one commit, one at a time, in the order of paths."""
    return repository.stream(commit, roots)


def _differs(there: str | None, content: bytes | None) -> bool:
    if content is None or there is None:
        return (content is None) != (there is None)
    return blob_id(content, like=there) != there


def _with(there: Mapping[str, str], news: Mapping[str, bytes | None]) -> dict[str, str]:
    like = next(iter(there.values()), "0" * 40)
    kept = {path: blob for path, blob in there.items() if path not in news}
    return kept | {path: blob_id(content, like=like) for path, content in news.items() if content is not None}


def _whole_second(instant: datetime) -> datetime:
    return datetime.fromtimestamp(int(instant.timestamp()), UTC)


def _check_paths(changes: Mapping[str, bytes | None]) -> None:
    for path in changes:
        if {"", ".", "..", ".git"} & set(path.split("/")) or "\0" in path:
            raise CommitError(f"{path!r} is no path in the compliance branch")
