import pytest

from reconciler.drift.epochs import MOST_JUMP, Heard, heard_from, without_refusing
from reconciler.ids import NodeId
from reconciler.inventory.fact import Asked
from reconciler.inventory.facts.epochs import parse
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.epoch import MOST_EPOCHS
from reconciler.model.fleet import Fleet
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.node import Node
from tests.rollout.a_node import FLEET

FAR = 10**6


def heard(*epochs: int, silent: int = 0) -> Heard:
    return Heard(epochs={NodeId(f"n{number}"): epoch for number, epoch in enumerate(epochs)}, silent=silent)


@pytest.mark.parametrize(
    ("told", "ours", "above"),
    [
        pytest.param(heard(), 1, 0, id="nobody says anything"),
        pytest.param(heard(3, 3, 5), 1, 5, id="a remote came back without its last leaders"),
        pytest.param(heard(1, 1, 1 + MOST_JUMP), 1, 1 + MOST_JUMP, id="the most that one is believed"),
        pytest.param(heard(1, 1, 2 + MOST_JUMP), 1, 1, id="more than one is believed"),
        pytest.param(heard(FAR, FAR, 1), 1, FAR, id="most nodes say it"),
        pytest.param(heard(FAR, FAR + 1, FAR + 7), 1, FAR + 1, id="most have heard of one at least so high"),
        pytest.param(heard(FAR, 1), 1, 1, id="half is not most"),
        pytest.param(heard(FAR, 0, 0), 1, 0, id="who never heard of any is no witness for it"),
        pytest.param(heard(FAR), 1, FAR, id="a fleet of one"),
        pytest.param(heard(FAR, silent=1), 1, 0, id="one that is asked alone does not speak for its fleet"),
        pytest.param(heard(FAR, FAR, silent=2), 1, 0, id="two of four"),
    ],
)
def test_what_few_say_counts_where_it_is_near(told: Heard, ours: int, above: int) -> None:
    assert told.above(ours) == above


def test_most_of_those_that_answered_are_heard_where_nobody_else_can_be_asked() -> None:
    assert heard(2, 1, 1).of_most == 1
    assert heard(2, 2, 1, silent=9).of_most == 2
    assert heard(2, 1).of_most == 1
    assert heard().of_most == 0


def facts(name: str, rows: dict[str, JsonValue] | None) -> Facts:
    return Facts(node=NodeId(name), sections={"epochs": Unknown("no") if rows is None else Known(rows)})


def test_a_node_whose_word_means_nothing_is_silent() -> None:
    names = ("a", "b", "c", "d", "e")
    desired = DesiredState(
        commit=None,
        fleet=Fleet(id=FLEET),
        nodes={NodeId(name): Node(id=NodeId(name)) for name in names},
        associations={},
    )
    told = {
        NodeId("a"): facts("a", {FLEET: 4}),
        NodeId("b"): facts("b", {"another": 9}),
        NodeId("c"): facts("c", {FLEET: {"unknown": "not a number"}}),
        NodeId("d"): facts("d", None),
    }
    assert heard_from(told, desired) == Heard(epochs={NodeId("a"): 4, NodeId("b"): 0}, silent=3)


def test_who_will_refuse_us_is_unknown_by_itself_with_the_remedy() -> None:
    told = {
        NodeId("above"): facts("above", {FLEET: 4}),
        NodeId("ours"): facts("ours", {FLEET: 3}),
        NodeId("none"): facts("none", {}),
        NodeId("garbled"): facts("garbled", {FLEET: {"unknown": "not a number: 'x'"}}),
    }
    found = without_refusing(told, FLEET, 3)
    assert found[NodeId("ours")] is told[NodeId("ours")]
    assert found[NodeId("none")] is told[NodeId("none")]
    for name, word in (("above", "epoch 4"), ("garbled", "not a number")):
        why = found[NodeId(name)].unreachable or ""
        assert word in why
        assert f"remove /var/lib/reconciler/epochs/{FLEET} on it" in why


@pytest.mark.parametrize(("told", "read"), [(MOST_EPOCHS - 1, Known), (MOST_EPOCHS, Unknown), (2_000_000_000, Unknown)])
def test_an_epoch_is_read_as_long_as_a_leader_can_be_above_it(told: int, read: type) -> None:
    path = f"/var/lib/reconciler/epochs/{FLEET}"
    found = Facts(node=NodeId("a"), sections={"epochs": Known(parse(f"+ {path}\n{path}:{told}", Asked()))})
    assert isinstance(found.get("epochs", FLEET), read)
