import ast
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.documents import actions
from reconciler.documents.actions import ACTIONS, support_of
from reconciler.documents.error import RenderError
from reconciler.documents.interpolation import interpolate, resolve_stored
from reconciler.documents.parameters import parameter_values
from reconciler.documents.preconditions import Move, Support, decide
from reconciler.documents.render import Place, Rendered, RenderedStep, render
from reconciler.ids import Digest, DocumentName
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document, DocumentVersions, Parameter, Step
from reconciler.model.known import JsonValue
from tests.support.cases import read_cases

CASES = Path(__file__).parent / "cases"
STORED = {
    "/a/st": StoredParameter(name="/a/st", type="String", values=("first", "stored"), labels={"before": 1, "now": 2}),
    "st": StoredParameter(name="st", type="String", values=("stored",)),
    "sl": StoredParameter(name="sl", type="StringList", values=("id,date",)),
    "secret": StoredParameter(name="secret", type="SecureString", values=("hunter2",)),
}
VALUES: dict[str, JsonValue] = {
    "s": "x y",
    "l": ["a", "b c"],
    "m": {"k": "<v>"},
    "n": 5,
    "d": "A$$B",
    "b": True,
    "r": "{{ s }}",
}


def cases(name: str) -> list[Any]:
    entries = read_cases(CASES / f"{name}.yaml")
    return [
        pytest.param(entry, id=str(entry.get("name", entry.get("input", number))))
        for number, entry in enumerate(entries)
    ]


def a_parameter(name: str = "p", **fields: Any) -> Parameter:
    lists = {key: tuple(value) for key, value in fields.items() if key == "allowed_values"}
    return Parameter(**{"name": name, "type": "String", "required": "default" not in fields, **fields, **lists})


def a_document(*steps: Step, parameters: dict[str, Parameter] | None = None, schema: str = "2.2") -> Document:
    return Document(
        name=DocumentName("Doc"),
        schema_version=schema,
        parameters=parameters or {},
        steps=steps,
        digest=Digest("0" * 64),
    )


def a_script(*lines: Any, name: str = "run", **inputs: Any) -> Step:
    return Step(name=name, action="aws:runShellScript", inputs={"runCommand": list(lines), **inputs})


def only(rendered: Rendered) -> RenderedStep:
    (step,) = rendered.steps
    return step


