"""Asks many nodes at once and gives each one's facts: one program, one round trip a node; no node waits for another.

Takes nodes, what to ask each, a way to reach them and what they said before; a node that fails gets Facts that say why,
with its last known sections kept. It decides nothing and writes nothing.
"""

import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.errors import NodeError
from reconciler.ids import Digest, NodeId
from reconciler.inventory.crew import Crew
from reconciler.inventory.decode import Held, Parses, Request, decode
from reconciler.inventory.facts import FACTS
from reconciler.inventory.frames import Answered, read_frames
from reconciler.inventory.observed import Facts
from reconciler.inventory.program import program
from reconciler.model.command import Answer, Connect, Session
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.questions import Questions

DAY: Final = timedelta(days=1)
"""However unchanged a section looks, it is read again once a day."""

HOUR: Final = timedelta(hours=1)
"""What no expectation rests on and nothing tells the change of (interfaces; ports, mounts, services unless named)."""

JITTER: Final = 0.25
"""Of a term: nodes that were first asked in one pass are not all asked in full in one pass again."""

STDERR_SHOWN: Final = 200

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


def collect(
    nodes: Iterable[Node],
    questions: Mapping[NodeId, Questions],
    connect: Connect,
    *,
    before: Mapping[NodeId, Collected] | None = None,
    afresh: bool = False,
    workers: int = 32,
    on_node: Callable[[Node, Collected], None] | None = None,
    clock: Callable[[], datetime] = _now,
) -> Mapping[NodeId, Collected]:
    """Ask every node, up to `workers` at a time, in the order given; `on_node` hears of each as soon as it has answered.

    With `afresh`, nothing is held for an hour: after something ran on the nodes, what no expectation names is looked at, too.
    """
    asked = tuple(nodes)
    known = before or {}

    def one(node: Node) -> Collected:
        last = known.get(node.id)
        try:
            with connect(node) as session:
                return ask(session, node, questions.get(node.id, Questions()), before=last, afresh=afresh, clock=clock)
        except NodeError as error:
            return unreachable(node.id, error, last, clock())

    if not asked:
        return {}
    found: dict[NodeId, Collected] = {}
    with closing(Crew(asked, one, most=workers).results()) as results:
        for node, collected in results:
            found[node.id] = collected
            if on_node is not None:
                on_node(node, collected)
    return {node.id: found[node.id] for node in asked}


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
    facts = Facts(node=node.id, sections={name: held.section for name, held in sections.items()})
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
