"""The light node answers over ssh, with the fakes of its test first on the PATH."""

import subprocess
from pathlib import Path

from tests.support.ssh_node import SshAddress


def test_a_fake_program_comes_before_the_real_one(node: SshAddress, tmp_path: Path) -> None:
    fake = node.bin / "dpkg-query"
    fake.write_text("#!/bin/sh\necho faked\n", encoding="ascii")
    fake.chmod(0o755)
    known = tmp_path / "known_hosts"
    known.write_text(node.known_hosts, encoding="ascii")
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-i", str(node.identity_file)]
    argv = ["ssh", *options, "-p", str(node.port), f"{node.user}@{node.address}", "dpkg-query"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("faked\n", 0), node.log.read_text(encoding="utf-8")
