"""Asks many nodes at once and gives each one's facts: one program, one round trip a node; no node waits for another.

Takes nodes, what to ask each, a way to reach them and what they said before; a node that fails gets Facts that say why,
with its last known sections kept. It decides nothing and writes nothing.
"""

import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.errors import NodeError, NodeTimeout
from reconciler.ids import Digest, NodeId
from reconciler.inventory.crew import Crew
from reconciler.inventory.decode import Held, Parses, Request, decode
from reconciler.inventory.facts import FACTS
from reconciler.inventory.frames import Answered, read_frames
from reconciler.inventory.latecomers import Late, Latecomers
from reconciler.inventory.metadata_refresh import refresh
from reconciler.inventory.observed import Facts
from reconciler.inventory.program import patience, program
from reconciler.model.command import Answer, Connect, Session
from reconciler.model.known import JsonValue, Known, Observed
from reconciler.model.node import Node
from reconciler.model.questions import Questions

DAY: Final = timedelta(days=1)
"""However unchanged a section looks, it is read again once a day."""

HOUR: Final = timedelta(hours=1)
"""What no expectation rests on and nothing tells the change of (interfaces; ports, mounts, services unless named)."""

JITTER: Final = 0.25
"""Of a term: nodes that were first asked in one pass are not all asked in full in one pass again."""

STDERR_SHOWN: Final = 200

SECOND_CHANCE: Final = timedelta(seconds=3)
"""How long a pass that has all its other answers waits for nodes that let the last one wait, or were away: a login's time."""

_PARSES = Parses()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What asking one node gave, and what it takes to ask less next time."""

    facts: Facts
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Section -> the node's own words for what it was read from."""
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """Section -> digest of the text it was parsed from."""
    read_at: Mapping[str, datetime] = field(default_factory=dict)
    """Section -> when it was last read, and not merely said to be unchanged."""
    error: NodeError | None = None
    """Why the node did not answer; `facts.unreachable` says it in words."""
    collected_at: datetime
    """When the node last answered; the time of asking where it never did."""
    host_key: str | None = None
    skew_seconds: float | None = None
    """The node's clock less ours; positive: the node's is ahead."""
    spoken: "Spoken | None" = field(default=None, init=False, repr=False, compare=False)
    """What this very answer told, for a program that stayed on the node."""
    kept: Mapping[str, Held] | None = field(default=None, init=False, repr=False, compare=False)
    """The same sections as records, where they are at hand: what is unchanged is then taken over as it is. A record made from
    this one by `replace` is without them, as it must be."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A whole answer, as the node remembers it."""

    nonce: str
    told: Mapping[str, str]
    """Every fingerprint that it told, then or before: in its next answer it takes them, and no others, for held."""


def _now() -> datetime:
    return datetime.now(UTC)


def collect(  # noqa: PLR0913  (all but three by keyword, and none of them is known to the others)
    nodes: Iterable[Node],
    questions: Mapping[NodeId, Questions],
    connect: Connect,
    *,
    before: Mapping[NodeId, Collected] | None = None,
    afresh: bool = False,
    workers: int = 32,
    on_node: Callable[[Node, Collected], None] | None = None,
    clock: Callable[[], datetime] = _now,
    latecomers: Latecomers[Collected] | None = None,
) -> Mapping[NodeId, Collected]:
    """Ask every node, up to `workers` at a time, in the order given; `on_node` hears of each as soon as it has answered.

    With `afresh`, nothing is held for an hour: after something ran on the nodes, what no expectation names is looked at, too.
    With `latecomers`, nodes that let us wait are left to them, and what they said to the last pass counts; without, every
    node is waited for until its own limit.
    """
    wanted = tuple(nodes)
    late = _Lateness(wanted, questions, before or {}, latecomers)

    def one(node: Node) -> Collected:
        last = late.before.get(node.id)
        late.begins(node.id)
        try:
            with connect(node) as session:
                asked = questions.get(node.id, Questions())
                if asked.refresh:
                    return _refreshed(session, node, asked, before=last, afresh=afresh, clock=clock)
                return ask(session, node, asked, before=last, afresh=afresh, clock=clock)
        except NodeError as error:
            return unreachable(node.id, error, last, clock())

    asked = late.in_turn()
    found: dict[NodeId, Collected] = {}
    crew = Crew(asked, one, most=workers)
    with closing(crew.results(enough=None if latecomers is None else lambda: late.is_enough(found))) as results:
        for node, collected in results:
            found[node.id] = collected
            if on_node is not None:
                on_node(node, collected)
    if latecomers is not None and not crew.is_done:
        latecomers.leave(crew, (node.id for node in asked if node.id not in found), questions)
    return {node.id: found.get(node.id) or late.without(node, clock()) for node in wanted}