@pytest.mark.parametrize("case", cases("interpolation"))
def test_tokens_become_values(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(RenderError, match=case["refused"]):
            resolve_stored(interpolate(case["input"], VALUES), STORED)
    else:
        assert resolve_stored(interpolate(case["input"], VALUES), STORED) == case["expect"]


@pytest.mark.parametrize("case", cases("parameters"))
def test_parameters_are_converted_and_checked(case: dict[str, Any]) -> None:
    declared = {"p": a_parameter(**case["parameter"])}
    given_values = {"p": case["given"]} if "given" in case else {}
    if "refused" in case:
        with pytest.raises(RenderError, match=case["refused"]):
            parameter_values(declared, given_values, STORED)
    else:
        assert parameter_values(declared, given_values, STORED) == {"p": case["expect"]}


def test_an_undeclared_parameter_is_refused_with_what_there_is() -> None:
    with pytest.raises(RenderError, match=r"Text is not declared by the document \(it declares: text\)"):
        parameter_values({"text": a_parameter("text")}, {"Text": ["x"]}, {})


@pytest.mark.parametrize("case", cases("preconditions"))
def test_preconditions_run_skip_or_fail(case: dict[str, Any]) -> None:
    decision = decide(
        action="aws:runShellScript",
        support=Support.HERE,
        schema_version="2.2",
        precondition=case["precondition"],
        values={"action": "Install", "confirm": "yes", "list": ["a"]},
    )
    assert decision.move is Move(case["move"])
    assert decision.reason


FALSE, ODD, TRUE = ({"StringEquals": ["platformType", name]} for name in ("Windows", "{{ p }}", "Linux"))


@pytest.mark.parametrize(
    ("schema", "support", "precondition", "move"),
    [
        ("1.2", Support.UNKNOWN, None, Move.FAIL),
        ("2.0", Support.NOT_HERE, None, Move.FAIL),
        ("2.0", Support.HERE, TRUE, Move.FAIL),
        ("1.2", Support.HERE, TRUE, Move.FAIL),
        ("1.2", Support.HERE, FALSE, Move.FAIL),
        ("1.2", Support.HERE, None, Move.RUN),
        ("2.0", Support.HERE, None, Move.RUN),
        ("2.2", Support.UNKNOWN, None, Move.FAIL),
        ("2.2", Support.NOT_HERE, None, Move.SKIP),
        ("2.2", Support.UNKNOWN, TRUE, Move.FAIL),
        ("2.2", Support.UNKNOWN, ODD, Move.FAIL),
        ("2.2", Support.NOT_HERE, TRUE, Move.SKIP),
        ("2.2", Support.NOT_HERE, ODD, Move.SKIP),
        ("2.2", Support.UNKNOWN, FALSE, Move.SKIP),
        ("2.2", Support.HERE, FALSE, Move.SKIP),
        ("2.2", Support.HERE, ODD, Move.FAIL),
        ("2.2", Support.HERE, TRUE, Move.RUN),
    ],
)
def test_ssms_table_of_support_and_preconditions(
    schema: str, support: Support, precondition: dict[str, Any] | None, move: Move
) -> None:
    decision = decide(
        action="aws:x", support=support, schema_version=schema, precondition=precondition, values={"p": "Linux"}
    )
    assert decision.move is move


@pytest.mark.parametrize(
    ("lines", "values", "script"),
    [
        pytest.param("{{ commands }}", {"commands": ["a", "b"]}, "a\nb\n", id="a whole list"),
        pytest.param(["{{ commands }}"], {"commands": ["a", "b"]}, "a\nb\n", id="a list in a list is flattened"),
        pytest.param(["set -e", "{{ commands }}"], {"commands": ["a"]}, "set -e\na\n", id="after another line"),
        pytest.param(["for f in {{ commands }}"], {"commands": ["a"]}, 'for f in ["a"]\n', id="embedded is json"),
        pytest.param(["cd /tmp", "X=1"], {"commands": []}, "cd /tmp\nX=1\n", id="one script"),
    ],
)
def test_run_command_is_one_script(lines: Any, values: dict[str, Any], script: str) -> None:
    step = Step(name="run", action="aws:runShellScript", inputs={"runCommand": lines})
    document = a_document(step, parameters={"commands": a_parameter("commands", type="StringList")})
    assert only(render(document, values, stored={})).script == script.encode()


def test_a_default_that_is_a_list_of_the_store_becomes_its_lines() -> None:
    commands = a_parameter("commands", type="StringList", default="{{ssm:sl}}")
    document = a_document(a_script("{{ commands }}"), parameters={"commands": commands})
    assert only(render(document, {}, stored=STORED)).script == b"id\ndate\n"


def test_values_are_pasted_verbatim_and_exported_literally() -> None:
    document = a_document(
        a_script("echo {{Message}}", "{{ssm:st}}"), parameters={"Message": a_parameter("Message", env_var=True)}
    )
    step = only(render(document, {"Message": ["'; rm -rf $HOME"]}, stored=STORED))
    assert step.script == b"echo '; rm -rf $HOME\nstored\n"
    assert step.environment == {"SSM_Message": "'; rm -rf $HOME"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60),
        (60, 60),
        (60.9, 60),
        ("4", 3600),
        ("172801", 3600),
        ("soon", 3600),
        (None, 3600),
        (True, 3600),
        ("{{ t }}", 90),
        (5, 5),
        (172800, 172800),
    ],
)
def test_a_timeout_out_of_range_is_an_hour(value: Any, seconds: int) -> None:
    document = a_document(a_script("x", timeoutSeconds=value), parameters={"t": a_parameter("t", default=90)})
    assert only(render(document, {}, stored={})).timeout == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("first", "interpreter"),
    [
        ("#!/bin/bash -e -u", ("/bin/bash", "-e -u")),
        ("#! /usr/bin/env python3", ("/usr/bin/env", "python3")),
        ("echo", ("sh",)),
        ("#!", ("sh",)),
    ],
)
def test_the_shebang_names_the_interpreter(first: str, interpreter: tuple[str, ...]) -> None:
    assert only(render(a_document(a_script(first, "x")), {}, stored={})).interpreter == interpreter


