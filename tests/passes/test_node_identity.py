"""Who a node is, on real nodes: wiped, rolled back, cloned, renamed, moved, removed in the middle; no blind re-run, no stale InSync."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.drift.finding import State
from reconciler.ids import NodeId
from reconciler.model.outcome import Disposition
from tests.support.nodes import Fleet, TestNode
from tests.support.site import APPEND_DOCUMENT, Site, bodies, nodes_yaml

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2

ONCE = """\
AssociationName: motd
Name: Motd
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {seconds: ['SECONDS'], text: ['TEXT']}
"""
"""Without Expect: only what is remembered tells whether it is applied."""


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Iterator[Site]:
    """A management host of its own, over nodes that remember nothing, and are who they were afterwards."""
    kept = {node: (node.root / "etc/machine-id").read_text() for node in fleet.nodes}
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    yield Site(tmp_path, fleet)
    for node, machine in kept.items():
        (node.root / "etc/machine-id").write_text(machine)


def write(site: Site, fleet: Fleet, *, nodes: str | None = None, seconds: int = 0, text: str = "first") -> None:
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nPassWait: rate(3 seconds)\n",
            "state/nodes/web.yaml": nodes_yaml(fleet.nodes) if nodes is None else nodes,
            "state/known_hosts": by_id(fleet.nodes),
            "state/associations/motd.yaml": ONCE.replace("SECONDS", str(seconds)).replace("TEXT", text),
            "documents/Motd.yaml": APPEND_DOCUMENT,
        }
    )


def by_id(nodes: tuple[TestNode, ...]) -> str:
    keys = (node.host_key_line.split(maxsplit=1)[1] for node in nodes)
    return "".join(f"web-{number:02} {key.strip()}\n" for number, key in enumerate(keys, 1))


def found(result: PassResult, node: str = "web-01") -> tuple[State, str]:
    """Give the state and the reason that the report has for a node's one association."""
    (row,) = result.reports[NodeId(node)].findings
    return row.finding.state, row.finding.reason


def ran(result: PassResult) -> list[str]:
    return sorted(outcome.node for outcome in result.outcomes if outcome.disposition is Disposition.RAN)


