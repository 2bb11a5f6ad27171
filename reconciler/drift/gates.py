"""What says "not now" to a run that is needed: takes a node's facts and its other findings, gives the first gate; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from reconciler.drift.finding import Cause, State
from reconciler.drift.identity import json_object
from reconciler.drift.text import instant_text
from reconciler.drift.told_instant import told_instant
from reconciler.ids import AssociationName, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Association
from reconciler.model.history import Applied, RunStatus
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.node import Mode
from reconciler.model.pause import Pauses

_SECONDS = 2**34
"""Since 1970, up to the year 2514: what a node says beyond it is no instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Why it does not run now, and until when where that is known."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A run that goes on, on the node."""

    association: AssociationName
    reason: str
    cause: Cause


def paused(pauses: Pauses, node: NodeId, association: AssociationName, now: datetime) -> Gate | None:
    """Look whether somebody pressed the stop button for this association on this node."""
    why = pauses.why(node, association, now)
    return None if why is None else Gate(reason=why, until=pauses.until(node, association, now))


def held(facts: Facts, now: datetime) -> Observed[Gate | None]:
    """Look for hold files on the node; one whose `until` has passed holds nothing."""
    match facts.section("holds"):
        case Unknown() as unknown:
            return Unknown(f"hold files: {unknown.why}")
        case Known(rows):
            gates = [_hold(name, str(rows[name])) for name in sorted(rows)]
    standing = [gate for gate in gates if gate.until is None or gate.until > now]
    if not standing:
        return Known(None)
    known = [gate.until for gate in standing]
    return Known(
        Gate(
            reason="; ".join(gate.reason for gate in standing),
            until=max((until for until in known if until is not None), default=None) if None not in known else None,
        )
    )


def _hold(name: str, text: str) -> Gate:
    """Read `who:`, `why:` and `until:` lines; a hold that reads in no way holds all the same."""
    fields = {
        key.strip().lower(): value.strip()
        for key, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    until = told_instant(fields.get("until"), zoned=False)
    words = ": ".join(fields[key] for key in ("who", "why") if fields.get(key)) or " ".join(text.split())
    told = f" ({words})" if words else ""
    when = "" if until is None else f" until {instant_text(until)}"
    return Gate(reason=f"held by {name}{told}{when}", until=until)


def running_on(facts: Facts, fleet: FleetId) -> Observed[Mapping[AssociationName, Running]]:
    """Find the runs of this fleet that go on on a node, by association, from its run folders."""
    found: dict[AssociationName, Running] = {}
    match facts.section("runs"):
        case Unknown() as unknown:
            return unknown
        case Known(rows):
            for key in sorted(rows):
                value = rows[key]
                if isinstance(value, Mapping) and (run := _running(value, fleet)) is not None:
                    found[run.association] = run
    return Known(found)


def _running(row: Mapping[str, object], fleet: FleetId) -> Running | None:
    """Read `started EPOCH ...`, `step N EPOCH` or `ended ...`; an ended run is for settling."""
    manifest = json_object(row.get("manifest"))
    name = manifest.get("association")
    state = str(row.get("state") or "").split()
    if not isinstance(name, str) or (state and state[0] == "ended") or manifest.get("fleet", fleet) != fleet:
        return None
    started = manifest.get("started")
    since = ""
    if isinstance(started, int | float) and 0 <= started < _SECONDS:
        since = f" since {instant_text(datetime.fromtimestamp(started, UTC))}"
    elif (told := told_instant(started, zoned=False)) is not None:
        since = f" since {instant_text(told)}"
    step = f", step {_step_name(manifest.get('steps'), state[1])}" if state[:1] == ["step"] and len(state) > 1 else ""
    return Running(
        association=AssociationName(name), reason=f"running{since}{step}", cause=_cause(manifest.get("cause"))
    )


def _step_name(names: object, number: str) -> str:
    """Give a step's name, where the manifest had room for it."""
    if isinstance(names, list) and number.isascii() and number.isdigit() and 0 < int(number[:6]) <= len(names):
        return str(names[int(number[:6]) - 1])
    return number


def _cause(text: object) -> Cause:
    return next((cause for cause in Cause if cause.value == text), Cause.PENDING)


def lost(applied: Applied) -> Applied:
    """Give the record of a run that is gone from its node without a result: a failed attempt."""
    return replace(
        applied,
        status=RunStatus.FAILED,
        ended=applied.ended or applied.started,
        failures=applied.failures + 1,
        detail="its run folder is gone from the node",
    )


def dependency_gate(association: Association, states: Mapping[AssociationName, State]) -> Gate | None:
    """Wait for what it depends on; what the node is no target of is ignored (the plan notes it)."""
    unready = [
        f"{name} ({states[name].value})"
        for name in association.depends_on
        if name in states and states[name] is not State.IN_SYNC
    ]
    return Gate(reason=f"depends on {', '.join(unready)}") if unready else None


def mode_words(mode: Mode) -> str:
    """Say why nothing is done about a finding."""
    return "only reported" if mode is Mode.WARN else "only observed"
