"""Documents made by chance end on a real node as SSM's rules, written down a second time, say."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.commands.command import prepare
from reconciler.commands.dispatch import Surroundings, carry_out
from reconciler.commands.record import Invocation
from reconciler.commands.request import Typed, read_request
from reconciler.daemon.controller import Controller
from reconciler.ids import DocumentName
from reconciler.model.document import Document
from reconciler.model.pause import Pauses
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.rollout.settle import forget
from tests.documents.reference_model import expected
from tests.support.nodes import Fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

CODES = (0, 0, 0, 1, 7, 137, 168, 169, 255)
VALUES = ("one", "two")
PRECONDITIONS: tuple[dict[str, list[str]] | None, ...] = (
    None,
    None,
    None,
    {"StringEquals": ["platformType", "Linux"]},
    {"StringEquals": ["WINDOWS", "platformType"]},
    {"StringEquals": ["{{ p }}", "one"]},
    {"StringEquals": ["{{ p }}-{{ q }}", "one-two"]},
    {"StringEquals": ["{{ nothing }}", "one"]},
    {"StringEquals": ["Linux", "Linux"]},
    {"StringEquals": ["platformType", "{{ p }}"]},
    {"StringNotEquals": ["platformType", "Windows"]},
    {"StringEquals": ["platformType", "macos"], "Other": ["a", "b"]},
)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"runCommand": [f"exit {draw(st.sampled_from(CODES))} # {{{{ p }}}}"]}
    for key, words in (
        ("onFailure", ("exit", "successAndExit", "Exit", "abort")),
        ("onSuccess", ("exit", "EXIT")),
        ("finallyStep", (True, "true", "True", False)),
        ("maxAttempts", (3,)),
    ):
        word = draw(st.none() | st.sampled_from(words))
        if word is not None:
            made[key] = word
    return made


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    schema = draw(st.sampled_from(("2.2", "2.2", "2.2", "2.0")))
    steps = []
    for number in range(draw(st.integers(1, 6))):
        step: dict[str, Any] = {
            "name": f"step{number}",
            "action": draw(st.sampled_from(("aws:runShellScript",) * 6 + ("aws:psModule", "aws:nothing"))),
            "inputs": draw(inputs()),
        }
        if draw(st.integers(0, 5)) == 0:
            step["inputs"] = [{"runCommand": draw(inputs())["runCommand"]} for _ in range(2)]
        precondition = draw(st.sampled_from(PRECONDITIONS))
        if precondition is not None:
            step["precondition"] = precondition
        steps.append(step)
    parameters = {name: {"type": "String", "default": "two"} for name in "pq"}
    return {"schemaVersion": schema, "parameters": parameters, "mainSteps": steps}


def codes_of(made: dict[str, Any]) -> dict[str, int]:
    found = {}
    for step in made["mainSteps"]:
        for element in step["inputs"] if isinstance(step["inputs"], list) else [step["inputs"]]:
            (line,) = element["runCommand"]
            found[line] = int(line.split()[1])
    return found


def read(made: dict[str, Any]) -> Document:
    mistakes = Mistakes("Made.json")
    document = read_document_file("Made.json", json.dumps(made).encode(), DocumentName("Made"), "1", mistakes)
    assert document is not None, mistakes.problems
    return document


class OneNode:
    """Runs documents on one real node, as commands do, without a record."""

    def __init__(self, controller: Controller, outputs: Path) -> None:
        self._desired = controller.branches.in_force()[0].desired
        self._connect = controller.connections.pool(self._desired).connect
        self._outputs = outputs

    def run(self, document: Document, value: str) -> Invocation:
        request = read_request(
            Typed(document_name="AWS-Noop", instance_ids=("web-01",), parameters=(json.dumps({"p": [value]}),))
        )
        now = datetime.now(UTC)
        command = prepare(request, self._desired, command=uuid4(), login="ann", now=now, brought=document)
        (invocation,) = carry_out(
            command,
            self._desired,
            Surroundings(
                connect=self._connect,
                epoch=1,
                not_after=lambda: None,
                clock=lambda: datetime.now(UTC),
                outputs=self._outputs,
                stop=Event(),
                pauses=Pauses,
                cancelled=lambda _: False,
                tell=lambda *_: None,
            ),
        )
        assert invocation.run is not None, invocation.reason
        assert forget({invocation.node: invocation.run}, self._desired, connect=self._connect, epoch=1) == {}
        return invocation


@pytest.fixture
def node(tmp_path: Path, fleet: Fleet) -> Iterator[OneNode]:
    site = Site(tmp_path, fleet)
    site.standard(fleet.nodes)
    with site.controller() as controller:
        yield OneNode(controller, tmp_path / "outputs")


def hold_against_the_model(node: OneNode, made: dict[str, Any], value: str) -> None:
    invocation = node.run(read(made), value)
    results, status = expected(made, codes_of(made), {"p": value, "q": "two"})
    assert [(step.status, step.exit_code) for step in invocation.steps] == results
    words = {"ExecutionTimedOut": "TimedOut"}
    assert words.get(invocation.detail.value, invocation.detail.value) == status


KIND = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@settings(KIND, max_examples=15)
@given(made=documents(), value=st.sampled_from(VALUES))
def test_fifteen_documents_end_as_the_model_says(node: OneNode, made: dict[str, Any], value: str) -> None:
    hold_against_the_model(node, made, value)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(KIND, max_examples=200)
@given(made=documents(), value=st.sampled_from(VALUES))
def test_two_hundred_documents_end_as_the_model_says(node: OneNode, made: dict[str, Any], value: str) -> None:
    hold_against_the_model(node, made, value)
