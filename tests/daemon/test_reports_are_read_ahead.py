"""The reports are begun to be read while the state is: what nobody asks for in the end is let go of."""

import os
import threading
from pathlib import Path

import pytest

from reconciler.daemon.branches import ACCEPTED_REF
from reconciler.errors import DesiredStateError
from tests.support.site import Site


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


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
        assert [thread for thread in threading.enumerate() if thread.name == "read ahead"] == []
