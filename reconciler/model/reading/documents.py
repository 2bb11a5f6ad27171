"""One document file: YAML or JSON values -> a Document record, by the rules of schema 1.x and 2.x; renders nothing.

As lenient as the node agent where real documents need it (case of keys, numbers for text, stray keys), each time with a
lint; strict where a document would not do what it says (names, versions, doubled steps).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from reconciler.ids import Digest, DocumentName
from reconciler.model.document import Document, Parameter, Step
from reconciler.model.java_pattern import PatternError, PatternNotHere, PatternTooLarge, from_java
from reconciler.model.known import JsonValue
from reconciler.model.reading.flow_lints import lint_flow
from reconciler.model.reading.injection import lint_injections
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.pasted_lists import lint_pasted_lists
from reconciler.model.reading.runbooks import CHANGE_TEMPLATE, check_runbook
from reconciler.model.reading.runbooks import SCHEMA_VERSION as RUNBOOK
from reconciler.model.reading.schema import check
from reconciler.model.reading.step_lints import BESIDE_INPUTS, lint_steps
from reconciler.model.reading.values import Items, Scalar, Table, Value, as_written, is_null, plain_json, resolve
from reconciler.model.token import TOKEN

SCHEMA_VERSIONS = ("1.0", "1.2", "2.0", "2.0.1", "2.0.2", "2.0.3", "2.2")
_TOP = ("schemaVersion", "description", "parameters", "runtimeConfig", "mainSteps")
_TOP_IGNORED = ("$schema", "assumeRole", "outputs", "files", "variables")
_STEP = ("action", "name", "inputs", "precondition")
_STEP_IGNORED = ("description", "settings", "isCritical", "isEnd", "nextStep", "onCancel", "outputs")
_PARAMETER = (
    "type",
    "description",
    "default",
    "allowedValues",
    "allowedPattern",
    "displayType",
    "minChars",
    "maxChars",
    "minItems",
    "maxItems",
    "interpolationType",
)
_PLUGIN = ("properties", "settings", "description", "precondition")
_MOST = 2**31 - 1
_CONTENT_LIMIT = 64 * 1024
_SCRIPT_KEYS = {"runcommand", "commands"}
_ENV_VAR = "ENV_VAR"


def read_document(value: Value, data: bytes, name: DocumentName, version: str, mistakes: Mistakes) -> Document | None:
    """Read one version of a document; None after a mistake."""
    value = _spelled(value, (*_TOP, *_TOP_IGNORED, *_of_a_change(value)), mistakes)
    schema_version = _schema_version(value, mistakes)
    if schema_version is None:
        return None
    if schema_version == RUNBOOK:
        return _runbook(value, data, name, version, mistakes)
    value = _without_nulls(_spelled_within(value, mistakes), schema_version)
    fits = check("document", value, mistakes)
    if not isinstance(value, Table):
        return None
    if len(data) > _CONTENT_LIMIT:
        mistakes.lint((0, 0), f"{len(data)} bytes: SSM takes at most {_CONTENT_LIMIT}")
    steps = (_plugins if schema_version.startswith("1") else _steps)(value, schema_version, mistakes)
    parameters = _parameters(value.table("parameters"), schema_version, mistakes)
    for key in ("mainSteps", "runtimeConfig"):
        _refuse_nul(value.entries.get(key), mistakes)
    if not fits:
        return None
    lint_steps(value, mistakes)
    lint_flow(value, parameters, mistakes)
    lint_injections(value, parameters, mistakes)
    lint_pasted_lists(value, parameters, mistakes)
    return Document(
        name=name,
        version=version,
        schema_version=schema_version,
        description=value.scalar("description") or "",
        parameters=parameters,
        steps=steps,
        digest=Digest(hashlib.sha256(data).hexdigest()),
        file=mistakes.file,
        text=data,
    )


def _runbook(value: Value, data: bytes, name: DocumentName, version: str, mistakes: Mistakes) -> Document | None:
    """Read an Automation runbook: it may lie in a repository, and has no steps that a node could run."""
    if not isinstance(value, Table):
        return None
    check_runbook(value, mistakes)
    if mistakes.found_errors:
        return None
    return Document(
        name=name,
        version=version,
        schema_version=RUNBOOK,
        description=value.scalar("description") or "",
        digest=Digest(hashlib.sha256(data).hexdigest()),
        file=mistakes.file,
        text=data,
    )


def _of_a_change(value: Value) -> Sequence[str]:
    return CHANGE_TEMPLATE if isinstance(value, Table) and value.scalar("schemaVersion") == RUNBOOK else ()


def _schema_version(value: Value, mistakes: Mistakes) -> str | None:
    """Give the schema version; None after saying why such a document does not run here."""
    if not isinstance(value, Table):
        check("document", value, mistakes)
        return None
    found = value.entries.get("schemaVersion")
    text = value.scalar("schemaVersion")
    if found is None:
        mistakes.error(value, "schemaVersion is missing", value="", remedy="begin with schemaVersion: '2.2'")
    elif text is None:
        met = None if isinstance(found, Scalar) else ""
        mistakes.error(found, "schemaVersion is no text", value=met, remedy="write schemaVersion: '2.2'")
    elif text == "1.0" and ("sessionType" in value.entries or "inputs" in value.entries):
        mistakes.error(found, "a Session document: it holds preferences and runs nothing", remedy="remove the file")
    elif text == "1.0" and "templateBody" in value.entries:
        message = "a CloudFormation document: it makes a stack on AWS, and runs nothing on a node"
        mistakes.error(found, message, remedy="remove the file")
    elif "packages" in value.entries and "files" in value.entries:
        message = "the manifest of a Distributor package, not a document"
        mistakes.error(found, message, remedy="move it to packages/NAME/VERSION/manifest.json")
    elif text not in {*SCHEMA_VERSIONS, RUNBOOK}:
        mistakes.error(found, "an unsupported schemaVersion", remedy=f"write one of {', '.join(SCHEMA_VERSIONS)}")
    else:
        return text
    return None


def _refuse_nul(value: Value | None, mistakes: Mistakes) -> None:
    """Refuse a NUL in what a node is given: patterns may hold one, programs cannot."""
    if isinstance(value, Scalar) and "\0" in value.text:
        mistakes.error(value, "a NUL in a text", value="", remedy="remove it")
    elif isinstance(value, Items):
        for item in value.items:
            _refuse_nul(item, mistakes)
    elif isinstance(value, Table):
        for item in value.entries.values():
            _refuse_nul(item, mistakes)


def _spelled_within(value: Value, mistakes: Mistakes) -> Value:
    """Give the document with the keys of its parameters, steps and plugins in their documented spelling."""
    if not isinstance(value, Table):
        return value
    entries = dict(value.entries)
    tables: Mapping[str, Sequence[str]] = {"parameters": _PARAMETER, "runtimeConfig": _PLUGIN}
    for key, known in tables.items():
        inner = entries.get(key)
        if isinstance(inner, Table):
            spelled = {name: _spelled(one, known, mistakes) for name, one in inner.entries.items()}
            entries[key] = inner._replace(entries=spelled)
    steps = entries.get("mainSteps")
    if isinstance(steps, Items):
        of_step = (*_STEP, *_STEP_IGNORED, *BESIDE_INPUTS)
        entries["mainSteps"] = steps._replace(items=[_spelled(one, of_step, mistakes) for one in steps.items])
    return value._replace(entries=entries)


def _without_nulls(value: Value, schema_version: str) -> Value:
    """Leave out what says nothing: the service writes null for keys of the other schema, and for absent preconditions."""
    if not isinstance(value, Table):
        return value
    of_the_other = "mainSteps" if schema_version.startswith("1") else "runtimeConfig"
    entries = dict(value.entries)
    if of_the_other in entries and is_null(entries[of_the_other]):
        del entries[of_the_other]
    steps, plugins = entries.get("mainSteps"), entries.get("runtimeConfig")
    if isinstance(steps, Items):
        entries["mainSteps"] = steps._replace(items=[_without_null_precondition(one) for one in steps.items])
    if isinstance(plugins, Table):
        bare = {name: _without_null_precondition(one) for name, one in plugins.entries.items()}
        entries["runtimeConfig"] = plugins._replace(entries=bare)
    return value._replace(entries=entries)


def _without_null_precondition(step: Value) -> Value:
    if not isinstance(step, Table) or "precondition" not in step.entries or not is_null(step.entries["precondition"]):
        return step
    return step._replace(entries={key: item for key, item in step.entries.items() if key != "precondition"})


def _spelled(value: Value, known: Sequence[str], mistakes: Mistakes) -> Value:
    """Give a mapping with its keys as documented, whatever their case; lint these and unknown ones, which are ignored."""
    if not isinstance(value, Table):
        return value
    folded = {key.lower(): key for key in known}
    entries: dict[str, Value] = {}
    places: dict[str, tuple[int, int]] = {}
    for key, item in value.entries.items():
        right = folded.get(key.lower())
        if right is None:
            guess = mistakes.guess(key, known)
            remedy = f"did you mean {guess}?" if guess else "remove it"
            mistakes.lint(value.places[key], "an unknown key, which is ignored", value=key, remedy=remedy)
        elif right != key:
            mistakes.lint(
                value.places[key], "the case of this key is not the documented one", value=key, remedy=f"write {right}"
            )
        name = right if right is not None and right not in value.entries else key
        entries[name] = item
        places[name] = value.places[key]
    return Table(entries, places, value.line, value.column)


# ---------------------------------------------------------------- parameters


def _parameters(value: Table | None, schema_version: str, mistakes: Mistakes) -> Mapping[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, one in () if value is None else value.entries.items():
        if value is not None and not re.fullmatch(r"[a-zA-Z0-9]+", name):
            message = "a parameter's name has letters and digits only: on AWS a value given for another never arrives"
            mistakes.error(value.places[name], message, value=name, remedy="rename it")
        elif isinstance(one, Table):
            found[name] = _parameter(name, one, schema_version, mistakes)
    return found


def _parameter(name: str, value: Table, schema_version: str, mistakes: Mistakes) -> Parameter:
    kind = _type(value)
    scalar = as_written if kind in {"String", "StringList"} else resolve
    default, allowed = value.entries.get("default"), value.entries.get("allowedValues")
    for given in (default, allowed):
        _refuse_nul(given, mistakes)
    return Parameter(
        name=name,
        type=kind,
        required=default is None or is_null(default),
        default=None if default is None else plain_json(default, scalar),
        # Empty ones, as consoles write them, are no rule: nothing could be given.
        allowed_values=tuple(plain_json(item, scalar) for item in allowed.items)
        if isinstance(allowed, Items) and allowed.items
        else None,
        allowed_pattern=_pattern(value, mistakes),
        min_chars=_limit(value, "minChars", mistakes),
        max_chars=_limit(value, "maxChars", mistakes),
        min_items=_limit(value, "minItems", mistakes),
        max_items=_limit(value, "maxItems", mistakes),
        env_var=_is_env_var(value, kind, schema_version, mistakes),
    )


def _is_env_var(value: Table, kind: str, schema_version: str, mistakes: Mistakes) -> bool:
    """Read interpolationType; refuse it where it would not keep the value out of the script, as its author trusts."""
    interpolation = value.scalar("interpolationType")
    if interpolation != _ENV_VAR:
        if value.entries.get("interpolationType") is not None and not is_null(value.entries["interpolationType"]):
            message = f"known is {_ENV_VAR} alone: the value would only be pasted"
            mistakes.error(value.entries["interpolationType"], message, remedy=f"write {_ENV_VAR}, or leave it out")
        return False
    place = value.entries["interpolationType"]
    if kind != "String":
        mistakes.error(
            place, f"{_ENV_VAR} is for parameters of type String alone", remedy="make it a String, or leave it out"
        )
    if schema_version != "2.2":
        message = f"schema {schema_version} has no {_ENV_VAR}: the value would only be pasted"
        mistakes.error(place, message, remedy="write schemaVersion: '2.2'")
    return True


def _pattern(value: Table, mistakes: Mistakes) -> str | None:
    """Read a pattern, and say where no value could be held against it."""
    text = value.scalar("allowedPattern")
    if not text:
        return None
    place = value.entries["allowedPattern"]
    try:
        from_java(text)
    except PatternTooLarge as exc:
        mistakes.error(place, f"allowedPattern: {exc}", remedy="write it without repetition within repetition")
    except PatternNotHere as exc:
        message = f"allowedPattern cannot be read, so any value that is given will be refused: {exc}"
        mistakes.lint(place, message, remedy="write it in another way")
    except PatternError as exc:
        mistakes.error(place, f"allowedPattern is no regular expression: {exc}", remedy="write one as Java reads them")
    return text


def _type(value: Table) -> str:
    text = value.scalar("type") or "String"
    if text.startswith("AWS::"):
        return "String"
    return "StringList" if text == "Array" or text.startswith("List<") else text


def _limit(value: Table, key: str, mistakes: Mistakes) -> int | None:
    """Read a number that may be text; out of range it means no limit, as to the agent."""
    found = value.entries.get(key)
    if found is None or is_null(found):
        return None
    number = value.integer(key)
    if number is None and re.fullmatch(r"-?[0-9]+", value.scalar(key) or ""):
        return None
    if number is None:
        mistakes.error(found, f"{key}: not a whole number", remedy="write a number")
        return None
    return number if 0 <= number <= _MOST else None


# ---------------------------------------------------------------- steps


def _steps(value: Table, schema_version: str, mistakes: Mistakes) -> tuple[Step, ...]:
    if "mainSteps" not in value.entries:
        mistakes.error(value, "mainSteps is missing", value="", remedy=f"schema {schema_version} has mainSteps")
        return ()
    seen: dict[str, int] = {}
    steps = []
    for one in value.tables("mainSteps"):
        name = one.scalar("name") or ""
        if name in seen and name:
            message = f"two steps with one name, the first at line {seen[name]}"
            mistakes.error(one.entries["name"], message, remedy="rename one: results are kept by name")
        seen.setdefault(name, one.line)
        action = one.entries.get("action")
        if isinstance(action, Scalar) and not is_null(action) and not isinstance(resolve(action), str):
            mistakes.error(action, "an action is a text", remedy="write action: aws:runShellScript, or another one")
        steps.append(
            Step(
                name=name,
                action=one.scalar("action") or "",
                inputs=_inputs(one.entries.get("inputs")),
                precondition=_precondition(one, schema_version, mistakes),
                line=one.line,
            )
        )
    return tuple(steps)


def _precondition(step: Table, schema_version: str, mistakes: Mistakes) -> Mapping[str, JsonValue] | None:
    found = step.table("precondition")
    if found is None:
        return None
    if schema_version != "2.2":
        message = f"schema {schema_version} has no preconditions: the step will fail"
        mistakes.lint(step.places["precondition"], message, value="precondition", remedy="write schemaVersion: '2.2'")
    for operator in found.entries:
        if operator != "StringEquals":
            message = "known is StringEquals alone: the step will fail"
            mistakes.lint(found.places[operator], message, value=operator, remedy="write StringEquals")
    return {operator: plain_json(item, as_written) for operator, item in found.entries.items()}


def _plugins(value: Table, schema_version: str, mistakes: Mistakes) -> tuple[Step, ...]:
    """Read schema 1.x: each plugin is a step of its own name, in file order."""
    plugins = value.table("runtimeConfig")
    if "runtimeConfig" not in value.entries:
        mistakes.error(
            value, "runtimeConfig is missing", value="", remedy="schema 1.2 has runtimeConfig, 2.2 mainSteps"
        )
    if plugins is None:
        return ()
    steps = []
    for name, one in plugins.entries.items():
        if isinstance(one, Table):
            properties = one.entries.get("properties")
            if isinstance(properties, Scalar) and not is_null(properties) and not _may_be_properties(properties.text):
                message = "properties: neither a mapping, nor a list of mappings, nor a parameter"
                mistakes.error(properties, message, remedy="write properties: [{runCommand: []}]")
            inputs = _inputs(properties)
            condition = _precondition(one, schema_version, mistakes)
            line = plugins.places[name][0]
            steps.append(Step(name=name, action=name, inputs=inputs, precondition=condition, line=line))
    return tuple(steps)


def _may_be_properties(text: str) -> bool:
    """Tell whether a text can stand for properties: a parameter, or JSON, as aws:cloudWatch has it."""
    return TOKEN.fullmatch(text) is not None or text.lstrip()[:1] in {"{", "["}


def _inputs(value: Value | None) -> Mapping[str, JsonValue] | tuple[Mapping[str, JsonValue], ...]:
    if isinstance(value, Table):
        return _input(value)
    if isinstance(value, Items):
        return tuple(_input(item) for item in value.items if isinstance(item, Table))
    if value is None or is_null(value):
        return {}
    return {"properties": value.text}


def _input(value: Table) -> Mapping[str, JsonValue]:
    """Keep values as they are, but commands as written: `- true` is a program, not a boolean."""
    return {
        key: plain_json(item, as_written if key.lower() in _SCRIPT_KEYS else resolve)
        for key, item in value.entries.items()
    }