def test_input_keys_ignore_case_and_modifiers_do_not() -> None:
    inputs: dict[str, JsonValue] = {
        "RUNCOMMAND": ["x"],
        "TimeoutSeconds": 9,
        "onfailure": "exit",
        "onSuccess": "exit",
        "finallyStep": "true",
    }
    step = only(render(a_document(Step(name="a", action="aws:runShellScript", inputs=inputs)), {}, stored={}))
    assert (step.timeout, step.on_failure, step.on_success, step.finally_step) == (
        timedelta(seconds=9),
        "",
        "exit",
        True,
    )


def test_a_finally_step_counts_only_at_the_end() -> None:
    document = a_document(a_script("a", name="a", finallyStep=True), a_script("b", name="b"))
    assert [step.finally_step for step in render(document, {}, stored={}).steps] == [False, False]


def test_a_plain_text_for_run_command_fails_that_step_only() -> None:
    document = a_document(Step(name="a", action="aws:runShellScript", inputs={"runCommand": "echo hi"}), a_script("b"))
    first, second = render(document, {}, stored={}).steps
    assert first.fail is not None
    assert "runCommand must be a list" in first.fail
    assert second.fail is None


def test_properties_of_an_old_document_are_elements_of_one_step() -> None:
    step = Step(
        name="aws:runShellScript",
        action="aws:runShellScript",
        inputs=({"id": "0.aws:runShellScript", "runCommand": ["a"], "onFailure": "exit"}, {"runCommand": ["b"]}),
    )
    steps = render(a_document(step, schema="1.2"), {}, stored={}).steps
    assert [(s.name, s.group, s.on_failure) for s in steps] == [
        ("0.aws:runShellScript", 1, ""),
        ("aws:runShellScript.2", 1, ""),
    ]


RUN = "runs"
SUPPORT = {
    **dict.fromkeys(("aws:runShellScript", "aws:runPowerShellScript", "aws:downloadContent", "aws:runDocument"), RUN),
    **dict.fromkeys(("aws:runDockerAction", "aws:configureDocker", "aws:configurePackage"), RUN),
    **dict.fromkeys(("aws:softwareInventory", "aws:refreshAssociation", "reconciler:runPatchBaseline"), RUN),
    "aws:domainJoin": "aws:domainJoin: no directory service is joined from here: let a script of your own join it",
    "aws:updateSsmAgent": "aws:updateSsmAgent: there is no agent here to update",
    **dict.fromkeys(("aws:cloudWatch", "aws:applications", "aws:psModule", "aws:updateAgent"), "not on Linux"),
    "aws:configureDaemon": "not on Linux",
    "aws:createStack": "unknown",
}
"""SSM's table of plugins and systems, as it is for Linux, with what is left out here."""


