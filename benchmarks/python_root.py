"""The test nodes' root with Python in it: Ansible cannot ask a node for its packages without."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.node_root import configured_archive, ensure_root, search_path

PACKAGES = ("python3-minimal", "python3-apt")


def ensure_python_root() -> Path:
    """Give a copy of the shared root with Python installed, made once beside it."""
    plain = ensure_root()
    root = plain.with_name(f"{plain.name}-python")
    if root.is_dir():
        return root
    unfinished = Path(tempfile.mkdtemp(prefix=f"{root.name}.", suffix=".unfinished", dir=root.parent))
    try:
        subprocess.run(["cp", "--archive", f"{plain}/.", str(unfinished)], check=True)
        _install(unfinished)
        unfinished.rename(root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return root


def _install(root: Path) -> None:
    archive = configured_archive()
    sources = root / "etc/apt/sources.list"
    resolver = root / "etc/resolv.conf"
    before = resolver.read_bytes() if resolver.exists() else None
    sources.write_text(f"deb {archive.mirror} {archive.suite} main\n", encoding="ascii")
    shutil.copyfile("/etc/resolv.conf", resolver)
    for command in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES), ("clean",)):
        subprocess.run(
            ["chroot", str(root), "apt-get", *command],
            env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **_proxies()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    sources.write_text("", encoding="ascii")
    for path in (root / "var/lib/apt/lists").glob("*"):
        if path.is_file():
            path.unlink()
    if before is None:
        resolver.unlink()
    else:
        resolver.write_bytes(before)


def _proxies() -> dict[str, str]:

    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
