"""RPM repositories of tiny packages with update notices, and nodes that live by dnf or zypper.

    packages = RpmPackages(node)                       # a node with rpm and createrepo_c builds them
    packages.publish("baseos", [Rpm(name="hello", version="1.0-1.el9")], notices=[Advisory(id="RHSA-2026:1", ...)])
    packages.copy_to(other)                            # any other node
    become_rpm_node(node, ROCKY)                       # its os-release, its rpm database, and dnf's configuration
    configure_dnf(node, ["baseos"])
    with rpm_fleet(folder, dnf=["baseos"]) as fleet:   # all of it, for one node with dnf and one with zypper

What such a node is: a Debian root with Debian's own rpm, dnf, createrepo_c and zypper (the real programs), the os-release of
another distribution, and an rpm database in the usual place that holds only what tests installed from these repositories.
Takes packages as values, builds them with rpmbuild; a repository published again replaces what it said before.
"""

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet

RPM_TOOLS = ("dnf", "rpm", "createrepo-c", "zypper")
"""Packages of Debian's; one layer for both families, made once."""
ON_NODE = Path("/srv/rpm")
BUILT = 1_700_000_000
"""When every package says that it was built: 2023-11-14 22:13:20 UTC."""

ROCKY = 'NAME="Rocky Linux"\nVERSION="9.4 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n'
LEAP = 'NAME="openSUSE Leap"\nVERSION="15.6"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n'

