"""A site whose nodes take their packages from a repository of the tests' own, and ways to patch them.

Takes packages as values; gives what came of `AWS-RunPatchBaseline` on a node, and what dpkg says of it afterwards.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site, nodes_yaml

BASELINE = """\
Name: now
OperatingSystem: DEBIAN
Default: true
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: PRODUCT, Values: ['*']}]}
      ApproveAfterDays: 7
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """What came of one command on one node."""

    status: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def failed(self) -> Mapping[str, str]:
        """Row -> cause and words."""
        lines = [line.split(" ", 4) for line in self.stdout.splitlines() if line.startswith("patch: failed ")]
        return {line[2]: line[4] for line in lines}

    @property
    def installed(self) -> Mapping[str, str]:
        """Row -> version."""
        lines = [line.split() for line in self.stdout.splitlines() if line.startswith("patch: installed ")]
        return {line[2]: line[3] for line in lines}


class Patching:
    """One site with one repository of packages."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.site = Site(folder / "site", fleet)
        self.fleet = fleet
        self.archive = AptRepository(folder / "apt")
        self.site.commit(
            {
                "state/fleet.yaml": "Fleet: example\n",
                "state/nodes/web.yaml": nodes_yaml(fleet.nodes),
                "state/known_hosts": fleet.known_hosts,
            }
        )

    def approve(self, *names: str, baseline: str = "") -> None:
        """Let a baseline approve packages by name, at once."""
        self.site.commit({"baselines/now.yaml": f"{BASELINE}ApprovedPatches: [{', '.join(names)}]\n{baseline}"})

    def publish(self, packages: Iterable[Package], on: Iterable[TestNode] = ()) -> None:
        """Let the archive hold exactly these (as security updates), and nodes know it."""
        self.archive.publish(
            "bookworm-security", packages, label="Debian-Security", date=datetime(2026, 3, 1, 12, tzinfo=UTC)
        )
        for node in on or self.fleet.nodes:
            self.archive.install_into(node.root)
            node.run(["apt-get", "-q", "update"])

    def send(
        self, operation: str = "Install", node: str = "web-01", check: int | None = None, **parameters: str
    ) -> Patched:
        """Send AWS-RunPatchBaseline, without a reboot where nothing else is said."""
        given = {"Operation": operation, "RebootOption": "NoReboot", **parameters}
        return self.command("AWS-RunPatchBaseline", given, node=node, check=check)

    def command(
        self, document: str, given: Mapping[str, str], *, node: str = "web-01", check: int | None = None
    ) -> Patched:
        """Send any document to one node."""
        done = self.site.command(
            "send-command",
            "--document-name",
            document,
            "--instance-ids",
            node,
            "--repo",
            str(self.site.repo),
            "--parameters",
            json.dumps({name: [value] for name, value in given.items()}),
            "--format",
            "json",
            check=check,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return self.invocation(answer["Command"]["CommandId"], node)

    def invocation(self, command: str, node: str = "web-01") -> Patched:
        """Give what is kept of one invocation."""
        done = self.site.command(
            "get-command-invocation",
            "--command-id",
            command,
            "--instance-id",
            node,
            "--repo",
            str(self.site.repo),
            "--format",
            "json",
        )
        answer = json.loads(done.stdout)
        return Patched(
            status=answer["Status"],
            exit_code=answer["ResponseCode"],
            stdout=answer["StandardOutputContent"],
            stderr=answer["StandardErrorContent"],
        )


def versions(node: TestNode, *names: str) -> Mapping[str, str]:
    """Give what dpkg has installed whole, of packages by name."""
    listed = node.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\n"]).stdout.splitlines()
    rows = [line.split("|") for line in listed]
    return {name: version for state, name, version in rows if name in names and state.strip() in {"ii", "hi"}}


def audit(node: TestNode) -> str:
    """Give what dpkg finds unfinished; empty: nothing."""
    return node.run(["dpkg", "--audit"]).stdout
