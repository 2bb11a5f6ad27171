"""What imports leave in a state repository: files that validate and read back, and nothing of what was there changed."""

from pathlib import Path

import pytest

from reconciler.daemon.accepting import read_folder
from reconciler.ids import GroupName, NodeId
from reconciler.model.node import Become, Mode
from tests.cli.commands import OBEYED, Host

CONFIG = """\
Host web-01
  HostName 10.0.0.11
  User ops
  IdentityFile ~/.ssh/fleet
Host inner
  ProxyJump ops@bastion:2200
"""

INVENTORY = """\
[web]
web-[01:02] ansible_host=10.0.0.11 ansible_become=true
web-03
[local]
here ansible_connection=local
"""


def tree(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder, git's own left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a configuration and an inventory."""
    host = Host(tmp_path)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(CONFIG)
    (tmp_path / "inventory").write_text(INVENTORY)
    return host


def test_a_missing_repository_is_made_and_what_is_imported_reads_back(host: Host) -> None:
    said = host.run("import", "ssh-config", "fleet", code=0)
    assert "fleet: a state repository of fleet fleet" in said.out
    assert f"imported: {host.folder}/.ssh/config:1: web-01\n" in said.out
    assert "reconciler node scan-keys --unpinned fleet >> fleet/state/known_hosts" in said.out
    desired, problems = read_folder(host.folder / "fleet")
    assert desired is not None
    assert problems == ()
    node = desired.nodes[NodeId("web-01")]
    assert (node.address, node.user, node.identity_file, node.mode) == ("10.0.0.11", "ops", "fleet", Mode.WARN)
    gateway = desired.nodes[NodeId("bastion")]
    assert (gateway.port, gateway.user, gateway.mode) == (2200, "ops", Mode.WARN)
    assert desired.nodes[NodeId("inner")].gateway == "bastion"
    assert host.git("status", "--porcelain", "--untracked-files=all").splitlines() == [
        "?? state/nodes/bastion.yaml",
        "?? state/nodes/inner.yaml",
        "?? state/nodes/web-01.yaml",
    ], "for review: committed by whoever has read them"


def test_groups_become_resource_groups_that_targets_resolve(host: Host) -> None:
    said = host.run("import", "ansible", "inventory", "fleet", "--format", "json", code=0).document()
    assert [node["id"] for node in said["nodes"]] == ["web-01", "web-03"]
    assert [group["name"] for group in said["groups"]] == ["web"]
    kinds = {(note["kind"], note["what"].split(":")[0].split(" is there")[0]) for note in said["notes"]}
    assert ("skipped", "web-02") in kinds, "two names with one address are one machine"
    assert ("left alone", "node here") in kinds, "init wrote this machine already"
    desired, _ = read_folder(host.folder / "fleet")
    assert desired is not None
    assert desired.nodes[NodeId("web-01")].become is Become.SUDO
    assert desired.groups[GroupName("web")].tag_filters[0].key == "Group:web"
    host.git("add", "--all")
    host.git("commit", "--quiet", "-m", "Import")
    shown = host.run("nodes", "fleet", "--limit", "resource-groups:Name=web", code=0).out
    assert "web-01" in shown
    assert "this-machine" not in shown


def test_nothing_that_is_there_is_overwritten_and_a_second_import_writes_nothing(host: Host) -> None:
    host.run("init", "fleet", code=0)
    own = host.folder / "fleet/state/nodes/web-01.yaml"
    own.write_text("# by hand\nId: WEB-01\nAddress: 192.0.2.7\n")
    renamed = host.folder / "fleet/state/nodes/jump.yaml"
    renamed.write_text("Id: jump-1\nAddress: bastion\nPort: 2200\n")
    said = host.run("import", "ssh-config", "fleet", code=0).out
    assert "left alone: " in said
    assert "node web-01 is there already, in state/nodes/web-01.yaml:2" in said
    assert "node bastion is there already as jump-1" in said
    assert own.read_text().startswith("# by hand\n")
    desired, _ = read_folder(host.folder / "fleet")
    assert desired is not None
    assert desired.nodes[NodeId("inner")].gateway == "jump-1", "a gateway is named as it is named there"
    before = tree(host.folder / "fleet")
    again = host.run("import", "ssh-config", "fleet", code=0).out
    assert "0 files written" in again
    assert "next" not in again
    assert tree(host.folder / "fleet") == before


def test_two_imports_of_the_same_give_the_same_bytes(host: Host) -> None:
    host.run("import", "ansible", "inventory", "one", "--fleet", "f", code=0)
    host.run("import", "ansible", "inventory", "two", "--fleet", "f", code=0)
    assert tree(host.folder / "one") == tree(host.folder / "two")


def test_includes_are_followed_below_the_ssh_folder_alone(host: Host, tmp_path: Path) -> None:
    ssh = tmp_path / ".ssh"
    (ssh / "conf.d").mkdir()
    (ssh / "conf.d/a").write_text("Host included\n  HostName 10.0.0.20\n")
    (tmp_path / "outside").write_text("Host never\n")
    (ssh / "conf.d/link").symlink_to(tmp_path / "outside")
    (ssh / "config").write_text("Include conf.d/a\nInclude ../outside\nInclude conf.d/l*\nInclude ~/.ssh/conf.d/none\n")
    said = host.run("import", "ssh-config", "fleet", code=0).out
    assert f"{ssh}/conf.d/a:1: included" in said
    assert "never" not in said
    assert f"note: {ssh}/config:2: Include is not followed" in said
    assert f"note: {ssh}/config:3: Include is not followed" in said


HOSTILE = (
    "x;id", "$(touch /tmp/owned)", "`id`", "-oProxyCommand=id", "a b", "\x1b[31m", "a\\nb", "../../etc", "a@b", "%n",
    "a" * 300, "a..b", "{{ 7*7 }}", "'; drop", "\u202eevil", "!!python/name:os", "&anchor", "*alias", "|", "1.2.3", "::g",
)  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_told_with_their_place_and_never_written(host: Host, value: str) -> None:
    quoted = value.replace("'", "").replace('"', "")
    inventory = host.folder / "evil.yaml"
    inventory.write_text(
        f"all: {{hosts: {{a: {{ansible_host: '{quoted}'}}, b: {{ansible_user: '{quoted}X'}},"
        f" c: {{ansible_ssh_private_key_file: '~/.ssh/{quoted}'}}, good: }}}}\n"
    )
    said = host.run("import", "ansible", "evil.yaml", "fleet")
    if said.code == 0:
        desired, problems = read_folder(host.folder / "fleet")
        assert desired is not None
        assert [str(problem) for problem in problems] == []
        assert NodeId("good") in desired.nodes
        assert not {NodeId("a"), NodeId("b")} & desired.nodes.keys() or value == "a..b" or "{{" in value
    else:
        assert "evil.yaml:1:" in said.err
        assert not (host.folder / "fleet").exists()
    assert not OBEYED & set(said.out + said.err)
    assert not Path("/tmp/owned").exists()


def test_scripts_are_not_run(host: Host, tmp_path: Path) -> None:
    script = tmp_path / "dynamic"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    said = host.run("import", "ansible", "dynamic", "fleet", code=64)
    assert "a script, which is not run" in said.err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "fleet").exists()


