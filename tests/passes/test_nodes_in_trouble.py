"""Nodes in every kind of trouble, in one pass with a healthy one: each works, or is named in words; nobody else waits."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.commit.heartbeat import Heartbeat
from reconciler.compliance.report import NodeReport, Status
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import NodeId
from reconciler.model.outcome import Outcome
from reconciler.rollout.node_programs import OUTPUT_CAP
from tests.support.login_shells import lend_shell
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.patience import STEP
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(600)]

HEALTHY = "healthy"
DOCUMENT = """\
schemaVersion: '2.2'
description: Makes trouble for itself.
mainSteps:
  - name: trouble
    action: aws:runShellScript
    inputs:
      runCommand:
        - echo run >> /var/log/troubles
"""
TARGETS = "Targets: [{Key: 'tag:Trouble', Values: [%s]}]\n"


def nothing(_node: TestNode) -> None:
    """Leave the node as it is."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One kind of trouble: how a node gets it, and in which words it is named where the node does not work with it."""

    name: str
    prepare: Callable[[TestNode], None] = nothing
    words: str = ""
    """Exactly what is said; empty: the node converges."""
    body: tuple[str, ...] = ()
    """Lines of a document of its own."""
    disk_mb: int | None = None
    check: Callable[[TestNode, "Aftermath"], None] = field(default=lambda _node, _after: None)


def login_shell(name: str) -> Callable[[TestNode], None]:
    def prepare(node: TestNode) -> None:
        node.run(["usermod", "-s", lend_shell(node, name), "ops"])

    return prepare


def in_node(script: str) -> Callable[[TestNode], None]:
    def prepare(node: TestNode) -> None:
        node.run(["sh", "-c", script])

    return prepare


def sshd(text: str) -> Callable[[TestNode], None]:
    return lambda node: node.configure_sshd(text)


def sudoers(text: str) -> Callable[[TestNode], None]:
    return in_node(f"rm -f /etc/sudoers.d/*; printf '{text}' >/etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops")


def noisy(node: TestNode) -> None:
    node.run(["usermod", "-s", "/bin/bash", "ops"])
    noise = "echo Welcome; echo 'you have mail' >&2; printf 'no line end'"
    for name in (".bashrc", ".profile", ".bash_profile"):
        (node.root / "home/ops" / name).write_text(f"{noise}\n")
    (node.root / "etc/motd.banner").write_text("This system is watched.\n")
    node.configure_sshd("Banner /etc/motd.banner\nPrintMotd yes\n")


def busybox_everywhere(node: TestNode) -> None:
    """Let every tool that busybox has come before the others, sh included."""
    node.run(["busybox", "--install", "-s", "/usr/local/bin"])
    node.run(["ln", "-sf", "busybox", "/bin/ash"])
    node.run(["usermod", "-s", "/bin/ash", "ops"])


def read_only(node: TestNode) -> None:
    """Let nothing be written but /run; sshd, which is started with a log file, keeps a place for it."""
    node.mount_over_itself("/etc", "/home", "/opt", "/root", "/tmp", "/usr", "/var", options="ro")
    node.run(["mount", "-t", "tmpfs", "tmpfs", "/var/log"])


def an_hour_ahead(node: TestNode) -> None:
    """Let the tools that tell the time tell a later one; a node's clock is the machine's, and cannot be set.

    What `stat` complains of goes the same way as what it says: written past the loop, it would cut lines in two.
    """
    stat = (
        "#!/bin/sh\n"
        '/usr/bin/stat "$@" 2>&1 | while IFS= read -r line; do case $line in *" /proc/self/")\n'
        'now=${line#* * * * * * }; echo "${line%"$now"}$(/usr/bin/date -u -d "+1 hour" "+%Y-%m-%d %H:%M:%S.%N +0000")|${now#*|}"\n'
        ';; *) printf "%s\\n" "$line" ;; esac; done\n'
    )
    date = '#!/bin/sh\nexec /usr/bin/date -d "+1 hour" "$@"\n'
    for name, text in (("stat", stat), ("date", date)):
        tool = node.root / "usr/local/bin" / name
        tool.write_text(text)
        tool.chmod(0o755)


def skew_is_told(node: TestNode, after: "Aftermath") -> None:
    skews = {name: beat.clock_skew for name, beat in after.heartbeat.nodes.items()}
    told = skews[NodeId(node.name)]
    assert told is not None
    assert 3500 < told < 3700
    assert skews[NodeId(HEALTHY)] == 0


