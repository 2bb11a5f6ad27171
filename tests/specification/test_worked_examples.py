"""Every worked example and trap of SSM's documents and Run Command, from files; how many there are is kept beside them."""

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from reconciler.commands.command import prepare
from reconciler.commands.output_place import OutputPlace, key_of
from reconciler.commands.record import Invocation, begin_record
from reconciler.commands.request import Typed, read_request
from reconciler.commands.statuses import Detail, aggregate
from reconciler.daemon.recording import as_of
from reconciler.documents.actions import support_of
from reconciler.documents.error import RenderError
from reconciler.documents.interpolation import interpolate
from reconciler.documents.parameters import parameter_values
from reconciler.documents.preconditions import Move, decide
from reconciler.documents.render import render
from reconciler.errors import UsageError
from reconciler.ids import Digest, DocumentName, NodeId
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document, DocumentVersions, Parameter, Step
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.output import LIMITS, SUFFIX, truncated
from tests.commands.three_nodes import three_nodes
from tests.documents.reference_model import expected

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"
FILES = ("documents", "run_command")
ID = UUID("11111111-0000-4000-8000-000000000001")
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
VALUES: dict[str, Any] = {"s": "x y", "l": ["a", "b c"], "m": {"k": "<v>"}, "n": 5, "d": "A$$B"}
STORED = {"sl": StoredParameter(name="sl", type="StringList", values=("id,date",))}


def rows() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for file in FILES:
        read = yaml.safe_load((CASES / f"{file}.yaml").read_text(encoding="utf-8"))
        for section, examples in read.items():
            yield from ((f"{file} {section}", str(example["name"]), example) for example in examples)


ALL = list(rows())
RUN: set[tuple[str, str]] = set()


def params(kind: str) -> list[Any]:
    found = [(section, name, case) for section, name, case in ALL if kind in case]
    RUN.update((section, name) for section, name, _ in found)
    return [pytest.param(case, id=f"{section} {name}") for section, name, case in found]


def a_document(*steps: Step, schema: str = "2.2", **parameters: Parameter) -> Document:
    return Document(
        name=DocumentName("Doc"), schema_version=schema, parameters=parameters, steps=steps, digest=Digest("0" * 64)
    )


def a_parameter(name: str, **fields: Any) -> Parameter:
    return Parameter(**{"name": name, "type": "String", "required": "default" not in fields, **fields})


@pytest.mark.parametrize("case", params("ask"))
def test_versions(case: Mapping[str, Any]) -> None:
    one = a_document()
    known = DocumentVersions(
        name=one.name,
        versions=dict.fromkeys(case["versions"], one),
        default=case["default"],
        latest=case["versions"][-1],
    )
    marked = {number: a_document(schema=number) for number in case["versions"]}
    found = DocumentVersions(name=known.name, versions=marked, default=known.default, latest=known.latest).get(
        case["ask"]
    )
    assert found is not None
    assert found.schema_version == case["gives"]


@pytest.mark.parametrize("case", params("parameter"))
def test_parameters(case: Mapping[str, Any]) -> None:
    declared = {"p": a_parameter("p", **case["parameter"])}
    if "refused" in case:
        with pytest.raises(RenderError, match=case["refused"]):
            parameter_values(declared, {"p": case["given"]}, {})
    else:
        assert parameter_values(declared, {"p": case["given"]}, {}) == {"p": case["value"]}


@pytest.mark.parametrize("case", params("token"))
def test_interpolation(case: Mapping[str, Any]) -> None:
    assert interpolate(case["token"], VALUES) == case["becomes"]


@pytest.mark.parametrize("case", params("run_command"))
def test_run_command(case: Mapping[str, Any]) -> None:
    step = Step(name="run", action="aws:runShellScript", inputs={"runCommand": case["run_command"]})
    lists = a_parameter("commands", type="StringList", default=[])
    document = a_document(step, commands=lists, one=a_parameter("one", default="single"))
    given = {"commands": case["commands"]}
    if "refused" in case:
        with pytest.raises(RenderError, match=case["refused"]):
            render(document, given, stored=STORED)
        return
    (made,) = render(document, given, stored=STORED).steps
    if "fails" in case:
        assert case["fails"] in (made.fail or "")
    else:
        assert made.script == case["script"].encode()


@pytest.mark.parametrize("case", [*params("exits"), *params("script")])
def test_exit_codes(case: Mapping[str, Any]) -> None:
    """By the model that documents on real nodes are held against; a whole script's own code is that of its end."""
    if "run_command" in case:
        return
    code = case["exits"] if "exits" in case else subprocess.run(["sh", "-c", case["script"]], check=False).returncode
    steps = [
        {"name": name, "action": "aws:runShellScript", "inputs": {"runCommand": [name]}} for name in ("first", "second")
    ]
    results, _ = expected({"schemaVersion": "2.2", "mainSteps": steps}, {"first": code, "second": 0}, {})
    assert [status for status, _ in results] == [case["status"], case.get("then", "Success")]


@pytest.mark.parametrize("case", params("statuses"))
def test_control_flow(case: Mapping[str, Any]) -> None:
    steps, codes = [], {}
    for number, step in enumerate(case["steps"]):
        line = f"line {number}"
        codes[line] = step["exits"]
        modifiers = {key: value for key, value in step.items() if key != "exits"}
        steps.append(
            {"name": f"s{number}", "action": "aws:runShellScript", "inputs": {"runCommand": [line], **modifiers}}
        )
    results, document = expected({"schemaVersion": "2.2", "mainSteps": steps}, codes, {})
    assert ([status for status, _ in results], document) == (case["statuses"], case["document"])


