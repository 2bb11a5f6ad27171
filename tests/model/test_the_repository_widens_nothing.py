"""Host settings belong to the management host: no key and no file of a repository sets one of them."""

import pytest

from tests.model.reading import FILES, NODE, errors, reads

OF_THE_HOST = (
    "ProxyCommand: touch /tmp/owned",
    "ProxyJump: bastion",
    "LocalCommand: id",
    "SshConfig: /tmp/x",
    "KeyDirectory: /etc/ssh",
    "LocalChanges: true",
    "TrustedSigners: [{Name: eve, SshKey: ssh-ed25519 AAAA}]",
    "Remote: https://example.org/x",
    "StrictHostKeyChecking: 'no'",
    "KnownHosts: /dev/null",
)


@pytest.mark.parametrize("line", OF_THE_HOST, ids=lambda line: line.partition(":")[0])
@pytest.mark.parametrize("file", ["state/nodes/web.yaml", "state/fleet.yaml"])
def test_a_setting_of_the_host_is_no_key_of_a_repository(file: str, line: str) -> None:
    before = NODE if file.startswith("state/nodes") else "Fleet: example\n"
    found = errors({**FILES, file: before + line + "\n"})
    assert [(problem.file, problem.line) for problem in found] == [(file, before.count("\n") + 1)]


@pytest.mark.parametrize("line", OF_THE_HOST, ids=lambda line: line.partition(":")[0])
def test_nor_of_ssh_in_the_fleets_file(line: str) -> None:
    found = errors({**FILES, "state/fleet.yaml": f"Fleet: example\nSsh:\n  {line}\n"})
    assert [(problem.file, problem.line) for problem in found] == [("state/fleet.yaml", 3)]


@pytest.mark.parametrize(
    "path", ["state/host.yaml", ".ssh/config", "state/ssh_config", "state/.ssh/config", "state/nodes/ssh_config"]
)
def test_no_file_of_a_repository_is_read_as_one_of_the_hosts(path: str) -> None:
    hostile = "LocalChanges: true\nHost *\n ProxyCommand touch /tmp/owned\n"
    there = reads({**FILES, path: hostile})
    assert there.nodes == reads(FILES).nodes
    assert there.fleet == reads(FILES).fleet
