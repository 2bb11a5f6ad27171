"""A secret is a value that nothing prints by accident: no repr, no format, no JSON, no pickle, no traceback."""

import json
import pickle
import traceback
from dataclasses import dataclass

import pytest

from reconciler.documents.render import RenderedStep
from reconciler.ids import AssociationName, DocumentName
from reconciler.model.association import Association
from reconciler.model.command import Answer, Program
from reconciler.model.outcome import StepResult
from reconciler.model.secret import Secret
from reconciler.rollout.sight import Piece

CANARY = "canary-77a1"


@dataclass(frozen=True, slots=True)
class Holder:
    login: Secret


def test_nothing_prints_a_secret() -> None:
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!a}",
        repr(Holder(secret)),
        repr([secret]),
    ]
    assert not any(CANARY in one for one in shown)
    for write in (json.dumps, pickle.dumps):
        with pytest.raises(TypeError) as refused:
            write(secret)  # type: ignore[operator]  # both take one value
        assert CANARY not in str(refused.value)
    error = ValueError(Holder(secret))
    assert CANARY not in "".join(traceback.format_exception(error))


def test_secrets_are_equal_by_value_and_never_a_plain_text() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY).reveal() == CANARY


BYTES = CANARY.encode()


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Program(text=BYTES), id="a program"),
        pytest.param(Answer(stdout=BYTES, stderr=BYTES, exit_status=0), id="an answer"),
        pytest.param(
            RenderedStep(name="a", action="aws:runShellScript", script=BYTES, environment={"SSM_x": CANARY}),
            id="a rendered step",
        ),
        pytest.param(StepResult(name="a", status="Success", exit_code=0, stdout=BYTES, stderr=BYTES), id="a result"),
        pytest.param(Piece(step=1, kind="out", offset=0, content=BYTES), id="a piece of output"),
        pytest.param(
            Association(name=AssociationName("a"), document=DocumentName("A"), parameters={"x": CANARY}, targets=()),
            id="an association",
        ),
    ],
)
def test_the_traceback_of_a_bug_tells_no_parameter_script_or_output(record: object) -> None:
    bug = KeyError(record)  # the record itself is in the message
    assert CANARY not in "".join(traceback.format_exception(bug))