@pytest.mark.parametrize("schema", ["2.2", "2.0", "1.2"])
@pytest.mark.parametrize("action", SUPPORT)
def test_every_action_of_ssm_is_run_skipped_or_failed_as_its_table_says(schema: str, action: str) -> None:
    step = Step(name="a", action=action)
    found = only(render(a_document(step, schema=schema), {}, stored={}))
    match SUPPORT[action]:
        case "runs":
            # It is asked for its inputs, which are missing: so it would have run.
            assert found.skip is None
            assert found.fail is None or found.fail.startswith(f"{action}: ")
        case "not on Linux":
            assert (found.skip is not None, found.fail is not None) == (schema == "2.2", schema != "2.2")
        case "unknown":
            assert (found.skip, found.fail is not None) == (None, True)
        case note:
            assert (found.skip, found.fail) == (note, None)
    assert {*actions.ACTIONS, *actions.LEFT_OUT, *actions.NOT_ON_LINUX} == SUPPORT.keys() - {"aws:createStack"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(
            a_document(a_script("x"), schema="0.3"), "not supported yet: Automation runbooks", id="automation"
        ),
        pytest.param(a_document(), "has no steps", id="no steps"),
        pytest.param(
            a_document(Step(name="a", action="aws:runShellScript", inputs=())), "every list", id="no elements"
        ),
        pytest.param(a_document(a_script("x" * 2_000_000)), "at most 1048576", id="too large"),
    ],
)
def test_a_document_that_cannot_run_says_what_to_do(document: Document, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(document, {}, stored={})


def test_the_digest_follows_what_runs_and_no_prose() -> None:
    def digest(*steps: Step, **values: Any) -> str:
        document = a_document(*steps, parameters={"p": a_parameter(default="")})
        return render(document, values, stored={}).digest

    assert digest(a_script("{{ p }}"), p="x") == digest(a_script("x"))
    assert digest(a_script("x")) != digest(a_script("y"))
    assert digest(a_script("x")) != digest(a_script("x", timeoutSeconds=9))
    assert digest(a_script("x")) != digest(a_script("x", onFailure="exit"))
    assert digest(Step(name="a", action="aws:none")) == digest(Step(name="a", action="aws:none", inputs={"x": 1}))


@given(st.text(), st.dictionaries(st.sampled_from(["s", "l", "x"]), st.text() | st.integers() | st.lists(st.text())))
def test_any_text_is_interpolated_once_and_never_raises(text: str, values: dict[str, Any]) -> None:
    first = interpolate(text, values)
    if "{{" not in text:
        assert first == text


def a_library(*documents: Document) -> dict[DocumentName, DocumentVersions]:
    """Give documents by name; several of one name are its versions, the first the default."""
    found: dict[DocumentName, DocumentVersions] = {}
    for document in documents:
        before = dict(found[document.name].versions) if document.name in found else {}
        versions = {**before, str(len(before) + 1): document}
        found[document.name] = DocumentVersions(
            name=document.name, versions=versions, default="1", latest=str(len(versions))
        )
    return found


def named(name: str, document: Document) -> Document:
    return replace(document, name=DocumentName(name))


def runs(name: Any, /, step: str = "run", **inputs: Any) -> Step:
    return Step(
        name=step, action="aws:runDocument", inputs={"documentType": "SSMDocument", "documentPath": name, **inputs}
    )


GREETING = a_document(a_script("echo {{ who }}"), parameters={"who": a_parameter("who", default="world")})
GREETINGS = a_library(
    named("Greet", GREETING),
    named("Greet", a_document(a_script("echo second"))),
    named("Book", a_document(schema="0.3")),
)


@pytest.mark.parametrize(
    ("path", "parameters", "script"),
    [
        pytest.param("Greet", None, "echo world\n", id="a name"),
        pytest.param("Greet:2", None, "echo second\n", id="a version"),
        pytest.param("Greet:$LATEST", None, "echo second\n", id="the latest"),
        pytest.param("arn:aws:ssm:eu-west-1:123456789012:document/Greet", None, "echo world\n", id="an arn"),
        pytest.param("arn:aws-cn:ssm:::document/Greet:2", None, "echo second\n", id="an arn with a version"),
        pytest.param("Greet", {"who": "you"}, "echo you\n", id="a map"),
        pytest.param("Greet", {"who": ["you"]}, "echo you\n", id="a list of one"),
        pytest.param("Greet", {"who": None}, "echo world\n", id="null is dropped"),
        pytest.param("Greet", '{"who": "you"}', "echo you\n", id="json"),
        pytest.param("Greet", "who: you", "echo you\n", id="yaml"),
        pytest.param("Greet", '{"who": }', "echo world\n", id="pasted empty: no json, a null in yaml"),
        pytest.param("Greet", "", "echo world\n", id="empty"),
        pytest.param("AWS-Noop", None, ":\n", id="the placeholder is no document"),
    ],
)
def test_another_document_runs_in_the_place_of_a_step(path: str, parameters: Any, script: str) -> None:
    step = runs(path) if parameters is None else runs(path, DocumentParameters=parameters)
    found = only(render(a_document(step), {}, stored={}, documents=GREETINGS))
    assert (found.script or b"").decode() == script, found.fail
    assert found.name == ("run" if path == "AWS-Noop" else "run/run")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        pytest.param(runs("Nothing"), "there is no document Nothing in", id="no such document"),
        pytest.param(runs("Greet:9"), "no document Greet of version 9", id="no such version"),
        pytest.param(
            runs("Greet", documentParameters={"x": "y"}), "Greet: parameter x is not declared", id="undeclared"
        ),
        pytest.param(runs("Greet", documentParameters="[1]"), "must be a map", id="no map"),
        pytest.param(runs("Greet", documentParameters="{ : ["), "neither JSON nor YAML", id="no text of one"),
        pytest.param(runs("Greet", documentParameters={"who": "x" * 70_000}), "at most 65536", id="too large"),
        pytest.param(runs("Greet:one"), "is not NAME, NAME:VERSION", id="no version"),
        pytest.param(runs("../Greet"), "is not NAME, NAME:VERSION", id="no name"),
        pytest.param(runs({}), "documentPath is missing", id="no path"),
        pytest.param(runs("Book"), "an Automation runbook", id="a runbook"),
        pytest.param(runs("Greet", documentType={"a": 1}), "documentType must be", id="no type"),
    ],
)
def test_a_document_that_cannot_run_fails_the_step_that_runs_it(step: Step, reason: str) -> None:
    first, second = render(a_document(step, a_script("b", name="b")), {}, stored={}, documents=GREETINGS).steps
    assert reason in (first.fail or "")
    assert second.fail is None


