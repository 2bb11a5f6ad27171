"""Fixtures of the transport's tests: keys, sshds and pools, and nothing left behind afterwards."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.real_sshd import SSHD, PoolMaker, Sshd, SshdMaker, keygen


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A key directory with one key, `fleet`."""
    folder = tmp_path / "keys"
    folder.mkdir()
    keygen(folder / "fleet")
    return folder


@pytest.fixture
def make_sshd(tmp_path: Path, keys: Path) -> Iterator[SshdMaker]:
    if not Path(SSHD).exists() or os.geteuid() != 0:
        pytest.skip("needs root and sshd")
    Path("/run/sshd").mkdir(exist_ok=True)
    maker = SshdMaker(tmp_path, keys)
    yield maker
    for sshd in maker.made:
        sshd.stop()


@pytest.fixture
def sshd(make_sshd: SshdMaker) -> Sshd:
    return make_sshd()


@pytest.fixture
def make_pool(keys: Path) -> Iterator[PoolMaker]:
    maker = PoolMaker(keys)
    yield maker
    for pool in maker.made:
        pool.close()
