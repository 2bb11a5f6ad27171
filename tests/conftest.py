"""What every test gets: a home of its own, nobody's keys or git settings, and a look at what it left behind.

Real nodes: `require_nodes` skips where a machine cannot have them (under REQUIRE_NODES=1: fails), `start_nodes` starts
them for one test, `shared_fleet` lends three that live as long as the worker (put them right again afterwards).
"""

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.support.left_behind import child_processes
from tests.support.node_root import NodesUnavailable, cache_directory, ensure_root
from tests.support.nodes import Fleet, start_fleet
from tests.support.patience import be_patient
from tests.support.requirements import skip_or_fail
from tests.support.ssh_node import SshAddress, ssh_node

# Settled before HOME changes, or the root would be made anew for every test.
os.environ["RECONCILER_TEST_CACHE"] = str(cache_directory())

# An example may take as long as it takes: on a machine with other work, time says nothing about what is tested.
settings.register_profile("no clock", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
be_patient()

_KEPT = frozenset({"RECONCILER_TEST_CACHE"})
_FOREIGN = ("GIT_", "SSH_", "XDG_", "RECONCILER_")
_GRACE = float(os.environ.get("RECONCILER_TEST_GRACE", "60"))
"""Seconds a thread or process gets to end after its test; only a test that fails waits for all of it."""
_HOMES = itertools.count()


class StartNodes(Protocol):
    """The keyword arguments of start_fleet."""

    def __call__(self, count: int = 1, *, systemd: int = 0, disk_mb: int | None = None) -> Fleet: ...


def pytest_collection() -> None:
    """Look for no garbage among nine thousand tests and all modules, again and again."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs nodes, keep tests that share a fleet on one worker, since each worker would start its own, and begin with them.

    They wait a lot, and take long: what needs a processor alone fills the gaps, and the end.
    """
    items.sort(key=lambda item: not _needs_nodes(item))
    for item in items:
        if _needs_nodes(item):
            item.add_marker(pytest.mark.nodes)
            if _shares_a_fleet(item):
                item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the nodes' root now: inside a test it would count against that test's time limit."""
    # All that is there so far stays, and is looked at no more.
    gc.collect()
    gc.freeze()
    gc.enable()
    if any(_needs_nodes(item) for item in session.items) and not session.config.option.collectonly:
        try:
            ensure_root()
        except NodesUnavailable as exc:
            sys.stderr.write(f"no test nodes: {exc}\n")


def _needs_nodes(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "require_nodes" in item.fixturenames


def _shares_a_fleet(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.get_closest_marker("xdist_group"):
        return False
    definitions = item._fixtureinfo.name2fixturedefs  # pytest has no public way to ask for a fixture's scope
    return any(found[-1].scope == "module" and "require_nodes" in found[-1].argnames for found in definitions.values())


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nobody's agent, git settings, ssh keys or XDG directories are read; gives the directory of the tests' homes."""
    homes = tmp_path_factory.mktemp("homes")
    before = dict(os.environ)
    for name in before:
        if name.startswith(_FOREIGN) and name not in _KEPT:
            del os.environ[name]
    os.environ |= {"HOME": str(homes), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    yield homes
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def own_home(no_settings_of_ours: Path) -> Iterator[Path]:
    """An empty home for each test. Without `monkeypatch`: hypothesis objects to it in tests of its own."""
    home = no_settings_of_ours / str(next(_HOMES))
    home.mkdir()
    before = os.environ["HOME"]
    os.environ["HOME"] = str(home)
    yield home
    os.environ["HOME"] = before


@pytest.fixture(autouse=True)
def nothing_left_behind(own_home: Path) -> Iterator[None]:
    """No test leaves a thread, a connection's thread, or a process running."""
    threads, processes = set(threading.enumerate()), child_processes()
    yield
    deadline = time.monotonic() + _GRACE
    while True:
        left = [*(set(threading.enumerate()) - threads), *(child_processes().items() - processes.items())]
        if not left:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"the test left running: {left}")
        time.sleep(0.01)


@pytest.fixture(scope="session")
def require_nodes() -> None:
    """Whoever asks for this needs real nodes."""
    try:
        ensure_root()
    except NodesUnavailable as exc:
        skip_or_fail(str(exc))


@pytest.fixture
def start_nodes(tmp_path: Path, require_nodes: None) -> Iterator[StartNodes]:
    """Start nodes for this test alone."""
    with ExitStack() as ending:

        def start(count: int = 1, *, systemd: int = 0, disk_mb: int | None = None) -> Fleet:
            return ending.enter_context(start_fleet(tmp_path, count, systemd=systemd, disk_mb=disk_mb))

        yield start


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    """Three plain nodes that all tests of a worker share."""
    with start_fleet(tmp_path_factory.mktemp("shared-fleet"), count=3) as fleet:
        yield fleet


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SshAddress]:
    """A node you can reach: a real sshd, keys of its own, tmp_path/bin first on its PATH (for a fake dpkg or rpm)."""
    with ssh_node(tmp_path) as address:
        yield address
