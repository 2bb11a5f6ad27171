"""A site whose nodes take their packages from a repository of the tests' own, and ways to patch them.

Takes packages as values; gives what came of `AWS-RunPatchBaseline` on a node, and what dpkg says of it afterwards.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.documents.content import Blobs
from reconciler.documents.patch_script import NO_END, patch_script
from reconciler.documents.rendered import Rendered, RenderedStep, digest_of
from reconciler.drift.definitions import Definition
from reconciler.ids import AssociationName, BaselineName, Digest, DocumentName, FleetId
from reconciler.inventory.collect import ask
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchEntry
from reconciler.model.known import Known
from reconciler.model.patch_lines import PatchTable
from reconciler.model.patch_order import PatchOrder, RebootOption
from reconciler.model.patch_request import InstallOverride, Operation, PatchRequest
from reconciler.model.questions import Questions
from reconciler.patching.approval import Grounds
from reconciler.patching.from_facts import READ, NodeMemory, node_patches
from reconciler.patching.install_report import InstallReport, read_install_report
from reconciler.patching.ledger import Ledger
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.states import Judge
from reconciler.rollout.flight import Delivery
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, TestNode
from tests.support.one_node import OneNode
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
    detail: str = ""
    """What the run's record says."""

    @property
    def report(self) -> InstallReport:
        """What the step said."""
        return read_install_report(self.stdout.encode())

    @property
    def installed(self) -> Mapping[str, str]:
        """Row -> version."""
        return {str(row): version for row, version in self.report.installed.items()}

    @property
    def causes(self) -> Mapping[str, str]:
        """Row -> cause."""
        return {row: problem.cause for row, problem in self.report.failed.items()}


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
        self, document: str, given: Mapping[str, str], *, node: str = "web-01", check: int | None = None, step: str = ""
    ) -> Patched:
        """Send any document to one node; gives what became of `step`, where it has several."""
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
        return self.invocation(answer["Command"]["CommandId"], node, step)

    def invocation(self, command: str, node: str = "web-01", step: str = "") -> Patched:
        """Give what is kept of one invocation."""
        named = ("--plugin-name", step) if step else ()
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
            *named,
        )
        answer = json.loads(done.stdout)
        return Patched(
            status=answer["Status"],
            exit_code=answer["ResponseCode"],
            stdout=answer["StandardOutputContent"],
            stderr=answer["StandardErrorContent"],
        )


