"""Windows, calendars and stored parameters: YAML values -> records; windows and calendars are carried, not yet acted on."""

from reconciler.model.desired import StoredParameter, Unevaluated
from reconciler.model.known import JsonValue
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.text import decode, without_mark
from reconciler.model.reading.values import Scalar, Table, Value, as_written, plain_json

_SMALL = 4096


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
    bare = without_mark(data)
    if bare != data:
        message = "the calendar begins with a byte order mark, which is left out"
        mistakes.lint((1, 1), message, remedy="save it as UTF-8 without BOM")
    text = decode(bare, mistakes)
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
    # There is one version here: git keeps the others.
    labels = {label.text: 1 for label in value.texts("Labels")}
    return StoredParameter(name=name, type=value.scalar("Type") or "String", values=(text,), labels=labels)