def settled(site: Site, fleet: Fleet) -> None:
    """Apply everything once, and let a second pass acknowledge it on the nodes."""
    write(site, fleet)
    site.once()
    assert site.once().all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_a_wiped_node_is_applied_again_with_its_own_reason(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    node = fleet.nodes[0]
    node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    (node.root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    planned = site.command("plan", str(site.repo), check=2).stdout
    assert "the node was reimaged: its machine id was" in planned
    assert ran(site.once()) == ["web-01"]
    assert [bodies(node) for node in fleet.nodes] == [1, 1]
    assert site.once().all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_a_node_rolled_back_to_a_snapshot_is_unknown_and_not_run_again(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    node = fleet.nodes[0]
    node.run(["cp", "-a", "/var/lib/reconciler", "/var/lib/snapshot"])
    write(site, fleet, text="second")
    assert ran(site.once()) == ["web-01", "web-02"]
    assert site.once().all_in_sync
    node.run(
        ["sh", "-c", "rm -rf /var/lib/reconciler; mv /var/lib/snapshot /var/lib/reconciler; echo first >/etc/motd"]
    )
    for _ in range(2):
        result = site.once()
        state, reason = found(result)
        assert (state, ran(result)) == (State.UNKNOWN, [])
        assert "the node was rolled back: it holds" in reason
    assert found(result, "web-02")[0] is State.IN_SYNC
    assert [bodies(node) for node in fleet.nodes] == [2, 2]


def test_a_cloned_node_and_its_original_are_unknown(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    settled(site, fleet)
    original, clone = fleet.nodes
    kept = tmp_path / "own-keys"
    kept.mkdir()
    keys = sorted((clone.root / "etc/ssh").glob("ssh_host_*"))
    for key in keys:
        shutil.copy2(key, kept / key.name)
        shutil.copy2(original.root / "etc/ssh" / key.name, key)
    clone.configure_sshd("")
    try:
        site.commit(
            {
                "state/known_hosts": by_id((original, original)),
                "state/associations/motd.yaml": ONCE.replace("SECONDS", "0").replace("TEXT", "second"),
            }
        )
        result = site.once()
        assert ran(result) == []
        for name in ("web-01", "web-02"):
            state, reason = found(result, name)
            assert state is State.UNKNOWN
            assert "web-01 and web-02 answer with one host key" in reason
    finally:
        for key in keys:
            shutil.copy2(kept / key.name, key)
        clone.configure_sshd("")
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_a_renamed_node_keeps_what_was_applied(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    renamed = nodes_yaml(fleet.nodes, prefix="www", extra="").replace("Role: www", "Role: web")
    first, second = renamed.split("---\n")
    nodes = f"{first}FormerIds: [web-01]\n---\n{second}FormerIds: [web-02]\n"
    site.commit({"state/nodes/web.yaml": nodes, "state/known_hosts": by_id(fleet.nodes).replace("web-", "www-")})
    for _ in range(2):
        result = site.once()
        assert result.all_in_sync, found(result, "www-01")
        assert ran(result) == []
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_a_node_renamed_with_a_change_runs_the_change_and_nothing_else(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    other = ONCE.replace("SECONDS", "0").replace("TEXT", "other").replace("Name: motd", "Name: other")
    site.commit({"state/associations/other.yaml": other})
    assert site.once().all_in_sync
    renamed = nodes_yaml(fleet.nodes, prefix="www", extra="").replace("Role: www", "Role: web")
    first, second = renamed.split("---\n")
    site.commit(
        {
            "state/nodes/web.yaml": f"{first}FormerIds: [web-01]\n---\n{second}FormerIds: [web-02]\n",
            "state/known_hosts": by_id(fleet.nodes).replace("web-", "www-"),
            "state/associations/other.yaml": other.replace("['other']", "['changed']"),
        }
    )
    assert ran(site.once()) == ["www-01", "www-02"]
    for _ in range(2):
        assert site.once().all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [3, 3]


def test_a_node_whose_former_name_is_told_late_runs_nothing_again(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    nodes = nodes_yaml(fleet.nodes).replace("Id: web-01", "Id: www-01")
    site.commit({"state/nodes/web.yaml": nodes, "state/known_hosts": by_id(fleet.nodes).replace("web-01", "www-01")})
    for _ in range(2):
        assert found(site.once(), "www-01")[0] is State.UNKNOWN
    first, rest = nodes.split("---\n", 1)
    site.commit({"state/nodes/web.yaml": f"{first}FormerIds: [web-01]\n---\n{rest}"})
    for _ in range(2):
        assert site.once().all_in_sync
    write(site, fleet, nodes=f"{first}FormerIds: [web-01]\n---\n{rest}", text="second")
    site.commit({"state/known_hosts": by_id(fleet.nodes).replace("web-01", "www-01")})
    for _ in range(2):
        assert site.once().all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [2, 2]


def test_a_node_under_another_name_without_a_word_is_named_before_anything_runs(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    nodes = nodes_yaml(fleet.nodes).replace("Id: web-01", "Id: www-01")
    site.commit({"state/nodes/web.yaml": nodes, "state/known_hosts": by_id(fleet.nodes).replace("web-01", "www-01")})
    result = site.once()
    state, reason = found(result, "www-01")
    assert (state, ran(result)) == (State.UNKNOWN, []), reason
    assert "web-01 and www-01 answer with one host key" in reason
    state, reason = found(site.once(), "www-01")
    assert state is State.UNKNOWN
    assert "this server was web-01 of this fleet" in reason
    assert "FormerIds: [web-01]" in reason
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_a_node_at_another_address_is_the_same_node(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    node = fleet.nodes[0]
    moved = f"127.99.{node.address.split('.')[2]}.{node.address.split('.')[3]}"
    node.configure_sshd(f"ListenAddress {node.address}:{node.port}\nListenAddress {moved}:{node.port}\n")
    site.commit(
        {"state/nodes/web.yaml": nodes_yaml(fleet.nodes).replace(f"Address: {node.address}\n", f"Address: {moved}\n")}
    )
    result = site.once()
    assert result.all_in_sync, [report.findings for report in result.reports.values()]
    assert ran(result) == []
    assert [bodies(node) for node in fleet.nodes] == [1, 1]


def test_an_address_where_another_machine_answers_gets_nothing(site: Site, fleet: Fleet) -> None:
    settled(site, fleet)
    second = fleet.nodes[1]
    swapped = nodes_yaml((second, second))
    write(site, fleet, nodes=swapped, text="second")
    result = site.once()
    state, reason = found(result)
    assert (state, ran(result)) == (State.UNKNOWN, ["web-02"])
    assert "host key changed" in reason
    assert [bodies(node) for node in fleet.nodes] == [1, 2]


def test_a_node_removed_while_its_run_goes_on_is_let_go_and_not_run_again_when_it_is_back(
    site: Site, fleet: Fleet
) -> None:
    write(site, fleet, seconds=15)
    assert "running" in found(site.once())[1]
    both = nodes_yaml(fleet.nodes)
    site.commit({"state/nodes/web.yaml": both.partition("---\n")[2]})
    planned = site.command("plan", str(site.repo)).stdout
    assert NodeId("web-01") not in site.once().reports
    assert "web-01: the node is no longer in state/nodes" in planned
    for node in fleet.nodes:
        node.run(["sh", "-c", "while [ ! -s /etc/motd ]; do sleep 0.2; done"])
    site.commit({"state/nodes/web.yaml": both})
    for _ in range(10):
        back = site.once()
        if back.all_in_sync:
            break
    assert back.all_in_sync, [(report.status, found(back, node)) for node, report in back.reports.items()]
    assert [bodies(node) for node in fleet.nodes] == [1, 1]
