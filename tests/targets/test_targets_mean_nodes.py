from collections.abc import Mapping
from dataclasses import replace

import pytest

from reconciler.errors import UsageError
from reconciler.ids import AssociationName, DocumentName, GroupName, NodeId
from reconciler.model.association import Association, Target
from reconciler.model.desired import DesiredState, Group
from reconciler.model.node import Node
from reconciler.targets.resolve import Targets, means_the_same, resolve_targets
from reconciler.targets.selector import parse_selector, parse_selectors

NODES = (
    Node(id=NodeId("n1"), tags={"Env": "Dev", "Role": "Web"}),
    Node(id=NodeId("n2"), tags={"Env": "Test", "Role": "Web"}),
    Node(id=NodeId("n3"), tags={"Env": "Dev", "Role": "Db", "Patch Group": "a"}),
    Node(id=NodeId("n4")),
)
GROUPS = {
    GroupName("web"): Group(name=GroupName("web"), tag_filters=(Target(key="Role", values=("Web",)),)),
    GroupName("dev-web"): Group(
        name=GroupName("dev-web"),
        tag_filters=(Target(key="Role", values=("Web", "Db")), Target(key="Env", values=("Dev",))),
    ),
}


def resolved(*targets: tuple[str, str]) -> Targets:
    association = Association(
        name=AssociationName("a"),
        document=DocumentName("D"),
        targets=tuple(Target(key=key, values=tuple(values.split(","))) for key, values in targets),
    )
    return resolve_targets(
        DesiredState(
            commit=None,
            nodes={node.id: node for node in NODES},
            groups=GROUPS,
            associations={association.name: association},
        )
    )


CASES = [
    pytest.param([("tag:Env", "Dev")], "n1 n3", "tag Env=Dev", id="one tag"),
    pytest.param([("tag:Env", "Dev,Test")], "n1 n2 n3", "tag Env=Dev", id="values are ORed"),
    pytest.param([("tag:Env", "Dev"), ("tag:Role", "Web")], "n1", "tag Env=Dev and tag Role=Web", id="keys are ANDed"),
    pytest.param([("tag:Env", "Dev"), ("tag:Env", "Test")], "", "", id="the same key twice is ANDed too"),
    pytest.param([("tag:env", "Dev")], "", "", id="tag names are case-sensitive"),
    pytest.param([("tag:Env", "dev")], "", "", id="tag values are case-sensitive"),
    pytest.param([("tag:Patch Group", "a")], "n3", "tag Patch Group=a", id="a tag with a blank"),
    pytest.param([("tag-key", "Role")], "n1 n2 n3", "has tag Role", id="tag-key"),
    pytest.param([("tag-key", "Role,Patch Group")], "n3", "has tag Role and has tag Patch Group", id="all tag keys"),
    pytest.param([("InstanceIds", "*")], "n1 n2 n3 n4", "every node (InstanceIds *)", id="every node"),
    pytest.param([("instanceids", "n4,n1,n9")], "n1 n4", "named by its id", id="ids; the key in any case"),
    pytest.param([("InstanceIds", "N1")], "", "", id="ids as written"),
    pytest.param([("resource-groups:Name", "web")], "n1 n2", "member of group web", id="a group"),
    pytest.param([("resource-groups:Name", "dev-web")], "n1 n3", "member of group dev-web", id="a group's filters"),
    pytest.param([("resource-groups:Name", "gone")], "", "", id="a deleted group"),
    pytest.param(
        [("InstanceIds", "n1,n2"), ("tag:Env", "Dev")], "n1", "named by its id and tag Env=Dev", id="kinds mixed"
    ),
    pytest.param([], "", "", id="no targets mean no node"),
]


@pytest.mark.parametrize(("targets", "expected", "why"), CASES)
def test_targets_mean_these_nodes_and_say_why(targets: list[tuple[str, str]], expected: str, why: str) -> None:
    found = resolved(*targets)
    name = AssociationName("a")
    assert found.members[name] == tuple(expected.split())
    assert [targeted.node for targeted in found.by_association[name]] == expected.split()
    assert {targeted.why for targeted in found.by_association[name][:1]} == ({why} if why else set())


def test_every_node_is_looked_at_targeted_or_not() -> None:
    found = resolved(("tag:Env", "Dev"))
    assert found.nodes == ("n1", "n2", "n3", "n4")
    assert [found.associations_of(node) for node in found.nodes] == [("a",), (), ("a",), ()]
    assert found.associations_of(NodeId("unheard-of")) == ()


def test_a_key_we_do_not_know_is_never_taken_for_no_node() -> None:
    with pytest.raises(ValueError, match="target key"):
        resolved(("tags:Env", "Dev"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1", "n1"),
        ("n1,n4", "n1 n4"),
        ("tag:Role=Web", "n1 n2"),
        ("tag:Role=Web,Db", "n1 n2 n3"),
        ("tag-key=Patch Group", "n3"),
        ("InstanceIds=n1,n3", "n1 n3"),
        ("InstanceIds=*", "n1 n2 n3 n4"),
        ("resource-groups:Name=dev-web", "n1 n3"),
        ("N1", ""),
    ],
)
def test_a_limit_means_these_nodes(text: str, expected: str) -> None:
    meant = parse_selector(text, GROUPS)
    assert [node.id for node in NODES if meant(node)] == expected.split()


def test_of_several_limits_any_will_do_and_none_is_no_limit() -> None:
    meant = parse_selectors(("n4", "tag:Role=Db"), GROUPS)
    assert [node.id for node in NODES if meant(node)] == ["n3", "n4"]
    assert all(map(parse_selectors(()), NODES))


@pytest.mark.parametrize(
    "text",
    ["", ",", "n1,", "tag:=x", "tag:Role", "tag:Role=", "Role=web", "tag-key=", "resource-groups:Name=gone", "=x"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--limit"):
        parse_selector(text, GROUPS)


STATE = DesiredState(
    commit=None,
    nodes={node.id: node for node in NODES},
    groups=GROUPS,
    associations={
        AssociationName(name): Association(
            name=AssociationName(name),
            document=DocumentName("D"),
            targets=(Target(key="resource-groups:Name", values=("web",)),),
        )
        for name in ("a", "b")
    },
)
A, B = STATE.associations.values()


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"associations": {A.name: replace(A, max_errors="1"), B.name: B}}, True, id="another key of it"),
        pytest.param({"associations": {A.name: replace(A, targets=()), B.name: B}}, False, id="other targets"),
        pytest.param({"associations": {A.name: A}}, False, id="one fewer"),
        pytest.param({"associations": {A.name: A, "c": replace(B, name=AssociationName("c"))}}, False, id="renamed"),
        pytest.param({"groups": {}}, False, id="another group"),
        pytest.param({"nodes": {node.id: node for node in NODES[1:]}}, False, id="one node fewer"),
        pytest.param({"nodes": {node.id: replace(node, tags={}) for node in NODES}}, False, id="other tags"),
        pytest.param({"nodes": {node.id: replace(node) for node in NODES}}, True, id="nodes read again"),
    ],
)
def test_what_means_the_same_nodes_is_not_resolved_again(changes: Mapping[str, object], *, same: bool) -> None:
    after = replace(STATE, **changes)  # type: ignore[arg-type]  # a case names the fields it is about
    assert means_the_same(STATE, after) is same
    if same:
        before, anew = resolve_targets(STATE), resolve_targets(after)
        assert (before.nodes, before.members) == (anew.nodes, anew.members)
        assert dict(before.by_association) == dict(anew.by_association)
