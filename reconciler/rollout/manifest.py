"""What a run is: the one line of JSON in its folder, which any manager reads again; foreign text when it comes back. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from reconciler.drift.finding import Cause
from reconciler.drift.identity import loaded
from reconciler.drift.told_instant import told_instant
from reconciler.ids import AssociationName, Digest, FleetId, NodeId, RunId

_HEX = re.compile(r"[0-9a-f]{64}")
_ASSOCIATION = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MOST_STARTS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The identity of a run."""

    run: RunId
    fleet: FleetId
    node: NodeId
    association: AssociationName
    definition: Digest
    rendered: Digest
    executions: int
    cause: Cause
    epoch: int
    started: datetime
    """By the clock of the manager that asked for it."""
    steps: tuple[str, ...] = ()
    """Names, where they fitted into the line."""

    def step_name(self, number: int) -> str:
        """Give the name of step `number`, counted from 1."""
        return self.steps[number - 1] if 0 < number <= len(self.steps) else f"step {number}"


def read_manifest(text: str, run: str, node: NodeId) -> Manifest:
    """Read the manifest of the folder `run` on `node`; ValueError where it is not ours, or not that node's."""
    try:
        fields = loaded(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its manifest is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("its manifest is not a JSON object")  # noqa: TRY004  (foreign text is a value, whatever its type)
    if (fields.get("run"), fields.get("node")) != (run, node):
        raise ValueError(f"its manifest is of run {fields.get('run')!r} of node {fields.get('node')!r}")
    names = fields.get("steps", [])
    if not isinstance(names, list):
        names = []
    started = told_instant(_text(fields, "started"))
    if started is None:
        raise ValueError("its manifest does not say when it started")
    return Manifest(
        run=RunId(_matching(_HEX, run)),
        fleet=FleetId(_matching(_FLEET, _text(fields, "fleet"))),
        node=node,
        association=AssociationName(_matching(_ASSOCIATION, _text(fields, "association"))),
        definition=Digest(_matching(_HEX, _text(fields, "definition"))),
        rendered=Digest(_matching(_HEX, _text(fields, "rendered"))),
        executions=_count(fields, "n", 1),
        cause=Cause(_text(fields, "cause")),
        epoch=_count(fields, "epoch", 0),
        started=started,
        steps=tuple(str(name)[:128] for name in names),
    )


def is_of_another_fleet(text: str, fleet: FleetId) -> bool:
    """Tell whether a manifest says that it belongs to another fleet, which manages this node as well."""
    try:
        fields = loaded(text)
    except (ValueError, RecursionError):
        return False
    whose = fields.get("fleet") if isinstance(fields, dict) else None
    return isinstance(whose, str) and whose != fleet


def _count(fields: dict[str, object], key: str, least: int) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_STARTS:
        raise ValueError(f"its manifest has no proper {key}")
    return value


def _text(fields: dict[str, object], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise ValueError(f"its manifest has no {key}")  # noqa: TRY004  (foreign text is a value, whatever its type)
    return value


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"its manifest holds {text[:80]!r} where an id belongs")
    return text