_BUILD = r"""
set -eu
cd "$1"; shift
export SOURCE_DATE_EPOCH
for spec; do
  rpmbuild -bb --quiet --define "_rpmdir $PWD" --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define '_binary_payload w1.gzdio' --define 'use_source_date_epoch_as_buildtime 1' --define '_buildhost test' \
    --define '__os_install_post %{nil}' --define "_topdir $PWD/top" "$spec" >>build.log 2>&1 || { tail build.log >&2; exit 1; }
done
"""
_PUBLISH = r"""
set -eu
cd "$1"
createrepo_c --quiet --no-database .
[ ! -f updateinfo.xml ] || modifyrepo_c --mdtype=updateinfo updateinfo.xml repodata >/dev/null
[ ! -f modules.yaml ] || modifyrepo_c --mdtype=modules modules.yaml repodata >/dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpm:
    """One version of a package: `version` is `[EPOCH:]VERSION-RELEASE`."""

    name: str
    version: str
    arch: str = "noarch"
    source: str = ""
    module: str = ""
    """`NAME:STREAM:VERSION:CONTEXT`: its modularity label."""
    fields: Sequence[str] = ()
    """More lines of the preamble, such as `Requires: bash >= 5`."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """`post`, `pre` and so on, run by sh."""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name of the .rpm."""
        return f"{self.name}-{self.version.rpartition(':')[2]}.{self.arch}.rpm"

    @property
    def spec(self) -> str:
        """The text of a spec file."""
        epoch, _, rest = self.version.rpartition(":")
        version, _, release = rest.partition("-")
        files = {f"/usr/share/{self.name}/{rest}": f"{self.version}\n", **self.files}
        lines = [
            f"Name: {self.source or self.name}",
            *([f"Epoch: {epoch}"] if epoch else []),
            f"Version: {version}",
            f"Release: {release}",
            f"Summary: {self.name} for tests",
            "License: none",
            *(["BuildArch: noarch"] if self.arch == "noarch" else []),
            "AutoReqProv: no",
            *([f"ModularityLabel: {self.module}"] if self.module else []),
            *([] if self.source else self.fields),
            "%description",
            "for tests",
            *(
                [f"%package -n {self.name}", "Summary: x", *self.fields, f"%description -n {self.name}", "x"]
                * bool(self.source)
            ),
            "%install",
            *(
                f"mkdir -p %{{buildroot}}$(dirname {path}); printf %s {shlex.quote(text)} >%{{buildroot}}{path}"
                for path, text in files.items()
            ),
        ]
        named = f" -n {self.name}" if self.source else ""
        for kind, script in self.scripts.items():
            lines += [f"%{kind}{named}", script]
        return "\n".join([*lines, f"%files{named}", *files, ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One notice of updateinfo, about exact packages."""

    id: str
    packages: Sequence[Rpm]
    type: str = "security"
    severity: str | None = "Important"
    issued: str = "2026-03-01 12:00:00"
    updated: str | None = None
    cves: Sequence[str] = ()
    bugzillas: Sequence[str] = ()
    title: str = "an update"
    reboot: bool = False

    @property
    def xml(self) -> str:
        """The `update` element."""
        references = [
            f'<reference href="https://example.invalid/{one}" id={quoteattr(one)} type="{kind}" title={quoteattr(one)}/>'
            for kind, ids in (("cve", self.cves), ("bugzilla", self.bugzillas))
            for one in ids
        ]
        return "\n".join(
            (
                f'  <update from="updates@example.invalid" status="stable" type={quoteattr(self.type)} version="1">',
                f"    <id>{escape(self.id)}</id>",
                f"    <title>{escape(self.title)}</title>",
                f'    <issued date="{self.issued}"/>',
                *([f'    <updated date="{self.updated}"/>'] if self.updated else []),
                *([f"    <severity>{escape(self.severity)}</severity>"] if self.severity is not None else []),
                "    <description>for tests</description>",
                "    <references>",
                *(f"      {line}" for line in references),
                "    </references>",
                "    <pkglist>",
                '      <collection short="test">',
                "        <name>test</name>",
                *(self._package(one) for one in self.packages),
                "      </collection>",
                "    </pkglist>",
                "  </update>",
            )
        )

    def _package(self, one: Rpm) -> str:
        epoch, _, rest = one.version.rpartition(":")
        version, _, release = rest.partition("-")
        flag = "<reboot_suggested>True</reboot_suggested>" if self.reboot else ""
        return (
            f'        <package name="{one.name}" version="{version}" release="{release}" epoch="{epoch or 0}" arch="{one.arch}"'
            f' src="{one.source or one.name}-{rest}.src.rpm">\n          <filename>{one.file_name}</filename>{flag}\n        </package>'
        )


class RpmPackages:
    """Repositories below /srv/rpm of one node, built there."""

    def __init__(self, node: TestNode) -> None:
        self.node = node
        self._built: set[str] = set()

    def build(self, packages: Iterable[Rpm]) -> None:
        """Build what is not there yet, in one go."""
        wanted = {one.file_name: one for one in packages if one.file_name not in self._built}
        pool = self._inside("pool")
        pool.mkdir(parents=True, exist_ok=True)
        names = []
        for file_name, one in wanted.items():
            name = f"{one.name}-{len(self._built)}.spec"
            (pool / name).write_text(one.spec, encoding="utf-8")
            names.append(name)
            self._built.add(file_name)
        if names:
            self.node.run(
                ["env", f"SOURCE_DATE_EPOCH={BUILT}", "sh", "-c", _BUILD, "sh", str(ON_NODE / "pool"), *names]
            )

    def publish(
        self, repository: str, packages: Sequence[Rpm], *, notices: Sequence[Advisory] | None = (), modules: str = ""
    ) -> None:
        """Let a repository hold exactly these packages; `notices` None: it publishes no updateinfo at all."""
        self.build(packages)
        folder = self._inside(repository)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for one in packages:
            shutil.copyfile(self._inside("pool") / one.file_name, folder / one.file_name)
        if notices is not None:
            text = "\n".join(one.xml for one in notices)
            (folder / "updateinfo.xml").write_text(
                f'<?xml version="1.0"?>\n<updates>\n{text}\n</updates>\n', encoding="utf-8"
            )
        if modules:
            (folder / "modules.yaml").write_text(modules, encoding="utf-8")
        self.node.run(["sh", "-c", _PUBLISH, "sh", str(ON_NODE / repository)])

    def copy_to(self, other: TestNode) -> None:
        """Give another node the same repositories."""
        inside = other.root / ON_NODE.relative_to("/")
        shutil.rmtree(inside, ignore_errors=True)
        shutil.copytree(self.node.root / ON_NODE.relative_to("/"), inside)

    def _inside(self, name: str) -> Path:
        return self.node.root / ON_NODE.relative_to("/") / name


def rpm_node(name: str, *, systemd: bool = False) -> NodeSpec:
    """Say what kind of node has these tools."""
    return NodeSpec(name=name, packages=RPM_TOOLS, systemd=systemd)


@contextmanager
def rpm_fleet(
    folder: Path, *others: NodeSpec, dnf: Iterable[str] = ("updates",), zypper: Iterable[str] = ("updates",)
) -> Iterator[Fleet]:
    """Start `others`, one node that lives by dnf and one that lives by zypper, which know these repositories."""
    with start_fleet(folder, specs=[*others, rpm_node("rocky"), rpm_node("leap")]) as fleet:
        *_, rocky, leap = fleet.nodes
        become_rpm_node(rocky, ROCKY)
        become_rpm_node(leap, LEAP)
        configure_dnf(rocky, dnf)
        configure_zypper(leap, zypper)
        yield fleet


def become_rpm_node(node: TestNode, os_release: str) -> None:
    """Give a node another distribution's os-release, and an rpm database in the place where it has it."""
    for path, text in (
        ("usr/lib/os-release", os_release),
        ("root/.rpmmacros", ""),
        ("etc/rpm/macros", "%_dbpath %{_var}/lib/rpm\n"),
        ("etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n"),
    ):
        file = node.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    node.run(["sh", "-c", "rm -rf /var/lib/rpm; mkdir -p /var/lib/rpm /etc/yum.repos.d; rpm --initdb"])


def configure_dnf(node: TestNode, repositories: Mapping[str, str] | Iterable[str]) -> None:
    """Let dnf know exactly these repositories; a mapping gives more lines of each one's section."""
    more = repositories if isinstance(repositories, Mapping) else dict.fromkeys(repositories, "")
    text = "".join(
        f"[{name}]\nname=Tests - {name}\nbaseurl=file://{ON_NODE}/{name}\nenabled=1\ngpgcheck=0\n{lines}\n"
        for name, lines in more.items()
    )
    (node.root / "etc/yum.repos.d/tests.repo").write_text(text, encoding="utf-8")


def configure_zypper(node: TestNode, repositories: Iterable[str]) -> None:
    """Let zypper know exactly these repositories."""
    folder = node.root / "etc/zypp/repos.d"
    folder.mkdir(parents=True, exist_ok=True)
    (node.root / "etc/zypp/zypp.conf").write_text("[main]\nmultiversion = provides:multiversion(kernel)\n")
    for old in folder.glob("*.repo"):
        old.unlink()
    for name in repositories:
        text = f"[{name}]\nname=Tests - {name}\nenabled=1\nautorefresh=0\nbaseurl=dir:{ON_NODE}/{name}\ntype=rpm-md\ngpgcheck=0\n"
        (folder / f"{name}.repo").write_text(text, encoding="utf-8")
