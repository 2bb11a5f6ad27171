"""Commands of tests that leave a mark on each node: how they are sent and held up, and what is known of them then."""

import json
from collections.abc import Iterable
from typing import Any

from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site

LOG = "/var/log/sent"
GO = "/var/log/go"
HELD_UP = f"until [ -e {GO} ]; do sleep 0.1; done"

WEB = ("--targets", "Key=tag:Role,Values=web")


def let_go(nodes: Iterable[TestNode]) -> None:
    """Let scripts that are held up go on."""
    for node in nodes:
        (node.root / GO.removeprefix("/")).touch()


def all_ended(node: TestNode) -> bool:
    """Tell whether every run on the node has written its end."""
    return not node.run(["sh", "-c", "tail -qn 1 /var/lib/reconciler/runs/*/state | grep -v ^ended || :"]).stdout


def shell(*lines: str) -> tuple[str, ...]:
    """Give the options that send these lines, which first leave a mark on the node."""
    return (
        "--document-name",
        "AWS-RunShellScript",
        "--parameters",
        json.dumps({"commands": [f"hostname >> {LOG}", *lines]}),
    )


def send(site: Site, *options: str, code: int | None = None) -> dict[str, Any]:
    done = site.command("send-command", *options, "--repo", str(site.repo), "--format", "json", check=code)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def details(sent: dict[str, Any]) -> dict[str, str]:
    return {each["InstanceId"]: each["StatusDetails"] for each in sent["Invocations"]}


def marks(fleet: Fleet) -> list[int]:
    files = [node.root / LOG.removeprefix("/") for node in fleet.nodes]
    return [len(file.read_text().splitlines()) if file.exists() else 0 for file in files]


def records(site: Site) -> dict[str, dict[str, Any]]:
    names = site.git("ls-tree", "-r", "--name-only", "compliance", "commands").split()
    return {name: json.loads(site.git("show", f"compliance:{name}")) for name in names}


def told(site: Site, record: dict[str, Any]) -> str:
    command = record["Command"]["CommandId"]
    done = site.command("list-command-invocations", "--command-id", command, "--repo", str(site.repo), check=0)
    return done.stdout
