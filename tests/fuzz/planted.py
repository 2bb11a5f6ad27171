"""Parsers with a fault each: they show that the harness finds what it is there for."""

import os
import signal
import time

from tests.fuzz.target import Target


def _seeds() -> list[bytes]:
    return [b"seed"]


def _raises(data: bytes) -> str:
    return {b"seed": "fine"}[data]


def _hangs(data: bytes) -> str:
    while data != b"seed":
        time.process_time()
    return "fine"


def _dies(data: bytes) -> str:
    if data != b"seed":
        os.kill(os.getpid(), signal.SIGSEGV)
    return "fine"


def _eats(data: bytes) -> str:
    return "fine" if data == b"seed" else str(len(b"x" * (250 << 20)))


PLANTED = {
    "planted-exception": Target(seeds=_seeds, probe=_raises),
    "planted-hang": Target(seeds=_seeds, probe=_hangs),
    "planted-signal": Target(seeds=_seeds, probe=_dies),
    "planted-memory": Target(seeds=_seeds, probe=_eats),
}
