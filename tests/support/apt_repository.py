"""An apt repository of tiny packages, so that what a node can install never depends on the day.

    repository = AptRepository(tmp_path / "apt")
    repository.publish("bookworm", [Package(name="hello", version="1.0")])
    repository.publish("bookworm-security", [Package(name="hello", version="1.0+deb12u1")], label="Debian-Security")
    repository.install_into(node.root)       # copied to the node; the only source apt has there
    node.run(["apt-get", "update"])

Takes packages as values and builds them with dpkg-deb; a suite published again replaces what it said before. Signs
nothing: the sources say `trusted=yes`.
"""

import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ON_NODE = Path("/srv/apt")
RELEASED = datetime(2024, 1, 15, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One version of a package: what its control file says, what it installs, and what it does when installed."""

    name: str
    version: str
    architecture: str = "all"
    section: str = "misc"
    priority: str = "optional"
    fields: Mapping[str, str] = field(default_factory=dict)
    """More lines of the control file, such as Depends."""
    index_fields: Mapping[str, str] = field(default_factory=dict)
    """Lines that the archive adds to its list, such as Phased-Update-Percentage."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Absolute paths and what is in them; those below /etc become conffiles."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Maintainer scripts: `postinst` and so on, each with its shebang."""

    @property
    def control(self) -> str:
        """The text of the control file."""
        lines = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "Nobody <nobody@example.invalid>",
            "Section": self.section,
            "Priority": self.priority,
            "Description": f"{self.name} for tests",
            **self.fields,
        }
        return "".join(f"{name}: {value}\n" for name, value in lines.items())

    @property
    def file_name(self) -> str:
        """The name of the .deb, without its folder."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


@dataclass(frozen=True, slots=True)
class AptRepository:
    """A directory with `pool` and `dists`."""

    directory: Path

    def publish(
        self,
        suite: str,
        packages: Iterable[Package],
        *,
        origin: str = "Debian",
        label: str = "Debian",
        component: str = "main",
        date: datetime = RELEASED,
        valid_until: datetime | None = None,
        architecture: str = "amd64",
    ) -> None:
        """Let a suite hold exactly these packages; `date` and `valid_until` are those its Release gives."""
        pool = Path("pool") / component
        (self.directory / pool).mkdir(parents=True, exist_ok=True)
        entries = [self._entry(pool, package) for package in packages]
        index = Path(component) / f"binary-{architecture}"
        text = "\n".join(entries).encode()
        sums = []
        for name, content in (("Packages", text), ("Packages.gz", gzip.compress(text, mtime=0))):
            path = self.directory / "dists" / suite / index / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            sums.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {index / name}\n")
        release = {
            "Origin": origin,
            "Label": label,
            "Suite": suite.replace(suite.partition("-")[0], "stable", 1),
            "Codename": suite,
            "Date": format_datetime(date.astimezone(UTC), usegmt=True),
            "Architectures": f"all {architecture}",
            "Components": component,
        }
        if valid_until is not None:
            release["Valid-Until"] = format_datetime(valid_until.astimezone(UTC), usegmt=True)
        lines = "".join(f"{name}: {value}\n" for name, value in release.items())
        (self.directory / "dists" / suite / "Release").write_text(f"{lines}SHA256:\n{''.join(sums)}", encoding="ascii")

    @property
    def suites(self) -> tuple[str, ...]:
        """What has been published."""
        return tuple(sorted(path.name for path in (self.directory / "dists").iterdir()))

    def install_into(self, root: Path) -> None:
        """Copy the repository into a node's file system, and make it the only one apt knows there."""
        inside = root / ON_NODE.relative_to("/")
        shutil.rmtree(inside, ignore_errors=True)
        shutil.copytree(self.directory, inside)
        lines = (f"deb [trusted=yes] file:{ON_NODE} {suite} main\n" for suite in self.suites)
        (root / "etc/apt/sources.list").write_text("".join(lines), encoding="ascii")

    def _entry(self, pool: Path, package: Package) -> str:
        deb = self.directory / pool / package.file_name
        if not deb.exists():
            build(package, deb)
        content = deb.read_bytes()
        return (
            f"{package.control}Filename: {pool / package.file_name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
            + "".join(f"{name}: {value}\n" for name, value in package.index_fields.items())
        )


def build(package: Package, deb: Path) -> None:
    """Build one .deb."""
    with TemporaryDirectory(prefix=f"{package.name}-") as made:
        tree = Path(made) / "tree"
        debian = tree / "DEBIAN"
        debian.mkdir(parents=True)
        debian.chmod(0o755)
        (debian / "control").write_text(package.control, encoding="utf-8")
        for path, text in package.files.items():
            file = tree / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        conffiles = "".join(f"{path}\n" for path in package.files if path.startswith("/etc/"))
        if conffiles:
            (debian / "conffiles").write_text(conffiles, encoding="ascii")
        for name, script in package.scripts.items():
            (debian / name).write_text(script, encoding="utf-8")
            (debian / name).chmod(0o755)
        tree.chmod(0o755)
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(tree), str(deb)],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(int(RELEASED.timestamp()))},
            stdin=subprocess.DEVNULL,
            check=True,
            capture_output=True,
        )
