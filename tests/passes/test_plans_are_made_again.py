"""What a pass decided can be looked at later: `plan --inventory DIGEST` makes the very same plan again, or says that it cannot."""

import gzip
import json
from pathlib import Path

import pytest

from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import NodeId
from reconciler.model.known import Known
from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, Site, bodies, nodes_yaml
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2

ONCE = "AssociationName: motd\nName: Motd\nTargets: [{Key: 'tag:Role', Values: [web]}]\n"
AWAY = "".join(
    f"---\nId: away-{number}\nAddress: 127.0.0.1\nPort: 9\nUser: ops\nIdentityFile: fleet\nTags: {{Role: web}}\n"
    for number in range(4)
)


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /release"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    made.commit({"state/associations/motd.yaml": ONCE})
    return made


def made_again(site: Site, result: PassResult) -> str:
    assert result.plan.items
    done = site.command("plan", str(site.repo), "--inventory", result.plan.digest, "--format", "json")
    assert done.returncode in {0, 2}, done.stderr
    return str(json.loads(done.stdout)["digest"])


def parameters(text: str) -> dict[str, str | None]:
    return {"state/associations/motd.yaml": f"{ONCE}Parameters: {{text: [{text}]}}\n"}


def test_of_first_passes_of_apply_and_of_some_nodes(site: Site) -> None:
    first = site.once()
    by_hand = site.once(Request(apply="motd"))
    assert {item.forced for item in by_hand.plan.items} == {True}
    site.commit(parameters("another"))
    one = site.once(Request(limit=("web-01",)))
    rest = site.once()
    for result in (first, by_hand, one, rest):
        assert made_again(site, result) == result.plan.digest


def test_of_a_pass_that_settled_what_an_earlier_one_left(site: Site, fleet: Fleet) -> None:
    slow = APPEND_DOCUMENT.replace("- echo written", "- until [ -e /release ]; do sleep 0.1; done")
    site.commit({"state/fleet.yaml": "Fleet: example\nPassWait: rate(2 seconds)\n", "documents/Motd.yaml": slow})
    site.once()
    first = fleet.nodes[0]
    assert bodies(first) == 1
    first.run(["touch", "/release"])

    def is_over() -> bool:
        """Look at the runs as a pass does, and settle nothing."""
        with site.controller() as controller:
            facts = controller.collect(("web-01",))[NodeId("web-01")].facts.section("runs")
        return isinstance(facts, Known) and any("ended" in str(row) for row in facts.value.values())

    wait_until(is_over, "the run ends by itself")
    site.commit(parameters("another"))
    settled = site.once()
    (file,) = (site.state_dir / "plans").glob(f"{settled.plan.digest}*")
    assert json.loads(gzip.decompress(file.read_bytes()))["basis"]["settled"]
    assert made_again(site, settled) == settled.plan.digest


def test_of_a_shrunk_target_set_that_a_commit_allowed(site: Site, fleet: Fleet) -> None:
    site.commit({"state/nodes/web.yaml": nodes_yaml(fleet.nodes) + AWAY})
    site.once()
    site.commit(
        {"state/nodes/web.yaml": nodes_yaml(fleet.nodes), **parameters("another")},
        "Take four servers out\n\nAllow-Shrink: motd",
    )
    shrunk = site.once()
    assert made_again(site, shrunk) == shrunk.plan.digest


def test_a_plan_that_comes_out_otherwise_is_an_error(site: Site) -> None:
    result = site.once(Request(apply="motd"))
    site.once(Request(apply="motd"))
    (file,) = (site.state_dir / "plans").glob(f"{result.plan.digest}*")
    kept = json.loads(gzip.decompress(file.read_bytes()))
    kept["at"] = "2026-01-02T03:04:05+00:00"
    file.write_bytes(gzip.compress(json.dumps(kept).encode()))
    done = site.command("plan", str(site.repo), "--inventory", result.plan.digest, check=1)
    assert f"plan {result.plan.digest[:12]} cannot be made again" in done.stderr
