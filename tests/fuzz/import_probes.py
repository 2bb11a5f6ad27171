"""What imports read, and what a node says to the doctor: whatever comes in, what would be written validates."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from reconciler.bundled import bundled_files
from reconciler.daemon.accepting import check_schedule
from reconciler.doctor import judge
from reconciler.errors import DesiredStateError
from reconciler.ids import NodeId
from reconciler.importing import ansible, aws, ssh_config
from reconciler.importing.ansible import Source, Sources
from reconciler.importing.files import files_of
from reconciler.importing.harvest import Harvest
from reconciler.importing.keys import KeyPlace
from reconciler.model.node import Become, Node
from reconciler.model.read_state import desired_state, read_state
from reconciler.model.reading.ssh_config import read_ssh_config
from reconciler.problem import Gravity
from tests.fuzz.target import Target, bound, outcome, unbound

KEYS = KeyPlace(directory=PurePosixPath("/home/me/.ssh"), home=PurePosixPath("/home/me"))
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
NODE = Node(id=NodeId("web-01"), address="10.0.0.1", user="ops", become=Become.SUDO)

SSH_CONFIG = b"""User ops
Host web-* !web-09 db
  IdentityFile "~/.ssh/fleet"   # key
  Port=2222
Host web-01 web-02
  HostName %h.example.org
  ProxyJump ops@bastion:22,[2001:db8::1]:2200
Include more
Match exec "id"
  User root
Host hid
  ProxyCommand nc %h %p
"""
INI = b"""lone ansible_host=10.1.1.1 ansible_port=2200
[2001:db8::5]:22
[web]
web[01:03:2].example.org:2222 ansible_user='ops' # first
[db:children]
web
[db:vars]
ansible_become = yes
ansible_user = "{{ x }}"
"""
YAML = b"""all:
  vars: {ansible_user: ops}
  children:
    web: {hosts: {'w[a:c]': {ansible_port: 22}, x: }, children: {low: {hosts: [y, z]}}}
"""
LIST = b'{"_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.9"}}}, "all": {"children": ["web"]}, "web": {"hosts": ["a"]}}'
ASSOCIATION = b"""{"AssociationDescription": {"Name": "AWS-RunShellScript", "AssociationName": "one", "Date": 1.5,
"Targets": [{"Key": "tag:Role", "Values": ["web"]}], "Parameters": {"commands": ["true"]}, "AssociationId": "0f1e"}}"""
DOCUMENT = b"""{"Name": "Doc", "DocumentFormat": "YAML", "Content": "schemaVersion: '2.2'\\nmainSteps: []\\n"}"""
BASELINE = b'{"BaselineId": "pb-0", "Name": "Ours", "OperatingSystem": "DEBIAN", "ApprovalRules": {"PatchRules": []}}'


def _written(harvest: Harvest, *, whole: bool = True) -> str:
    """Say what came out; what would be written must read back."""
    there = desired_state({}, bundled=bundled_files())
    written = files_of(harvest, there, ())
    if whole:
        _, problems = read_state(written.files, bundled=bundled_files(), check_schedule=check_schedule)
        assert [str(problem) for problem in problems if problem.gravity is Gravity.ERROR] == []
    for path in written.files:
        assert not path.startswith("/"), path
        assert ".." not in path.split("/"), path
    notes = " ".join(sorted({note.what for note in written.notes}))
    return outcome(f"{len(written.nodes)} nodes {len(written.groups)} groups {len(written.others)} others", notes)


def _ssh(data: bytes) -> str:
    parts = unbound(data)
    config = read_ssh_config(
        "config",
        parts.get("config", data),
        lambda pattern: tuple((name, text) for name, text in parts.items() if name == pattern) or "not ours",
    )
    if wrong := [problem for problem in config.problems if problem.gravity is Gravity.ERROR]:
        return outcome("refused", wrong[0].message)
    return _written(ssh_config.nodes_of(config, KEYS))


def _ansible(data: bytes) -> str:
    parts = unbound(data)
    inventories = tuple(Source(file=name, data=text) for name, text in parts.items() if not name.startswith("vars/"))
    variables = tuple(
        Source(file=name, data=text, owner=name[5:]) for name, text in parts.items() if name.startswith("vars/")
    )
    sources = Sources(inventories=inventories, group_vars=variables, host_vars=variables)
    try:
        return _written(ansible.nodes_of(sources, KEYS))
    except DesiredStateError as error:
        assert all(problem.file for problem in error.problems)
        return outcome("refused", error.problems[0].message)


def _aws(data: bytes) -> str:
    sources = tuple(Source(file=name, data=text) for name, text in unbound(data).items())
    return _written(aws.files_from(sources), whole=False)


def _doctor(data: bytes) -> str:
    answer = judge.read_answer(data + b"\nend run", "run")
    assert judge.read_answer(data, "other") is None or data.rstrip().endswith(b"end other")
    if answer is None:
        return "cut"
    checks = (
        judge.shell_check(answer),
        judge.tools_check(answer),
        judge.clock_check(answer, NOW, NOW + timedelta(seconds=1)),
        judge.disk_check(answer),
        judge.sudo_check(NODE, answer),
        judge.run_folder_check(answer),
        judge.packages_check(answer),
        judge.sshd_check(answer),
    )
    return outcome(" ".join(check.state.value for check in checks))


ANSWER = b"""clock 1790000000
uid 0
shell /bin/bash
missing setsid
space /tmp tmpfs 1000000 0 1000000 0% /tmp
inodes /tmp tmpfs 1000000 0 1000000 0% /tmp
root /var/lib/reconciler
near /var/lib/reconciler
entry drwx------ 4 0 0 4096 Jan 1 00:00 /var/lib/reconciler
writable yes
options rw,noexec
sudoers env_reset, log_input, !requiretty
manager apt-get
broken sudo
holder 12 apt-get /var/lib/dpkg/lock
sshd maxsessions 10
"""

IMPORT_TARGETS: Mapping[str, Target] = {
    "ssh-config": Target(
        seeds=lambda: [SSH_CONFIG, bound({"config": SSH_CONFIG, "more": b"Include config\nHost db\n  Port 22\n"})],
        probe=_ssh,
        words=(b"Host ", b"Match ", b"Include more\n", b"ProxyJump ", b"%h", b"*", b"!", b'"', b"=", b"HostName "),
    ),
    "ansible": Target(
        seeds=lambda: [
            bound({"hosts.ini": INI, "vars/web": b"ansible_port: 22\n"}),
            bound({"hosts.yml": YAML, "vars/all": b"ansible_user: !vault |\n  $ANSIBLE_VAULT;1.1\n"}),
            bound({"list.json": LIST}),
        ],
        probe=_ansible,
        words=(b"[a:children]\n", b"[1:9]", b":vars]", b"ansible_host=", b"{{", b"hosts:", b"children:", b"_meta"),
    ),
    "aws": Target(
        seeds=lambda: [
            bound({"a.json": ASSOCIATION, "d.json": DOCUMENT}),
            bound({"b.json": BASELINE, "l.json": b'{"Associations": []}'}),
        ],
        probe=_aws,
        words=(b'"Name": ', b'"Content": ', b'"AssociationDescription": ', b"../", b"null", b"[[", b"{}"),
    ),
    "doctor": Target(seeds=lambda: [ANSWER], probe=_doctor, words=(b"sudoers ", b"inodes ", b"entry ", b"LOG_INPUT:")),
}
