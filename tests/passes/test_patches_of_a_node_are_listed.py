"""From a node with apt to `patch list` and `patch explain`: a pass reads it, the branch keeps it, the commands say what is missing."""

import json
import re
from pathlib import Path

import pytest

from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import start_fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

BASELINE = """\
Name: Ours
OperatingSystem: DEBIAN
Default: true
Refresh: never
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: PRIORITY, Values: ['*']}]}
      ComplianceLevel: HIGH
      ApproveAfterDays: 7
"""

SEED = """\
Archive: Debian-Security-bookworm-security
Source: snapshot
Versions:
  - {{Package: hello, Version: 1.0+deb12u1, Arch: all, Checksum: '{checksum}', Date: '2024-01-15T12:00:00Z'}}
"""


def test_a_pass_reads_what_patch_list_and_explain_tell(tmp_path: Path, require_nodes: None) -> None:
    repository = AptRepository(tmp_path / "apt")
    repository.publish("bookworm", [Package(name="hello", version="1.0"), Package(name="other", version="1")])
    fixed = [Package(name="hello", version="1.0+deb12u1")]
    repository.publish("bookworm-security", fixed, label="Debian-Security")
    with start_fleet(tmp_path / "nodes", 1) as fleet:
        (node,) = fleet.nodes
        repository.install_into(node.root)
        node.run(["sh", "-ec", "apt-get -q update; apt-get -qy install hello=1.0 other"])
        site = Site(tmp_path / "site", fleet)
        site.standard(fleet.nodes)
        site.once()
        assert '"available/' not in site.git("show", "compliance:" + inventory(site))
        site.commit({"baselines/ours.yaml": BASELINE})
        site.once()
        committed = site.git("show", "compliance:" + inventory(site))
        (offered,) = [line for line in committed.splitlines() if line.startswith('"available/hello.all": ')]
        assert "debian|hello|all|1.0|" in offered
        assert "debian|hello|all|1.0+deb12u1|" in offered
        assert '"metadata/' not in committed
        listed = site.command("patch", "list", "web-01", "--all", "--format", "json", check=0)
        rows = {row["id"]: row for row in json.loads(listed.stdout)["rows"]}
        assert rows["other.all"]["state"] == "INSTALLED_OTHER"
        assert "1.0+deb12u1" in json.dumps(rows["hello.all"])
        told = site.command("patch", "explain", "web-01", "hello").stdout
        assert "Ours is the default for DEBIAN" in told
        assert "7 days after it was first seen (in Debian-Security-bookworm-security)" in told
        checksum = next(iter(re.findall(r"1\.0\+deb12u1\|[^\"]*(sha256:[0-9a-f]{64})", offered)))
        site.commit({"state/ledger-seeds/hello.yaml": SEED.format(checksum=checksum)})
        site.once()
        assert "MISSING [HIGH] hello.all:1.0+deb12u1" in site.command("patch", "list", "web-01", check=2).stdout
        told = site.command("patch", "explain", "web-01", "hello").stdout
        assert f"an install would bring exactly 1.0+deb12u1 ({checksum})" in told
        before = site.reports()
        site.once()
        assert site.reports() == before
        node.run(["apt-get", "-qy", "install", "hello=1.0+deb12u1"])
        site.once()
        listed = site.command("patch", "list", "web-01", check=0).stdout
        assert "COMPLIANT" in listed


def inventory(site: Site) -> str:
    (path,) = [
        line for line in site.git("ls-tree", "-r", "--name-only", "compliance").split() if line.startswith("inventory/")
    ]
    return path
