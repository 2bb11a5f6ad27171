"""The demo, as README says to run it: it shows the main job on real nodes, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.support.this_machine import REMEMBERED, this_machine_alone

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


def test_the_demo_tells_the_whole_story_and_leaves_nothing(tmp_path: Path, require_nodes: None) -> None:
    site, scratch = Site(tmp_path / "site", None), tmp_path / "tmp"
    scratch.mkdir()
    # It is a node, too, and other tests run documents on it.
    with this_machine_alone():
        shown = subprocess.run(
            [sys.executable, "-m", "tests.support.demo_nodes"],
            cwd=Path(__file__).parents[2],
            env={
                **site.environment(),
                "TMPDIR": str(scratch),
                "RECONCILER_TEST_CACHE": os.environ["RECONCILER_TEST_CACHE"],
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert not REMEMBERED.exists()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    told = iter(shown.stdout.splitlines())
    for said in (
        "4 runs on 4 nodes.",
        "5 nodes: 5 compliant, 0 not, 0 unknown; 4 documents ran; 0 findings left",
        "5 nodes: 5 compliant, 0 not, 0 unknown; 0 documents ran; 0 findings left",
        "the report is unchanged: nothing was committed",
        "1 run on 1 node.",
        "  message-of-the-day (Motd:1) on demo-01",
        "5 nodes: 5 compliant, 0 not, 0 unknown; 1 documents ran; 0 findings left",
        "this-machine",
        "$ git log --oneline compliance",
        "message-of-the-day repaired: file /etc/motd",
    ):
        assert any(said in line for line in told), f"not there, or not in its turn: {said}"
    assert list(scratch.iterdir()) == []