def output_was_capped(node: TestNode, after: "Aftermath") -> None:
    kept = list((node.root / "var/lib/reconciler/runs").glob("*/steps/1/out"))
    outcome = outcome_of(after.result, node.name, "own-yes")
    assert outcome.record is not None
    assert [path.stat().st_size for path in kept] in ([OUTPUT_CAP], [])
    (step,) = outcome.record.steps
    assert step.stdout.endswith(b"--output truncated--")
    assert step.stderr == b"the script went on\n"


def child_lives(node: TestNode, _after: "Aftermath") -> None:
    assert node.run(["pgrep", "-f", "sleep 9876"], check=False).stdout.split()
    node.run(["pkill", "-f", "sleep 9876"])


TROUBLES = (
    Trouble(
        name="full-disk",
        disk_mb=16,
        prepare=lambda node: node.fill_disk(),
        words="no space left on the node: /var/lib/reconciler is on a file system that is 100% full; free some",
    ),
    Trouble(
        name="read-only-root",
        prepare=read_only,
        words="cannot write in /var/lib/reconciler on the node: its file system is mounted read-only; remount it",
    ),
    Trouble(
        name="sshd-cannot-log",
        prepare=lambda node: node.mount_over_itself("/var", options="ro"),
        words="sshd closed the connection before its greeting: its own log says why (a disk, MaxStartups, its keys)",
    ),
    Trouble(name="noexec", prepare=lambda node: node.mount_over_itself("/var", "/tmp", "/home", options="noexec")),
    *(Trouble(name=shell, prepare=login_shell(shell)) for shell in ("fish", "csh", "tcsh", "zsh", "mksh", "rbash")),
    Trouble(
        name="rbash-without-tools",
        prepare=in_node("usermod -s /bin/rbash ops; echo PATH=/opt >/home/ops/.bashrc"),
        words="env: command not found",
    ),
    Trouble(name="busybox", prepare=busybox_everywhere),
    Trouble(
        name="nologin",
        prepare=in_node("usermod -s /usr/sbin/nologin ops"),
        words="the login shell ran no command: exit status 1, it said: This account is currently not available.",
    ),
    Trouble(
        name="force-command",
        prepare=sshd("Match User ops\n  ForceCommand echo maintenance\nMatch all\n"),
        words="the login shell ran no command: exit status 0, it said: maintenance",
    ),
    Trouble(name="noise", prepare=noisy),
    Trouble(
        name="requiretty",
        prepare=sudoers(r"Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL\n"),
        words="sudo wants a terminal (requiretty): add `Defaults:USER !requiretty` to the node's sudoers",
    ),
    Trouble(
        name="sudo-password",
        prepare=sudoers(r"ops ALL=(ALL) ALL\n"),
        words="sudo asks for a password: add a NOPASSWD rule for the login user to the node's sudoers",
    ),
    Trouble(
        name="no-sudo", prepare=in_node("mv /usr/bin/sudo /usr/bin/no-sudo"), words="sudo is not installed on the node"
    ),
    Trouble(name="clock", prepare=an_hour_ahead, check=skew_is_told),
    Trouble(name="down-1", prepare=lambda node: node.stop(), words="connection refused: no sshd listens there"),
    Trouble(name="down-2", prepare=lambda node: node.stop(), words="connection refused: no sshd listens there"),
    Trouble(
        name="frozen",
        prepare=lambda node: node.freeze(),
        words=f"accepts connections but sent no SSH greeting within {STEP.total_seconds():g} s",
    ),
    Trouble(name="sshd-restarts", body=("kill $(cat /run/sshd.pid)", "pkill -KILL -f '^sshd: ops' || :", "sleep 1")),
    Trouble(name="background", body=("sleep 9876 &", "echo begun"), check=child_lives),
    Trouble(
        name="yes", body=("timeout 3 yes || :", "echo the script went on >&2"), check=output_was_capped, disk_mb=64
    ),
)


def report_of(result: PassResult, name: str) -> NodeReport:
    return result.reports[NodeId(name)]


def outcome_of(result: PassResult, name: str, association: str) -> Outcome:
    return next(o for o in result.outcomes if (o.node, o.association) == (name, association))


def said(report: NodeReport) -> str:
    return report.facts.unreachable or "; ".join(reported.finding.reason for reported in report.findings)


