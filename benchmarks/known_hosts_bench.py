"""What indexing a fleet's `state/known_hosts` costs: our own CPU, no files and no processes."""

import base64
import hashlib
import hmac
import struct
import time
from collections.abc import Callable

from benchmarks.figure import Figure
from reconciler.ids import NodeId
from reconciler.transport.known_hosts import parse

BUDGET = 200.0
LINES = 10_000


def known_hosts_figure(*, runs: int) -> Figure:
    """Parse lines of every form in equal parts: by id, by port, by IPv6, by a list of names, hashed."""
    text = "".join(f"{_FORMS[n % len(_FORMS)](n)} {_key(n)}\n" for n in range(LINES))
    took = [_timed(text) for _ in range(runs)]
    what = f"known_hosts of {LINES:,} lines, CPU"
    return Figure(name="known-hosts", what=what, values=tuple(took), unit="ms", budget=BUDGET)


def _timed(text: str) -> float:
    parse.cache_clear()
    began = time.process_time()
    known = parse(text)
    took = time.process_time() - began
    assert not known.problems, "every line reads"
    assert known.pins(NodeId("node-0"), None, 22).keys, "and is found"
    return took * 1000


def _hashed(number: int) -> str:
    salt = hashlib.sha1(str(number).encode(), usedforsecurity=False).digest()
    told = hmac.digest(salt, f"10.1.{number // 250}.{number % 250}".encode(), "sha1")
    return "|".join(("", "1", *(base64.b64encode(part).decode() for part in (salt, told))))


_FORMS: tuple[Callable[[int], str], ...] = (
    lambda number: f"node-{number}",
    lambda number: f"[10.0.{number // 250}.{number % 250}]:2222",
    lambda number: f"2001:db8::{number:x}",
    lambda number: f"web{number}.example,10.2.{number // 250}.{number % 250}",
    _hashed,
)


def _key(number: int) -> str:
    body = hashlib.sha256(str(number).encode()).digest()
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", body))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"
