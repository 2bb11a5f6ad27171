"""Baselines, windows, calendars and stored parameters: YAML values -> records that are checked and carried, not yet acted on."""

from reconciler.ids import BaselineName
from reconciler.model.desired import StoredParameter, Unevaluated
from reconciler.model.known import JsonValue
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.text import decode
from reconciler.model.reading.values import Scalar, Table, Value, as_written, plain_json

EXCEPTIONS = ("RejectedPatches", "Holds", "Ignores")
_WITH_REASON = ("Owner", "Reason", "Expires")
_SMALL = 4096


def read_baseline(value: Value, mistakes: Mistakes, *, require_reasons: bool) -> Unevaluated | None:
    """Read one patch baseline; exceptions without owner, reason and end are a lint, or an error where the fleet asks."""
    if not check("baseline", value, mistakes) or not isinstance(value, Table):
        return None
    say = mistakes.error if require_reasons else mistakes.lint
    for key in EXCEPTIONS:
        for place, missing in _without_reason(value, key):
            say(
                place,
                f"{key}: without {missing}",
                remedy="write {Id: ..., Owner: ..., Reason: ..., Expires: 2030-01-31}",
            )
    _say_delays(value, mistakes)
    mistakes.lint(
        value, "baselines are not supported yet: nothing is scanned or installed by them", value=value.scalar("Name")
    )
    return _carried("baseline", BaselineName(value.scalar("Name") or ""), value, mistakes)


def _without_reason(value: Table, key: str) -> list[tuple[Value, str]]:
    found: list[tuple[Value, str]] = [(text, "Owner, Reason and Expires") for text in value.texts(key)]
    for one in value.tables(key):
        missing = [name for name in _WITH_REASON if name not in one.entries]
        if missing:
            found.append((one, " and ".join(missing)))
    return found


def _say_delays(value: Table, mistakes: Mistakes) -> None:
    """Each rule has exactly one delay, but for the apt family, where both may be left out."""
    apt = value.scalar("OperatingSystem") in {"DEBIAN", "UBUNTU", "RASPBIAN"}
    rules = value.table("ApprovalRules")
    for rule in [] if rules is None else rules.tables("PatchRules"):
        delays = rule.entries.keys() & {"ApproveAfterDays", "ApproveUntilDate"}
        if len(delays) > 1 or (not delays and not apt):
            mistakes.error(
                rule, "a rule has one of ApproveAfterDays and ApproveUntilDate", remedy="write ApproveAfterDays: 7"
            )


def read_window(value: Value, mistakes: Mistakes) -> Unevaluated | None:
    """Read one maintenance window."""
    if not check("window", value, mistakes) or not isinstance(value, Table):
        return None
    if (value.integer("Cutoff") or 0) >= (value.integer("Duration") or 0):
        mistakes.error(
            value.entries["Cutoff"], "a cutoff as long as the window leaves no time", remedy="shorten Cutoff"
        )
    mistakes.lint(
        value, "windows are not supported yet: their tasks wait, and nothing runs", value=value.scalar("Name")
    )
    return _carried("window", value.scalar("Name") or "", value, mistakes)


def _carried(kind: str, name: str, value: Table, mistakes: Mistakes) -> Unevaluated:
    body = plain_json(value, _text)
    return Unevaluated(
        kind=kind, name=name, file=f"{mistakes.file}:{value.line}", body=body if isinstance(body, dict) else {}
    )


def _text(scalar: Scalar) -> JsonValue:
    return as_written(scalar)


def read_calendar(data: bytes, name: str, mistakes: Mistakes) -> Unevaluated | None:
    """Take a change calendar as it is, if it looks like one."""
    text = decode(data, mistakes)
    if text is None:
        return None
    if not text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        mistakes.error((1, 1), "not a calendar", value=text[:40], remedy="begin with BEGIN:VCALENDAR")
        return None
    return Unevaluated(kind="calendar", name=name, file=mistakes.file, body={"Content": text})


def read_parameter(value: Value, mistakes: Mistakes) -> StoredParameter | None:
    """Read one stored parameter; a secret in plain text is refused, and not quoted."""
    if isinstance(value, Table) and value.scalar("Type") == "SecureString" and "Value" in value.entries:
        remedy = "take it out and change the secret: it is in the history of git now"
        mistakes.error(value.places["Value"], "a SecureString in plain text", value="[not shown]", remedy=remedy)
        return None
    if not check("parameter", value, mistakes) or not isinstance(value, Table):
        return None
    name, text = value.scalar("Name") or "", value.scalar("Value") or ""
    if name.lower().lstrip("/").startswith(("aws", "ssm")):
        mistakes.error(value.entries["Name"], "names that begin with aws or ssm are reserved", remedy="rename it")
    if "{{" in text:
        mistakes.error(
            value.entries["Value"], "a value holds no {{...}}: references do not nest", remedy="write it out"
        )
    if len(text.encode()) > _SMALL:
        mistakes.lint(value.entries["Value"], f"more than {_SMALL} bytes: an Advanced parameter on AWS", value="")
    return StoredParameter(name=name, type=value.scalar("Type") or "String", values=(text,))
