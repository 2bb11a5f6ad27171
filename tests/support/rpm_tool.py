"""A real rpm to compare with: the machine's own, else Debian's packages unpacked into a folder, not installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PACKAGES = (
    "rpm",
    "rpm-common",
    "librpm9",
    "librpmbuild9",
    "librpmio9",
    "librpmsign9",
    "liblua5.3-0",
    "libpopt0",
    "libfsverity0",
)


@dataclass(frozen=True)
class Rpm:
    """How rpm is started."""

    program: str
    environment: dict[str, str] = field(default_factory=dict)

    def orders(self, pairs: Sequence[tuple[str, str]], folder: Path) -> list[int]:
        """Give rpm's verdict on each pair of labels, in one process."""
        listed = folder / "pairs"
        listed.write_text("".join(f"{left} {right}\n" for left, right in pairs))
        script = f'%{{lua: for line in io.lines("{listed}") do local a, b = line:match("(%S+) (%S+)") print(rpm.vercmp(a, b) .. ";") end}}'
        done = subprocess.run(
            [self.program, "--eval", script],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        return [int(line) for line in done.stdout.strip().rstrip(";").split(";")]


def real_rpm(folder: Path) -> Rpm | None:
    """Give an rpm that runs, or None where there is neither one nor apt to fetch it with."""
    own = shutil.which("rpm")
    if own is not None:
        return Rpm(own, dict(os.environ))
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    fetched = subprocess.run(["apt-get", "download", "-qq", *_PACKAGES], cwd=folder, check=False, capture_output=True)
    if fetched.returncode != 0:
        return None
    root = folder / "root"
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    libraries = sorted({str(found.parent) for found in root.rglob("*.so.*")})
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)}
    return Rpm(str(root / "usr/bin/rpm"), environment | {"RPM_CONFIGDIR": str(root / "usr/lib/rpm")})
