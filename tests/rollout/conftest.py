import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rollout.a_node import SHELLS, WAYS, HomeNode


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder for nodes; whatever still runs below it in the end is killed."""
    # pytest's own folders are closed to other users, and nodes run as one.
    folder = Path(tempfile.mkdtemp(prefix="reconciler-node-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        kill_all_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def way_id(way: tuple[tuple[str, ...], bool]) -> str:
    shell, stays = way
    return f"{shell[0]}{' that stays' if stays else ''}"


@pytest.fixture(params=WAYS, ids=way_id)
def node(request: pytest.FixtureRequest) -> Iterator[HomeNode]:
    """A node for each shell: one that begins anew for each program, and one that stays and has a hand."""
    shell, stays = request.param
    with a_folder() as folder:
        yield HomeNode(folder / "home", shell, stays=stays)


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def starting(request: pytest.FixtureRequest) -> Iterator[HomeNode]:
    """A node for each shell, which begins anew for each program, and its runners from files."""
    with a_folder() as folder:
        yield HomeNode(folder / "home", request.param)


@pytest.fixture(params=[True, False], ids=["flock", "no flock"])
def locked(request: pytest.FixtureRequest) -> Iterator[HomeNode]:
    """A node with and one without the flock program."""
    with a_folder() as folder:
        yield HomeNode(folder / "home", flock=request.param)


def kill_all_below(folder: Path) -> None:
    """End every process that holds a file below `folder`, or was started with one."""
    for _ in range(50):
        found = [pid for pid in pids() if str(folder) in all_about(pid)]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def pids() -> list[int]:
    return [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and int(path.name) != os.getpid()
    ]


def all_about(pid: int) -> str:
    try:
        links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        return " ".join(
            [*links, str(Path(f"/proc/{pid}/cwd").readlink()), Path(f"/proc/{pid}/cmdline").read_text(errors="replace")]
        )
    except OSError:
        return ""


@pytest.fixture
def folder() -> Iterator[Path]:
    with a_folder() as path:
        yield path
