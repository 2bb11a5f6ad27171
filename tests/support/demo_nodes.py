"""`python -m tests.support.demo_nodes`: starts throw-away nodes where it can, and shows `reconciler demo` on them."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.nodes import Fleet, NodesUnavailable, start_fleet

NODES = 4


def _describe(fleet: Fleet, folder: Path) -> None:
    texts = [
        f"Id: demo-{number:02}\nAddress: {node.address}\nPort: {node.port}\nUser: {node.user}\n"
        "IdentityFile: demo\nBecome: sudo\nTags: {Role: demo}\n"
        for number, node in enumerate(fleet.nodes, 1)
    ]
    (folder / "nodes.yaml").write_text("---\n".join(texts))
    (folder / "known_hosts").write_text(fleet.known_hosts)
    key = folder / "demo"
    key.write_bytes(Path(fleet.identity_file).read_bytes())
    key.chmod(0o600)


def main() -> int:
    """Run the demo; on real nodes if this machine allows it, else on this machine alone, and say which."""
    program = [sys.executable, "-m", "reconciler", "demo"]
    folder = Path(tempfile.mkdtemp(prefix="reconciler-demo-nodes-"))
    try:
        print("setting up nodes (the first time makes a Debian root, about a minute) ...", flush=True)  # noqa: T201
        try:
            with start_fleet(folder / "fleet", count=NODES) as fleet:
                _describe(fleet, folder)
                began = time.monotonic()
                code = subprocess.run([*program, "--nodes-from", str(folder)], check=False).returncode
                print(f"shown on {NODES} nodes in {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
                return code
        except NodesUnavailable as exc:
            print(f"no real nodes here: {exc}", flush=True)  # noqa: T201
            return subprocess.run(program, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
