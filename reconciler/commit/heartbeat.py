"""What changes with every pass, in one blob without history on `refs/reconciler/heartbeat`: read it, replace it.

A report is valid only with a fresh heartbeat: a dead daemon must not look green.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.commit.json_blob import Held, instant_of, read_held, replacement
from reconciler.errors import CommitError, LeaseLost
from reconciler.ids import CommitId, NodeId
from reconciler.model.known import JsonValue
from reconciler.source.records import RefUpdate, Remote
from reconciler.source.repository import HEARTBEAT_REF, Repository

MISSED_INTERVALS = 2
"""After so many intervals without a pass, what the report says is no longer what is."""
_TRIES = 5
_LONGEST_INTERVAL = timedelta(days=366).total_seconds()
"""Beyond it no dead daemon would ever be noticed, and further beyond the arithmetic of dates ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBeat:
    """The volatile facts of one node."""

    last_contact: datetime | None = None
    """None: never reached."""
    clock_skew: float | None = None
    """Seconds the node's clock is ahead of ours."""
    uptime: float | None = None
    """Seconds."""
    trouble: str = ""
    """Why the last pass did not reach it; foreign text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last pass, and when each node was last heard of."""

    last_pass: datetime
    interval: timedelta
    holder: str = ""
    epoch: int = 0
    """Of the lease this was written under: a lower one never replaces a higher one."""
    state_commit: CommitId | None = None
    report: CommitId | None = None
    """The compliance commit this pass left, or found to be still true."""
    nodes: Mapping[NodeId, NodeBeat] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHeartbeat:
    """Nothing that could be understood stands there, and what does."""

    why: str


def staleness(heartbeat: Heartbeat | NoHeartbeat, now: datetime, interval: timedelta | None = None) -> str | None:
    """Say why the report is no longer valid; None: it is.

    `interval` is what git asks for now: a heartbeat cannot claim a longer one, to look alive for years.
    """
    if isinstance(heartbeat, NoHeartbeat):
        return heartbeat.why
    every = min(heartbeat.interval, interval or heartbeat.interval)
    age = now - heartbeat.last_pass
    at = heartbeat.last_pass.isoformat(timespec="seconds")
    if age < -every:
        return f"the heartbeat is of {at}, which is yet to come: the clock of {heartbeat.holder or 'its writer'} or ours is wrong"
    if age <= every * MISSED_INTERVALS:
        return None
    return f"the last pass ended at {at}, more than {MISSED_INTERVALS} intervals of {every} ago: does the daemon live?"


def look_at_heartbeat(repository: Repository, remote: Remote) -> Heartbeat | NoHeartbeat:
    """Read the heartbeat, or say what stands in its place."""
    held = read_held(repository, remote, HEARTBEAT_REF)
    found = heartbeat_of(held)
    if found is not None:
        return found
    if held.blob is None:
        return NoHeartbeat(why="there is no heartbeat: no pass has ended here")
    what = (
        held.trouble
        or f"{HEARTBEAT_REF} of {remote.address.shown} does not say when the last pass was, and the interval"
    )
    return NoHeartbeat(why=f"the heartbeat cannot be understood: {what}; the daemon's next pass replaces it")


def read_heartbeat(repository: Repository, remote: Remote, *, fetch: bool = True) -> Heartbeat | None:
    """Read the heartbeat; None: there is none, or none that can be understood. `fetch=False`: as last fetched."""
    return heartbeat_of(read_held(repository, remote, HEARTBEAT_REF, fetch=fetch))


def prepare_heartbeat(repository: Repository, remote: Remote, heartbeat: Heartbeat, *, fetch: bool = True) -> RefUpdate:
    """Give the update that replaces the heartbeat, to be pushed together with the report.

    `LeaseLost` where one of a higher epoch stands there.
    """
    seen = read_held(repository, remote, HEARTBEAT_REF, fetch=fetch)
    there = heartbeat_of(seen)
    if there is not None and there.epoch > heartbeat.epoch:
        raise LeaseLost(f"{there.holder} writes the heartbeat with epoch {there.epoch}; ours is {heartbeat.epoch}")
    return replacement(repository, HEARTBEAT_REF, heartbeat_json(heartbeat), seen.blob)


def write_heartbeat(repository: Repository, remote: Remote, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat now; `CommitError` where the remote does not take it."""
    reason = ""
    for _ in range(_TRIES):
        result = repository.push(remote, (prepare_heartbeat(repository, remote, heartbeat),))[0]
        if result.accepted:
            return
        reason = result.reason
    raise CommitError(f"the heartbeat could not be written: {reason}")


def heartbeat_json(heartbeat: Heartbeat) -> dict[str, JsonValue]:
    """Give the JSON value that `heartbeat_of` reads."""
    return {
        "epoch": heartbeat.epoch,
        "holder": heartbeat.holder,
        "interval": heartbeat.interval.total_seconds(),
        "last_pass": _text(heartbeat.last_pass),
        "nodes": {str(node): _node_json(beat) for node, beat in sorted(heartbeat.nodes.items())},
        "report": heartbeat.report,
        "state_commit": heartbeat.state_commit,
    }


def _node_json(beat: NodeBeat) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {
        "clock_skew": beat.clock_skew,
        "last_contact": None if beat.last_contact is None else _text(beat.last_contact),
        "trouble": beat.trouble or None,
        "uptime": beat.uptime,
    }
    return {key: value for key, value in fields.items() if value is not None}


def heartbeat_of(held: Held) -> Heartbeat | None:
    """Whoever can push to the remote can put anything here: what is no heartbeat counts as none."""
    value = held.value
    last_pass, interval, nodes = instant_of(value.get("last_pass")), _number(value.get("interval")), value.get("nodes")
    if last_pass is None or interval is None or not 0 < interval <= _LONGEST_INTERVAL:
        return None
    return Heartbeat(
        last_pass=last_pass,
        interval=timedelta(seconds=interval),
        holder=str(value.get("holder") or ""),
        epoch=_whole(value.get("epoch")),
        state_commit=_commit(value.get("state_commit")),
        report=_commit(value.get("report")),
        nodes={NodeId(node): _beat(beat) for node, beat in nodes.items()} if isinstance(nodes, Mapping) else {},
    )


def _beat(value: JsonValue) -> NodeBeat:
    if not isinstance(value, Mapping):
        return NodeBeat()
    return NodeBeat(
        last_contact=instant_of(value.get("last_contact")),
        clock_skew=_number(value.get("clock_skew")),
        uptime=_number(value.get("uptime")),
        trouble=str(value.get("trouble") or ""),
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _commit(value: JsonValue) -> CommitId | None:
    return CommitId(value) if isinstance(value, str) else None