def test_a_document_that_only_the_node_knows_fails_its_step() -> None:
    found = only(render(a_document(runs("/root/doc.yaml", documentType="LocalPath")), {}, stored={}))
    assert "no earlier step of the document downloads /root/doc.yaml" in (found.fail or "")


def test_documents_run_each_other_three_deep_and_no_deeper() -> None:
    library = a_library(named("Again", a_document(runs("Again"))))
    found = only(render(named("Again", a_document(runs("Again"))), {}, stored={}, documents=library))
    assert len(found.within) == 3
    assert "at most 3 deep" in (found.fail or "")


def test_documents_that_multiply_are_refused() -> None:
    many = named("Many", a_document(*(runs("Many", step=f"s{number}") for number in range(200))))
    with pytest.raises(RenderError, match="at most 2000"):
        render(many, {}, stored={}, documents=a_library(many))


def test_inner_steps_carry_the_places_of_the_outer_ones() -> None:
    inner = named(
        "Inner", a_document(a_script("a", name="a", onFailure="exit"), a_script("b", name="b", finallyStep=True))
    )
    outer = a_document(a_script("x"), runs("Inner", onSuccess="exit", finallyStep=True, step="in"))
    _, first, second = render(outer, {}, stored={}, documents=a_library(inner)).steps
    assert [step.name for step in (first, second)] == ["in/a", "in/b"]
    assert first.within == (Place(group=2, element=1, on_success="exit", finally_step=True),)
    assert (first.group, first.on_failure, first.finally_step) == (1, "exit", False)
    assert (second.group, second.finally_step) == (2, True)


def test_the_digest_follows_the_inner_document_and_its_place() -> None:
    def digest(step: Step, *documents: Document) -> str:
        return render(a_document(step), {}, stored={}, documents=a_library(*documents)).digest

    one, two = (named("Inner", a_document(a_script(text))) for text in "xy")
    assert digest(runs("Inner"), one) == digest(runs("Inner", documentParameters={}), one)
    assert digest(runs("Inner"), one) != digest(runs("Inner"), two)
    assert digest(runs("Inner"), one) != digest(runs("Inner", onFailure="exit"), one)


def test_the_agent_is_not_updated_from_within() -> None:
    inner = named("Inner", a_document(Step(name="a", action="aws:updateSsmAgent")))
    found = only(render(a_document(runs("Inner")), {}, stored={}, documents=a_library(inner)))
    assert "cannot stand in a document that another one runs" in (found.fail or "")


def test_a_value_of_any_shape_for_a_boolean_is_refused_in_words() -> None:
    with pytest.raises(RenderError, match="is a Boolean"):
        parameter_values({"p": a_parameter(type="Boolean")}, {"p": {"a": 1}}, {})


def test_the_table_of_actions_is_the_folder() -> None:
    folder = Path(str(actions.__file__)).parent
    named = {
        node.value.value
        for path in folder.glob("*.py")
        if path.stem != "__init__"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.AnnAssign)
        and getattr(node.target, "id", "") == "name"
        and isinstance(node.value, ast.Constant)
    }
    assert named == set(ACTIONS)
    assert not set(ACTIONS) & (actions.NOT_ON_LINUX | set(actions.LEFT_OUT))
    assert support_of("aws:nothing") is Support.UNKNOWN
