"""Login shells for test nodes: this machine's own, lent to a node that was made without them.

Nodes are of the same distribution as the machine, so that a shell and its libraries can be copied as they are. The nodes'
root stays small that way, and without Python, which Debian's fish would bring along.
"""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.nodes import TestNode
from tests.support.requirements import skip_or_fail

_SHARED = {"fish": ("/usr/share/fish",), "zsh": ("/usr/lib/x86_64-linux-gnu/zsh", "/usr/lib/aarch64-linux-gnu/zsh")}
"""Folders without which a shell starts with complaints."""


def lend_shell(node: TestNode, name: str) -> str:
    """Put a shell of this machine on a node; gives its path there. Skips, or fails, where this machine has none.

    `ash` is busybox, as Alpine's login shell is; `rbash` is the node's own.
    """
    if name == "rbash":
        return "/bin/rbash"
    if name == "ash":
        node.run(["ln", "-sf", "busybox", "/bin/ash"])
        return "/bin/ash"
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"no {name} on this machine (tests/support/install_packages.sh installs it)")
    path = Path(found).resolve()
    libraries = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    for wanted in (path, *map(Path, re.findall(r"/\S+\.so\S*", libraries))):
        _copy(wanted, node)
    for folder in map(Path, _SHARED.get(name, ())):
        if folder.is_dir() and not (node.root / str(folder)[1:]).exists():
            shutil.copytree(folder, node.root / str(folder)[1:], symlinks=True)
    return str(path)


def _copy(path: Path, node: TestNode) -> None:
    there = node.root / str(path)[1:]
    if not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)
