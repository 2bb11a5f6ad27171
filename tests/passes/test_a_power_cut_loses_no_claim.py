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
NO_PERL = "#!/bin/sh\nexit 2\n"
PERL = r"""#!/bin/sh
exec /usr/bin/perl "$@" 7<<X
$(sed 's|syscall($fsync,|open(my $log, ">>", "/var/log/bodies") \&\& syswrite($log, "sync $_\\n") \&\& syscall($fsync,|' <&7)
X
"""


@pytest.mark.parametrize("perl", [PERL, NO_PERL], ids=["by hand", "by programs"])
def test_what_a_run_is_and_that_it_began_are_on_disk_before_its_first_script(
    site: Site, fleet: Fleet, node: TestNode, perl: str
) -> None:
    node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    programs = [(node.root / "usr/local/sbin" / name, text) for name, text in (("sync", SYNC), ("perl", perl))]
    for program, text in programs:
        program.write_text(text)
        program.chmod(0o755)
    site.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    assert site.once().all_in_sync
    for program, _ in programs:
        program.unlink()
    said = (node.root / "var/log/bodies").read_text().splitlines()
    before = " ".join(said[: said.index("run")]).split()
    assert {"begun", "manifest", "state", ".", ".."} <= set(before)