class _Lateness:
    """Who is waited for in one asking, how long, and what stands for who is not."""

    def __init__(
        self,
        nodes: tuple[Node, ...],
        questions: Mapping[NodeId, Questions],
        before: Mapping[NodeId, Collected],
        latecomers: Latecomers[Collected] | None,
    ) -> None:
        names = [node.id for node in nodes]
        self._nodes = nodes
        self._questions = questions
        self._late: Mapping[NodeId, Late[Collected]] = {} if latecomers is None else latecomers.take(names, questions)
        self.before = {**before, **{node: late.said for node, late in self._late.items()}}
        self._still_asked = frozenset() if latecomers is None else latecomers.still_asked()
        self._slow = {node for node in names if node in self._late or self._was_away(node)}
        self._quick = [node for node in names if node not in self._slow and node not in self._still_asked]
        self._begun: dict[NodeId, float] = {}
        self._quick_ones_done: float | None = None

    def _was_away(self, node: NodeId) -> bool:
        last = self.before.get(node)
        return last is not None and last.facts.unreachable is not None

    def in_turn(self) -> tuple[Node, ...]:
        """Give whom to ask, those last that let the last pass wait; who has not answered that one is not asked again."""
        asked = [node for node in self._nodes if node.id not in self._still_asked]
        return tuple(sorted(asked, key=lambda node: node.id in self._slow))

    def begins(self, node: NodeId) -> None:
        """Note that a node's turn has come; from any thread."""
        self._begun[node] = time.monotonic()

    def is_enough(self, found: Mapping[NodeId, Collected]) -> bool:
        """Say whether everybody had the time that is theirs: slow ones a moment more than the others took."""
        now = time.monotonic()
        if not all(node in found or self._had_its_time(node, now) for node in self._quick):
            return False
        self._quick_ones_done = self._quick_ones_done or now
        return now - self._quick_ones_done >= SECOND_CHANCE.total_seconds()

    def _had_its_time(self, node: NodeId, now: float) -> bool:
        return node in self._begun and now - self._begun[node] >= self._patience(node).total_seconds()

    def _patience(self, node: NodeId) -> timedelta:
        return patience(self._questions.get(node, Questions()))

    def without(self, node: Node, now: datetime) -> Collected:
        """Give what stands for a node that is not waited for: its last answer, its last trouble, or why there is neither."""
        late, last = self._late.get(node.id), self.before.get(node.id)
        if last is not None and (self._was_away(node.id) or (late is not None and late.is_answer)):
            return last
        seconds = self._patience(node.id).total_seconds()
        words = (
            f"the node did not answer within {seconds:g} s: the pass went on without it, its answer counts in the next"
        )
        return unreachable(node.id, NodeTimeout(node.id, words), last, now)


def ask(
    session: Session,
    node: Node,
    questions: Questions,
    *,
    before: Collected | None = None,
    only: frozenset[str] | None = None,
    afresh: bool = False,
    clock: Callable[[], datetime] = _now,
) -> Collected:
    """Ask one node over an open session; with `only`, for these sections alone. Raises NodeError."""
    started = clock()
    if before is not None and before.host_key != session.host_key:
        before = None  # another machine may answer here: nothing is held of it
    asked, after = questions, None
    if before is not None:
        held = held_for(before, now=started, node=node.id, questions=questions, afresh=afresh)
        questions = replace(questions, held=held)
        after = before.spoken.nonce if before.spoken is not None and before.spoken.told == held else None
    nonce = secrets.token_hex(16)
    answer = session.run(program(questions, node=node, nonce=nonce, only=only, after=after))
    ended = clock()
    request = Request(questions=asked, only=only, before=_held(before), now=started, parses=_PARSES)
    answered = _read(answer, nonce)
    sections = decode(answered, request)
    facts = Facts(
        node=node.id, sections={**{name: held.section for name, held in sections.items()}, **_kept_of(before)}
    )
    collected = Collected(
        facts=facts,
        fingerprints={name: held.fingerprint for name, held in sections.items() if held.fingerprint},
        digests={name: held.digest for name, held in sections.items() if held.digest is not None},
        read_at={name: held.read_at for name, held in sections.items()},
        collected_at=ended,
        host_key=session.host_key,
        skew_seconds=_skew(facts, started, ended),
    )
    # A new record, which nobody else has seen.
    object.__setattr__(collected, "kept", sections)
    if only is None and answered.problem is None:
        object.__setattr__(collected, "spoken", Spoken(nonce, {**questions.held, **_told(answered)}))
    return collected


