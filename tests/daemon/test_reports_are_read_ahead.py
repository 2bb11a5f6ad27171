"""The reports are begun to be read while the state is: what nobody asks for in the end is let go of."""

import os
import sys
import threading
from pathlib import Path

import pytest

from reconciler.cli.opening import open_controller
from reconciler.daemon.branches import ACCEPTED_REF
from reconciler.errors import DesiredStateError
from tests.support.site import Site


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_nothing_goes_on_where_the_state_does_not_come_into_force(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.commit({"state/fleet.yaml": "Fleet: example\n", "state/nodes/here.yaml": "Id: here\nTransport: local\n"})
    assert site.once().report_commit is not None
    site.commit({"state/nodes/here.yaml": "Id: here\nTransport: carrier pigeon\n"})
    before = children()
    with site.controller() as controller:
        controller.repository.update_refs({ACCEPTED_REF: (controller.repository.ref(ACCEPTED_REF), None)})
        with pytest.raises(DesiredStateError):
            controller.plan(limit=())
        assert children() <= before
        assert readers() == []


def test_a_command_that_asks_for_no_reports_after_all_leaves_no_git(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.commit({"state/fleet.yaml": "Fleet: example\n", "state/nodes/here.yaml": "Id: here\nTransport: local\n"})
    site.once()
    before = children()
    with open_controller(str(site.repo), site.state_dir, site.settings, reads_reports=True):
        assert len(readers()) == 1
    assert children() <= before
    assert readers() == []


def test_git_that_reads_ahead_ends_where_the_rest_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, None)
    site.commit({"state/fleet.yaml": "Fleet: example\n", "state/nodes/here.yaml": "Id: here\nTransport: local\n"})
    site.once()
    before = children()
    monkeypatch.setitem(sys.modules, "reconciler.daemon.controller", None)
    with (
        pytest.raises(ImportError),
        open_controller(str(site.repo), site.state_dir, site.settings, reads_reports=True),
    ):
        pass
    assert children() <= before
    assert readers() == []
