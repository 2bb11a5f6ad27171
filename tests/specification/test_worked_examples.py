"""Every worked example and trap of SSM's documents and Run Command, from files; how many there are is kept beside them."""

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from reconciler.commands.answers import plugin_name, step_number
from reconciler.commands.command import prepare
from reconciler.commands.output_place import OutputPlace, key_of
from reconciler.commands.record import CommandRecord, Invocation, StepRecord, begin_record
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
from reconciler.model.outcome import RunRecord
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.output import ERROR_CUT, ERROR_TITLE, LIMITS, OUTPUT_CUT, SUFFIX, combined, truncated
from reconciler.rollout.progress import Ending, Rollout
from tests.commands.three_nodes import three_nodes
from tests.rollout.a_node import HomeNode, run
from tests.rollout.conftest import a_folder
from tests.support.cases import read_cases

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"
FILES = ("documents", "run_command")
ID = UUID("11111111-0000-4000-8000-000000000001")
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
VALUES: dict[str, Any] = {"s": "x y", "l": ["a", "b c"], "m": {"k": "<v>"}, "n": 5, "d": "A$$B"}
STORED = {"sl": StoredParameter(name="sl", type="StringList", values=("id,date",))}


def rows() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for file in FILES:
        read = read_cases(CASES / f"{file}.yaml")
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


@pytest.fixture
def node() -> Iterator[HomeNode]:
    with a_folder() as folder:
        yield HomeNode(folder / "home")


def run_here(node: HomeNode, *inputs: Mapping[str, Any]) -> RunRecord:
    """Render a document with these inputs of its steps, and run it by our own runner. 194 would reboot this machine."""
    assert not any("194" in line for each in inputs for line in each["runCommand"])
    steps = [Step(name=f"s{number}", action="aws:runShellScript", inputs=each) for number, each in enumerate(inputs, 1)]
    return run(node, *render(a_document(*steps), {}, stored={}).steps)


@pytest.mark.parametrize("case", [*params("exits"), *params("script")])
def test_exit_codes(case: Mapping[str, Any], node: HomeNode) -> None:
    if "run_command" in case:
        return
    script = f"exit {case['exits']}" if "exits" in case else case["script"]
    found = run_here(node, {"runCommand": [script]}, {"runCommand": ["true"]})
    assert [step.status for step in found.steps] == [case["status"], case.get("then", "Success")]


@pytest.mark.parametrize("case", params("statuses"))
def test_control_flow(case: Mapping[str, Any], node: HomeNode) -> None:
    found = run_here(
        node,
        *(
            {"runCommand": [f"exit {step['exits']}"], **{key: value for key, value in step.items() if key != "exits"}}
            for step in case["steps"]
        ),
    )
    assert ([step.status for step in found.steps], found.status.value) == (case["statuses"], case["document"])


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


@pytest.mark.parametrize("case", params("both"))
def test_the_field_for_both_streams(case: Mapping[str, Any]) -> None:
    out, err = case["both"]
    field = combined(b"x" * out, b"y" * err)
    assert (len(field), ERROR_TITLE in field) == (case["kept"], err > 0)
    assert (OUTPUT_CUT in field, ERROR_CUT in field) == tuple(case["cut"])


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


def a_record(*invocations: Invocation) -> CommandRecord:
    command = prepare(read_request(typed()), three_nodes(), command=ID, login="ann", now=NOW)
    return begin_record(command, None).with_invocations(invocations)


@pytest.mark.parametrize("case", params("timeline"))
def test_a_whole_dispatch(case: Mapping[str, Any]) -> None:
    """Each event by number of node, and whom it has sent to at once."""
    count = case["targets"]
    names = tuple(NodeId(f"n{number:02}") for number in range(1, count + 1))
    limit, threshold = in_flight_limit(case["concurrency"], count), error_threshold(case["errors"], count)
    rollout = Rollout(limit=limit, threshold=threshold, waiting=names)
    ended: list[Detail] = []
    for event in case["timeline"]:
        if "acknowledged" in event:
            rollout = rollout.acknowledged(names[event["acknowledged"] - 1])
        elif "ended" in event:
            detail = Detail(event["as"])
            ending = Ending.ERROR if detail.is_error else Ending.SUCCESS
            rollout = rollout.ended(names[event["ended"] - 1], ending)
            ended.append(detail)
        rollout, sent = rollout.release(frozenset(rollout.waiting))
        assert [names.index(each) + 1 for each in sent] == event.get("sends", []), event
    assert rollout.in_flight == frozenset()
    details = [*ended, *(Detail.TERMINATED for _ in rollout.waiting)]
    assert dict(Counter(each.value for each in details)) == case["come"]
    assert sum(each.is_error for each in details) == case["error_count"]
    assert sum(each.is_completed for each in details) == case["completed_count"]


@pytest.mark.parametrize("case", params("plugin"))
def test_plugin_names(case: Mapping[str, Any]) -> None:
    steps = tuple(StepRecord(name=name, status="Success", exit_code=0) for name in case["steps"])
    invocation = Invocation(node=NodeId("n1"), detail=Detail.SUCCESS, steps=steps)
    record = replace(a_record(invocation), plugins=tuple(case["plugins"]))
    if "refused" in case:
        with pytest.raises(UsageError, match=case["refused"]):
            step_number(record, invocation, case["plugin"])
    else:
        assert plugin_name(record, invocation, step_number(record, invocation, case["plugin"])) == case["told"]


@pytest.mark.parametrize("case", params("is_error"))
def test_what_counts_as_an_error(case: Mapping[str, Any]) -> None:
    assert Detail(case["name"]).is_error is case["is_error"]


@pytest.mark.parametrize("case", params("small"))
def test_the_small_words(case: Mapping[str, Any]) -> None:
    detail = Detail(case["name"])
    assert (detail.status, detail.ended) == (case["small"], case["ends"])
    known = a_record(Invocation(node=NodeId("n1"), detail=detail))
    late = known.with_invocations([Invocation(node=NodeId("n1"), detail=Detail.FAILED, reason="late")])
    assert (late == known) is case["ends"], "what has ended never changes; a late report is dropped"


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
    counts = read_cases(CASES / "counts.yaml")
    assert dict(Counter(section for section, _, _ in ALL)) == counts
    names = Counter((section, name) for section, name, _ in ALL)
    assert [name for name, count in names.items() if count > 1] == []
    assert set(names) == RUN, "every row is one that a test above takes"
