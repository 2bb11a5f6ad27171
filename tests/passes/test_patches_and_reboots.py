"""Patch installs that reboot, on two nodes: the second waits for the first, and stays as it is where that does not come back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.outcome import Disposition
from reconciler.rollout import deciding
from tests.support.nodes import start_fleet
from tests.support.patching import Patching, package, versions

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {Operation: [Install]}
MaxConcurrency: '1'
"""


@pytest.fixture
def patching(tmp_path: Path, require_nodes: None) -> Iterator[Patching]:
    with start_fleet(tmp_path / "fleet", 2) as fleet:
        yield Patching(tmp_path, fleet)


def test_a_node_that_does_not_come_back_is_the_last_one_that_reboots(
    patching: Patching, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = patching.fleet.nodes
    monkeypatch.setattr(deciding, "RETURN_PATIENCE", 1.0)
    patching.publish([package("hello", "1.0")])
    for node in (first, second):
        node.run(["apt-get", "-qy", "install", "hello"])
    patching.publish([package("hello", "1.1")])
    patching.approve("hello", baseline="Refresh: never\n")
    patching.site.commit({"state/associations/patches.yaml": INSTALL})
    first.stay_off_for(10)
    boots = [node.boots for node in (first, second)]
    done = {outcome.node: outcome for outcome in patching.site.once().outcomes}
    assert (done["web-01"].disposition, done["web-02"].disposition) == (Disposition.RAN, Disposition.HELD_BACK)
    assert "web-01 did not come back from a reboot" in done["web-02"].reason
    assert [node.boots for node in (first, second)] == [boots[0] + 1, boots[1]]
    assert [versions(node, "hello") for node in (first, second)] == [{"hello": "1.1"}, {"hello": "1.0"}]
    monkeypatch.undo()
    done = {outcome.node: outcome for outcome in patching.site.once().outcomes}
    assert [(name, one.disposition) for name, one in done.items()] == [("web-02", Disposition.RAN)]
    assert second.boots == boots[1] + 1
    assert patching.site.once().outcomes == ()