@pytest.mark.parametrize("case", params("move"))
def test_preconditions(case: Mapping[str, Any]) -> None:
    decision = decide(
        action=case["action"],
        support=support_of(case["action"]),
        schema_version=case["schema"],
        precondition=case["precondition"],
        values={"action": "Install", "confirm": "yes"},
    )
    assert decision.move is Move(case["move"])


@pytest.mark.parametrize("case", params("stdout"))
def test_output(case: Mapping[str, Any]) -> None:
    kept = truncated(b"x" * case["stdout"], LIMITS["out"])
    assert (len(kept), kept.endswith(SUFFIX)) == (case["kept"], case["is_cut"])


@pytest.mark.parametrize("case", params("lines"))
def test_one_script(case: Mapping[str, Any], tmp_path: Path) -> None:
    step = Step(name="run", action="aws:runShellScript", inputs={"runCommand": case["lines"]})
    (made,) = render(a_document(step), {}, stored={}).steps
    (tmp_path / "script").write_bytes(made.script or b"")
    done = subprocess.run(["sh", tmp_path / "script"], capture_output=True, text=True, check=True)
    assert done.stdout == case["prints"]


def typed(**fields: Any) -> Typed:
    wanted: dict[str, Any] = {"document_name": "AWS-RunShellScript", "parameters": ["commands=id"], **fields}
    if "targets" not in wanted:
        wanted["instance_ids"] = ["n1"]
    return Typed(**wanted)


@pytest.mark.parametrize(
    "case", [*params("taken"), *[each for each in params("concurrency") if "at_once" not in each.values[0]]]
)
def test_the_syntax_of_rates(case: Mapping[str, Any]) -> None:
    wanted = typed(max_concurrency=case.get("concurrency", "1"), max_errors=case.get("errors", "0"))
    if "refused" in case:
        with pytest.raises(UsageError, match=case["refused"]):
            read_request(wanted)
    else:
        read_request(wanted)


@pytest.mark.parametrize("case", params("match"))
def test_targets(case: Mapping[str, Any]) -> None:
    command = prepare(read_request(typed(targets=case["targets"])), three_nodes(), command=ID, login="ann", now=NOW)
    assert list(command.nodes) == case["match"]


@pytest.mark.parametrize("case", params("at_once"))
def test_concurrency(case: Mapping[str, Any]) -> None:
    assert min(case["targets"], in_flight_limit(case["concurrency"], case["targets"])) == case["at_once"]


@pytest.mark.parametrize("case", params("stops_at"))
def test_errors(case: Mapping[str, Any]) -> None:
    stops = error_threshold(case["errors"], case["targets"]) + 1
    assert (stops if stops <= case["targets"] else None) == case["stops_at"]


@pytest.mark.parametrize("case", params("is_error"))
def test_what_counts_as_an_error(case: Mapping[str, Any]) -> None:
    assert Detail(case["name"]).is_error is case["is_error"]


@pytest.mark.parametrize("case", params("small"))
def test_the_small_words(case: Mapping[str, Any]) -> None:
    assert (Detail(case["name"]).status, Detail(case["name"]).ended) == (case["small"], case["ends"])


@pytest.mark.parametrize("case", params("tolerated"))
def test_what_commands_come_to(case: Mapping[str, Any]) -> None:
    details = [Detail(name) for name, count in case["nodes"].items() for _ in range(count)]
    verdict = aggregate(details, threshold=case["tolerated"], stopped=case.get("stopped", False), cancelled=False)
    assert verdict.detail == case["detail"]


@pytest.mark.parametrize("case", params("expires"))
def test_when_it_expires(case: Mapping[str, Any]) -> None:
    wanted = typed(timeout_seconds=case["timeout"], parameters=["commands=id", f"executionTimeout={case['execution']}"])
    command = prepare(read_request(wanted), three_nodes(), command=ID, login="ann", now=NOW)
    assert command.expires - command.requested == timedelta(seconds=case["expires"])


@pytest.mark.parametrize("case", params("expired"))
def test_what_was_never_heard_of(case: Mapping[str, Any]) -> None:
    command = prepare(read_request(typed()), three_nodes(), command=ID, login="ann", now=NOW)
    record = begin_record(command, None).with_invocations(
        [Invocation(node=NodeId("n1"), detail=Detail(case["begins"]))]
    )
    moment = command.expires if case["expired"] else command.expires - timedelta(seconds=1)
    assert as_of(record, moment).invocations[0].detail == case["becomes"]


@pytest.mark.parametrize("case", params("key"))
def test_where_output_stands(case: Mapping[str, Any]) -> None:
    found = key_of(OutputPlace(bucket="b", prefix="logs"), ID, NodeId("i-0abc"), case["action"], case["step"], "stdout")
    assert found == f"logs/{ID}/i-0abc/{case['key']}"


@pytest.mark.parametrize("case", params("shown"))
def test_what_another_test_shows_is_there(case: Mapping[str, Any]) -> None:
    file, _, name = case["shown"].partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_example_is_lost() -> None:
    counts = yaml.safe_load((CASES / "counts.yaml").read_text(encoding="utf-8"))
    assert dict(Counter(section for section, _, _ in ALL)) == counts
    names = Counter((section, name) for section, name, _ in ALL)
    assert [name for name, count in names.items() if count > 1] == []
    assert set(names) == RUN, "every row is one that a test above takes"