def test_folders_of_variables_are_read_beside_the_inventory(host: Host, tmp_path: Path) -> None:
    (tmp_path / "group_vars/web").mkdir(parents=True)
    (tmp_path / "group_vars/web/10.yml").write_text("ansible_user: first\nansible_port: 2201\n")
    (tmp_path / "group_vars/web/20.yml").write_text("ansible_user: second\n")
    (tmp_path / "group_vars/all.yml").write_text("ansible_become: yes\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/web-03").write_text("---\nansible_port: 2203\n")
    host.run("import", "ansible", "inventory", "fleet", code=0)
    desired, _ = read_folder(tmp_path / "fleet")
    assert desired is not None
    node = desired.nodes[NodeId("web-03")]
    assert (node.user, node.port, node.become) == ("second", 2203, Become.SUDO)
    assert desired.nodes[NodeId("web-01")].port == 2201


def test_into_something_else_nothing_is_imported(host: Host, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/letter").write_text("dear all")
    assert "is no state repository" in host.run("import", "ssh-config", "fleet", code=64).err
    (tmp_path / "broken/state/nodes").mkdir(parents=True)
    (tmp_path / "broken/state/nodes/a.yaml").write_text("Id: [\n")
    assert "state/nodes/a.yaml:" in host.run("import", "ssh-config", "broken", code=1).err
    assert tree(tmp_path / "broken").keys() == {"state/nodes/a.yaml"}
    assert "no such file" in host.run("import", "ssh-config", "missing", "new", code=1).err
    assert "at most two" in host.run("import", "ssh-config", "a", "b", "c", code=64).err


def test_validate_reads_the_repository_around_its_folders(host: Host) -> None:
    host.run("init", "fleet", code=0)
    for folder in ("fleet/state", "fleet/state/nodes"):
        said = host.run("validate", folder, code=0)
        assert said.out.startswith("valid: 1 nodes")
        assert f"reading {host.folder}/fleet" in said.err
    (host.folder / "elsewhere").mkdir()
    assert "there is no folder state/" in host.run("validate", "elsewhere", code=1).out