class Manager(OneNode):
    """A management host in this process, for one node: asks it, judges, and carries one order out. No git, no ledger."""

    def __init__(
        self,
        server: TestNode,
        outputs: Path,
        system: OperatingSystem = OperatingSystem.DEBIAN,
        product: str = "Debian12",
    ) -> None:
        super().__init__(server)
        self.system = system
        self.product = product
        self.outputs = outputs
        self.runs = 0

    def order(
        self,
        *approved: str,
        reboot: RebootOption = RebootOption.NO_REBOOT,
        overrides: tuple[InstallOverride, ...] | None = None,
        **baseline: Any,
    ) -> PatchOrder | None:
        """Ask the node, and give what an install would bring where these packages are approved by name, and no others."""
        # By name, whatever the notices say of it.
        baseline.setdefault("approved_non_security", True)
        found, judge = self.look(*approved, **baseline)
        return order_of(PatchRequest(operation=Operation.INSTALL, reboot=reboot, overrides=overrides), found, judge)

    def look(
        self, *approved: str, memory: NodeMemory | None = None, ledger: Ledger | None = None, **baseline: Any
    ) -> tuple[NodePatches, Judge]:
        """Ask the node, and give its patches, and who judges them by such a baseline."""
        questions = Questions(patches=True, ports=(), mounts=False)
        with self.pool() as pool, pool.connect(self.node) as session:
            facts = ask(session, self.node, questions).facts
        found = node_patches({name: facts.section(name) for name in READ}, PatchTable(), memory or NodeMemory())
        assert isinstance(found, Known), found
        return found.value, Judge(self.grounds(*approved, ledger=ledger, **baseline))

    def grounds(self, *approved: str, ledger: Ledger | None = None, **baseline: Any) -> Grounds:
        """Give what verdicts rest on, under a baseline that approves these by name."""
        entries = tuple(PatchEntry(pattern=name) for name in approved)
        by = PatchBaseline(name=BaselineName("now"), operating_system=self.system, approved=entries, **baseline)
        return Grounds(baseline=by, ledger=ledger or Ledger(), product=self.product, now=datetime.now(UTC))

    def run(
        self,
        order: PatchOrder | None,
        *,
        seconds: float = 120,
        stop: threading.Event | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        script: Callable[[bytes], bytes] = lambda text: text,
        files: Iterable[bytes] = (),
        **request: Any,
    ) -> Patched:
        """Carry an order out as the roll-out of a command does; `script` may change what runs, to make it quicker.

        `files`: what this host has kept.
        """
        wanted = PatchRequest(
            operation=Operation.INSTALL, reboot=order.reboot if order else RebootOption.NO_REBOOT, **request
        )
        text = script(patch_script(wanted, order))
        step = RenderedStep(name="PatchLinux", action="reconciler:runPatchBaseline", script=text, timeout=NO_END)
        steps = (replace(step, group=1),)
        made = {hashlib.sha256(data).hexdigest(): data for data in files}
        blobs = Blobs(sizes={sha256: len(data) for sha256, data in made.items()}, made=made)
        rendered = Rendered(
            document=DocumentName("Patch"), version="1", digest=digest_of(steps), steps=steps, blobs=blobs
        )
        self.runs += 1
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        outcome = self.carry_out(
            Definition(digest=Digest("e" * 64), rendered=rendered),
            fleet=FleetId("patching"),
            association=AssociationName("patch"),
            n=self.runs,
            seconds=seconds,
            stop=stop,
            outputs=self.outputs,
            delivery=Delivery(
                until=until,
                cancelled=lambda _node: cancelled(),
                on_started=lambda _node: None,
                on_delayed=lambda _node, _why: None,
            ),
        )
        if outcome.record is None:  # cancelled before it began
            return Patched(status=outcome.disposition.value, exit_code=-1, stdout="", stderr=outcome.reason)
        done = outcome.record.steps[0]
        return Patched(
            status=outcome.record.status.value,
            exit_code=done.exit_code,
            stdout=done.stdout.decode(),
            stderr=done.stderr.decode(),
            detail=outcome.record.detail,
        )


def versions(node: TestNode, *names: str) -> Mapping[str, str]:
    """Give what dpkg has installed whole, of packages by name."""
    listed = node.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\n"]).stdout.splitlines()
    rows = [line.split("|") for line in listed]
    return {name: version for state, name, version in rows if name in names and state.strip() in {"ii", "hi"}}


def audit(node: TestNode) -> str:
    """Give what dpkg finds unfinished; empty: nothing."""
    return node.run(["dpkg", "--audit"]).stdout


def package(name: str, version: str, /, **given: object) -> Package:
    """Describe a package: fields of its control file by their names (`Depends=`), maintainer scripts by theirs (`postinst=`)."""
    fields = {key.replace("_", "-"): str(text) for key, text in given.items() if key[0].isupper()}
    scripts = {key: str(text) for key, text in given.items() if key in {"preinst", "postinst", "prerm", "postrm"}}
    files = given.get("files", {})
    assert isinstance(files, dict)
    return Package(name=name, version=version, fields=fields, scripts=scripts, files=files)


def publish(node: TestNode, folder: Path, packages: Sequence[Package]) -> AptRepository:
    """Let the node know exactly these."""
    repository = AptRepository(folder / "apt")
    repository.publish("bookworm-security", packages, label="Debian-Security")
    repository.install_into(node.root)
    node.run(["apt-get", "-q", "update"])
    return repository


def have(node: TestNode, folder: Path, packages: Sequence[Package], *more: Package) -> None:
    """Install `packages`, and then let the archive hold them with `more`."""
    publish(node, folder, packages)
    node.run(["apt-get", "-qy", "install", *(f"{one.name}={one.version}" for one in packages)])
    publish(node, folder, [*packages, *more])


def forget_packages(node: TestNode) -> None:
    """Take away the tests' own packages, whole or broken, and what an install remembers."""
    ours = "dpkg-query -W -f '${Package} ${Maintainer}\\n' | sed -n 's/ Nobody .*//p'"
    scripts = "for one in $names; do rm -f /var/lib/dpkg/info/$one.p*; done"
    purge = '[ -z "$names" ] || dpkg --purge --force-all $names; dpkg --configure -a'
    node.run(["sh", "-c", f"names=$({ours}); {scripts}; {purge}; rm -rf /var/lib/reconciler/patching"])
