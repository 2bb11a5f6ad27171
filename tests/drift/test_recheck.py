"""Just before acting the node is asked once more: what holds by now is left alone, and a hold binds everything."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.drift.definitions import definitions
from reconciler.drift.recheck import judge_again, recheck, sections_of
from reconciler.ids import Digest, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import (
    Expectations,
    ExpectedFile,
    ExpectedGroup,
    ExpectedInventory,
    ExpectedKernel,
    ExpectedMount,
    ExpectedPackage,
    ExpectedPort,
    ExpectedService,
    ExpectedUser,
)
from reconciler.model.command import Answer, Program
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    MOTD,
    NOW,
    a_node,
    a_state,
    an_association,
    digest_of,
    some_facts,
    with_file,
)

OTHER = Digest("x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    definition: Digest = OTHER
    forced: bool = False
    opaque: bool = False


EXPECTING = an_association(expect=EXPECT_FILE)
HELD = {"hold": "who: ana"}


@pytest.mark.parametrize(
    ("association", "item", "facts", "needed", "reason"),
    [
        pytest.param(EXPECTING, Planned(), with_file(DRIFTED_FILE), True, "mode 0600", id="it still differs"),
        pytest.param(EXPECTING, Planned(), some_facts(), False, "holds by now", id="somebody else repaired it"),
        pytest.param(EXPECTING, Planned(), some_facts(files="cut"), None, "files: cut", id="not known"),
        pytest.param(EXPECTING, Planned(), with_file(DRIFTED_FILE, holds=HELD), None, "held by hold", id="held"),
        pytest.param(
            EXPECTING, Planned(), with_file(DRIFTED_FILE, holds="cut"), None, "hold files: cut", id="held or not"
        ),
        pytest.param(EXPECTING, Planned(forced=True), some_facts(), True, "apply", id="asked for by hand"),
        pytest.param(EXPECTING, Planned(forced=True), some_facts(holds=HELD), None, "held", id="by hand, but held"),
        pytest.param(an_association(), Planned(), some_facts(), True, "nothing that could hold", id="no expectations"),
        pytest.param(an_association(), Planned(), some_facts(holds=HELD), None, "held", id="no expectations, held"),
        pytest.param(
            replace(EXPECTING, run_on_change=True),
            Planned(opaque=True),
            some_facts(),
            True,
            "RunOnChange",
            id="on change",
        ),
        pytest.param(
            replace(EXPECTING, run_on_change=True),
            Planned(),
            some_facts(),
            False,
            "holds by now",
            id="repaired meanwhile",
        ),
    ],
)
def test_a_second_question_decides(association: Any, item: Planned, facts: Facts, needed: object, reason: str) -> None:
    found = judge_again(association, item, facts, NOW)
    assert found.still_needed is needed
    assert reason in found.reason


EVERY_KIND = {
    "files": (ExpectedFile(path="/etc/motd"),),
    "packages": (ExpectedPackage(name="nginx", operator=">=", version="1"),),
    "services": (ExpectedService(name="nginx", running=True),),
    "users": (ExpectedUser(name="app", group="app", groups=("adm",)),),
    "groups": (ExpectedGroup(name="app", members=("app",)),),
    "sysctls": {"net.ipv4.ip_forward": "0"},
    "mounts": (ExpectedMount(path="/srv"),),
    "ports": (ExpectedPort(port=22),),
    "kernel": ExpectedKernel(newest=True),
    "inventory": (ExpectedInventory(type="Custom:Rack", operator="=", count=0),),
    "checks": ("true",),
}


def test_every_kind_of_expectation_is_in_this_list() -> None:
    assert set(EVERY_KIND) == set(Expectations.__slots__)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_what_is_asked_again_is_all_that_it_rests_on(kind: str) -> None:
    expect = Expectations(**{kind: EVERY_KIND[kind]})  # type: ignore[arg-type]  # one field of any kind
    facts = some_facts(checks={"user:true": 0})
    asked = {*sections_of(expect), "holds"}
    narrow = replace(facts, sections={name: rows for name, rows in facts.sections.items() if name in asked})
    assert judge_again(an_association(expect=expect), Planned(), narrow, NOW).still_needed is False


class Deaf:
    """A session that must not be used."""

    node = NodeId("web-01")
    host_key = None

    def run(self, program: Program) -> Answer:
        raise AssertionError(f"the node was asked {program}")

    def stream(self, program: Program) -> Any:
        raise AssertionError(f"the node was asked {program}")


def test_another_definition_than_the_planned_one_is_not_run() -> None:
    state = a_state(EXPECTING)
    definition = definitions(state)[MOTD]
    assert recheck(Deaf(), EXPECTING, definition, Planned(), a_node()).still_needed is None
    with pytest.raises(AssertionError, match="was asked"):
        recheck(Deaf(), EXPECTING, definition, Planned(definition=digest_of(state)), a_node())
