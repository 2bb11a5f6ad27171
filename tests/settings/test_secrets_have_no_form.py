"""A secret is a value that nothing prints by accident: no repr, no format, no JSON, no pickle, no traceback."""

import json
import pickle
import traceback
from dataclasses import dataclass

import pytest

from reconciler.model.secret import Secret

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
