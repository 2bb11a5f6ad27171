"""What of a run must be on a node's disk before its first script begins."""

import pytest

from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
SYNC = """\
#!/bin/sh
echo "sync $*" >> /var/log/bodies
exec /usr/bin/sync "$@"
"""


def test_what_a_run_is_and_that_it_began_are_on_disk_before_its_first_script(
    site: Site, fleet: Fleet, node: TestNode
) -> None:
    node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    program = node.root / "usr/local/sbin/sync"
    program.write_text(SYNC)
    program.chmod(0o755)
    site.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    assert site.once().all_in_sync
    program.unlink()
    said = (node.root / "var/log/bodies").read_text().splitlines()
    before = " ".join(said[: said.index("run")]).split()
    assert {"begun", "manifest", "state", ".", ".."} <= set(before)