def _kept_of(before: Collected | None) -> Mapping[str, Observed[Mapping[str, JsonValue]]]:
    """Give what no program tells again: what came of the last refresh of the lists, which says itself when that was."""
    last = None if before is None else before.facts.sections.get("refreshed")
    return {} if last is None else {"refreshed": last}


def _refreshed(
    session: Session,
    node: Node,
    questions: Questions,
    *,
    before: Collected | None,
    afresh: bool,
    clock: Callable[[], datetime],
) -> Collected:
    """Refresh the node's lists, then ask: the next look at it shows what came of that, in section `refreshed`."""
    came = refresh(session, node, sources=questions.sources)
    when = clock()
    asked = replace(questions, refresh=False)
    found = ask(session, node, asked, before=before, afresh=afresh, clock=clock)
    told = Known({**came.value.rows(), "@": f"{when:%Y-%m-%dT%H:%M:%SZ}"}) if isinstance(came, Known) else came
    return replace(found, facts=replace(found.facts, sections={**found.facts.sections, "refreshed": told}))


def unreachable(node: NodeId, error: NodeError, before: Collected | None, now: datetime) -> Collected:
    """Give what is said of a node that did not answer: why, and what it last said."""
    if before is None:
        return Collected(facts=Facts(node=node, unreachable=str(error)), error=error, collected_at=now)
    facts = Facts(node=node, sections=before.facts.sections, unreachable=str(error))
    return replace(before, facts=facts, error=error)


def held_for(
    collected: Collected,
    *,
    now: datetime,
    node: NodeId,
    questions: Questions | None = None,
    afresh: bool = False,
) -> Mapping[str, str]:
    """Give the fingerprints that may still be held: not of sections that are old, or that must be read in every pass."""
    held: dict[str, str] = {}
    asked = questions or Questions()
    for section, fingerprint in collected.fingerprints.items():
        fact, read_at = FACTS.get(section), collected.read_at.get(section)
        if fact is None or read_at is None:
            continue
        hourly = fact.hourly(asked)
        if hourly and afresh:
            continue
        if not hourly and not fact.watch and section != "files":
            continue
        if timedelta(0) <= now - read_at < _term(section, node, HOUR if hourly else DAY):
            held[section] = fingerprint
    return held


def _term(section: str, node: NodeId, longest: timedelta) -> timedelta:
    """Give how long a section may be held: between three quarters and the whole of its term, by the node's name."""
    draw = (zlib.crc32(f"{node}/{section}".encode()) & 0xFF) / 256
    return longest * (1 - JITTER * draw)


def _held(before: Collected | None) -> Mapping[str, Held]:
    if before is None:
        return {}
    if before.kept is not None:
        return before.kept
    at = before.read_at
    return {
        name: Held(
            section=section,
            fingerprint=before.fingerprints.get(name, ""),
            digest=before.digests.get(name),
            read_at=at[name],
        )
        for name, section in before.facts.sections.items()
        if name in at
    }


def _told(answered: Answered) -> Mapping[str, str]:
    return {name.removeprefix("at."): frame.text for name, frame in answered.frames.items() if name.startswith("at.")}


def _read(answer: Answer, nonce: str) -> Answered:
    answered = read_frames(answer.stdout, nonce)
    if answered.problem is None or answer.exit_status == 0:
        return answered
    said = answer.stderr.decode("utf-8", "replace").strip()[-STDERR_SHOWN:]
    ended = f"the program ended with exit status {answer.exit_status}"
    return replace(answered, problem=f"{answered.problem}; {ended}{f': {said}' if said else ''}")


def _skew(facts: Facts, started: datetime, ended: datetime) -> float | None:
    match facts.get("clock", "epoch"):
        case Known(int() | float() as epoch):
            low, high = started.timestamp(), ended.timestamp()
            return 0.0 if low <= epoch <= high else epoch - (high if epoch > high else low)
    return None