def state_files(nodes: Mapping[str, TestNode]) -> Mapping[str, str | None]:
    files: dict[str, str | None] = {
        "state/nodes/all.yaml": "---\n".join(
            f"Id: {name}\nAddress: {node.address}\nPort: {node.port}\nUser: ops\nIdentityFile: fleet\nBecome: sudo\n"
            f"Tags: {{Role: web, Trouble: {name}}}\n"
            for name, node in nodes.items()
        ),
        "state/associations/motd.yaml": MOTD + "MaxConcurrency: 100%\n",
        "documents/Motd.yaml": APPEND_DOCUMENT,
    }
    for trouble in TROUBLES:
        if trouble.body:
            lines = "".join(
                f"        - {line!r}\n" if "'" not in line else f'        - "{line}"\n' for line in trouble.body
            )
            files[f"documents/Own-{trouble.name}.yaml"] = DOCUMENT + lines
            files[f"state/associations/own-{trouble.name}.yaml"] = (
                f"AssociationName: own-{trouble.name}\nName: Own-{trouble.name}\n{TARGETS % trouble.name}"
            )
    return files


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What one pass over all of them left."""

    nodes: Mapping[str, TestNode]
    result: PassResult
    heartbeat: Heartbeat


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Aftermath]:
    """One pass over a healthy node and all those in trouble."""
    folder = tmp_path_factory.mktemp("trouble")
    specs = [NodeSpec(name=HEALTHY), *(NodeSpec(name=each.name, disk_mb=each.disk_mb) for each in TROUBLES)]
    with start_fleet(folder / "nodes", specs=specs) as fleet:
        yield _one_pass(Site(folder / "site", fleet), fleet)


def _one_pass(site: Site, fleet: Fleet) -> Aftermath:
    nodes = {node.name: node for node in fleet.nodes}
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nInterval: rate(30 minutes)\n",
            "state/known_hosts": fleet.known_hosts,
            **state_files(nodes),
        }
    )
    for trouble in TROUBLES:
        trouble.prepare(nodes[trouble.name])
    with site.controller() as controller:
        result, heartbeat = controller.one_pass(Request()), controller.branches.heartbeat()
    assert heartbeat is not None
    return Aftermath(nodes=nodes, result=result, heartbeat=heartbeat)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_node_in_trouble_works_or_is_named_and_nobody_else_waits(aftermath: Aftermath, trouble: Trouble) -> None:
    node, report = aftermath.nodes[trouble.name], report_of(aftermath.result, trouble.name)
    if trouble.words:
        assert trouble.words in said(report)
        assert report.status is not Status.COMPLIANT
        assert bodies(node) == 0
    else:
        assert report.status is Status.COMPLIANT, said(report)
        assert (node.root / "etc/motd").read_text() == "managed by git\n"
        assert bodies(node) == 1
    trouble.check(node, aftermath)
    healthy = aftermath.nodes[HEALTHY]
    assert report_of(aftermath.result, HEALTHY).status is Status.COMPLIANT
    assert bodies(healthy) == 1


@pytest.mark.soak
def test_yes_for_a_minute_fills_no_disk_and_keeps_nobody_waiting(tmp_path: Path, require_nodes: None) -> None:
    specs = [NodeSpec(name=HEALTHY), NodeSpec(name="yes", disk_mb=64)]
    with start_fleet(tmp_path / "nodes", specs=specs) as fleet:
        site = Site(tmp_path / "site", fleet)
        nodes = {node.name: node for node in fleet.nodes}
        files = state_files(nodes)
        document = str(files["documents/Own-yes.yaml"]).replace(
            "timeout 3 yes", "timeout 60 yes; date +%s.%N >/tmp/ended"
        )
        site.commit(
            {
                "state/fleet.yaml": "Fleet: example\nInterval: rate(30 minutes)\n",
                "state/known_hosts": fleet.known_hosts,
                **{name: text for name, text in files.items() if "own-" not in name.lower()},
                "state/associations/own-yes.yaml": files["state/associations/own-yes.yaml"],
                "documents/Own-yes.yaml": document,
            }
        )
        began = time.monotonic()
        with site.controller() as controller:
            result = controller.one_pass(Request())
        took = time.monotonic() - began
        for name in nodes:
            assert report_of(result, name).status is Status.COMPLIANT, said(report_of(result, name))
        (step,) = (outcome_of(result, "yes", "own-yes").record or pytest.fail("it has no record")).steps
        assert step.stdout.endswith(b"--output truncated--")
        assert step.stderr == b"the script went on\n"
        ended = float((nodes["yes"].root / "tmp/ended").read_text())
        assert (nodes[HEALTHY].root / "etc/motd").stat().st_mtime < ended, "the healthy one was done meanwhile"
        kept = sum(path.stat().st_size for path in site.state_dir.rglob("*") if path.is_file())
        print(f"a pass of {took:.0f} s; {kept} bytes are kept on the management host")  # noqa: T201 - a long run tells its figures
