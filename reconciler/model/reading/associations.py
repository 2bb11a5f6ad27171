"""`state/associations/*.yaml`: YAML values -> Association records; looks at no other file."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from reconciler.ids import AssociationName, DocumentName
from reconciler.model.association import Association, Severity, Target
from reconciler.model.known import JsonValue
from reconciler.model.node import Mode
from reconciler.model.reading.expectations import read_expectations
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Items, Scalar, Table, Value, as_written, is_null, plain_json, resolve

CheckSchedule: TypeAlias = Callable[[str], tuple[Sequence[str], Sequence[str]]]
"""A schedule expression -> its errors, and its lints."""

GATES = (
    "AlarmConfiguration",
    "ApplyOnlyAtCronInterval",
    "Bake",
    "CalendarNames",
    "Duration",
    "MaxUnavailable",
    "OnMissed",
    "Probes",
    "ScheduleOffset",
    "StopAfter",
    "Unreachable",
    "Waves",
)
"""Gates that are not built yet: what asks for one waits, rather than run without it."""
_ELSEWHERE = {
    "TargetMaps": "give one association for each group of nodes instead",
    "TargetLocations": "accounts and regions mean nothing here: remove it",
    "AutomationTargetParameterName": "only runbooks have it, and these do not run here",
}


def read_association(value: Value, check_schedule: CheckSchedule | None, mistakes: Mistakes) -> Association | None:
    """Read one association; None after a mistake that the schema sees."""
    fits = check("association", value, mistakes)
    if not isinstance(value, Table):
        return None
    _say_refused(value, mistakes)
    _say_schedule(value, check_schedule, mistakes)
    found, targets = value.table("Expect"), _targets(value, mistakes)
    expect = None if found is None else read_expectations(found, mistakes)
    if not fits:
        return None
    scalar = value.scalar
    return Association(
        name=AssociationName(scalar("AssociationName") or ""),
        document=DocumentName(scalar("Name") or ""),
        document_version=scalar("DocumentVersion") or "$DEFAULT",
        targets=targets,
        parameters=_parameters(value.table("Parameters")),
        schedule=scalar("ScheduleExpression"),
        apply_only_at_cron_interval=value.flag("ApplyOnlyAtCronInterval"),
        max_concurrency=scalar("MaxConcurrency") or "50",
        max_errors=scalar("MaxErrors") or "100%",
        severity=Severity(scalar("ComplianceSeverity") or "UNSPECIFIED"),
        expect=expect,
        mode=Mode(scalar("Mode") or "enforce"),
        depends_on=tuple(AssociationName(name.text) for name in value.texts("DependsOn")),
        run_on_change=_run_on_change(value, mistakes),
        check_as_root=scalar("CheckAs") == "become",
        unsupported=_unsupported(value, mistakes),
        file=f"{mistakes.file}:{value.line}",
    )


def _targets(value: Table, mistakes: Mistakes) -> tuple[Target, ...]:
    found = [_target(one, mistakes) for one in value.tables("Targets")]
    instance = value.scalar("InstanceId")
    if instance is not None and not found:
        mistakes.lint(
            value.places["InstanceId"], "an old form", remedy=f"write {{Key: InstanceIds, Values: [{instance}]}}"
        )
        found = [Target(key="InstanceIds", values=(instance,))]
    elif instance is not None and found != [Target(key="InstanceIds", values=(instance,))]:
        mistakes.error(value.places["InstanceId"], "InstanceId beside Targets", remedy="keep Targets")
    elif instance is not None:  # so the service answers about an association of the old form
        mistakes.lint(value.places["InstanceId"], "InstanceId says what Targets says, too", remedy="keep Targets")
    if not found:
        place = value.entries.get("Targets", value)
        remedy = "add Targets: [{Key: 'tag:Role', Values: [web]}]; [{Key: InstanceIds, Values: ['*']}] means every node"
        mistakes.error(place, "the association names no targets", value="", remedy=remedy)
    kinds = {target.key.partition(":")[0] for target in found}
    if len(kinds) > 1 and "InstanceIds" in kinds:
        mistakes.lint(value.entries["Targets"], "tags and node ids together: a node must fit both")
    return tuple(found)


def _target(one: Table, mistakes: Mistakes) -> Target:
    key = one.scalar("Key") or ""
    values = tuple(text.text for text in one.texts("Values"))
    if key.lower() == "instanceids":
        key = "InstanceIds"
        if "*" in values and len(values) > 1:
            mistakes.error(one.entries["Values"], "'*' already means every node", remedy="write Values: ['*']")
    if key == "resource-groups:Name" and len(values) != 1:
        mistakes.error(one.entries.get("Values", one), "this key takes exactly one group", remedy="write Values: [web]")
    elif not values:
        mistakes.error(
            one.entries.get("Values", one), "a target without values means no node", remedy="add Values: [...]"
        )
    return Target(key=key, values=values)


def _parameters(value: Table | None) -> dict[str, JsonValue]:
    """Keep text as written: the entries of lists, and decimals, whose last zero would be lost."""
    return {} if value is None else {key: _parameter(item) for key, item in value.entries.items()}


def _parameter(value: Value) -> JsonValue:
    if isinstance(value, Items):
        return [as_written(item) if isinstance(item, Scalar) else plain_json(item, _exact) for item in value.items]
    return plain_json(value, _exact)


def _exact(scalar: Scalar) -> JsonValue:
    found = resolve(scalar)
    return scalar.text if isinstance(found, float) else found


def _unsupported(value: Table, mistakes: Mistakes) -> tuple[str, ...]:
    asked = [key for key in GATES if key in value.entries and not _asks_nothing(value.entries[key])]
    for key in asked:
        mistakes.lint(value.places[key], "not supported yet: this association waits, and nothing runs", value=key)
    if value.scalar("SyncCompliance") == "MANUAL":
        asked.append("SyncCompliance")
        mistakes.lint(value.entries["SyncCompliance"], "not supported yet: this association waits, and nothing runs")
    return tuple(sorted(asked))


def _asks_nothing(value: Value) -> bool:
    if isinstance(value, Scalar):
        return is_null(value) or resolve(value) is False
    return not (value.items if isinstance(value, Items) else value.entries)


def _say_refused(value: Table, mistakes: Mistakes) -> None:
    for key, remedy in _ELSEWHERE.items():
        if key in value.entries and not _asks_nothing(value.entries[key]):
            mistakes.error(value.places[key], "this cannot be done here", value=key, remedy=remedy)
    if "OutputLocation" in value.entries:
        mistakes.lint(
            value.places["OutputLocation"], "ignored: output stays on the management host", value="OutputLocation"
        )


def _say_schedule(value: Table, check_schedule: CheckSchedule | None, mistakes: Mistakes) -> None:
    text = value.scalar("ScheduleExpression")
    if text is None:
        return
    place = value.entries["ScheduleExpression"]
    errors, lints = check_schedule(text) if check_schedule is not None else ((), ())
    for message in errors:
        mistakes.error(place, f"ScheduleExpression: {message}")
    for message in lints:
        mistakes.lint(place, f"ScheduleExpression: {message}")
    if value.flag("ApplyOnlyAtCronInterval") and text.lower().startswith("rate("):
        mistakes.error(place, "ApplyOnlyAtCronInterval goes with cron() and at() only", remedy="remove one of them")
    if "ScheduleOffset" in value.entries and not text.lower().startswith("cron("):
        mistakes.error(value.places["ScheduleOffset"], "ScheduleOffset goes with cron() only", remedy="remove it")


def _run_on_change(value: Table, mistakes: Mistakes) -> bool:
    if "Expect" not in value.entries:
        for key in ("RunOnChange", "CheckAs"):
            if key in value.entries:
                mistakes.lint(value.places[key], "this means something only with Expect", value=key)
    return value.flag("RunOnChange")
