"""Listening sockets, from the kernel's own tables: no tool is needed for them."""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.inventory.texts import files
from reconciler.model.known import Known

TABLES: Final = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""Table -> the state of a socket that waits for anybody."""

RANGE: Final = "/proc/sys/net/ipv4/ip_local_port_range"

_SOCKET = re.compile(r" *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) .*")


def parse(stdout: str, asked: Asked) -> Rows:
    """Read the tables; ephemeral ports are left out, but for those that expectations name."""
    found = files(stdout)
    named = set(asked.questions.ports or ())
    ephemeral = range(*_bounds(stdout))
    rows: dict[str, bool] = {}
    for table, state in TABLES.items():
        match found.get(f"/proc/net/{table}"):
            case Known(None) if table.endswith("6"):
                continue  # a kernel without IPv6
            case Known((head, *lines)) if head.lstrip().startswith("sl "):
                for line in lines:
                    socket = _SOCKET.fullmatch(line)
                    if socket is None:
                        raise ValueError(f"not a line of /proc/net/{table}: {line[:80]!r}")
                    port = int(socket.group(2), 16)
                    if socket.group(3) == state and (port in named or port not in ephemeral):
                        rows[f"{table} {_address(socket.group(1))}:{port}"] = True
            case _:
                raise ValueError(f"/proc/net/{table} could not be read")
    return rows


def _bounds(stdout: str) -> tuple[int, int]:
    match files(stdout).get(RANGE):
        case Known((line,)) if len(line.split()) == 2:  # noqa: PLR2004  (lowest and highest)
            low, high = map(int, line.split())
            return low, high + 1
        case _:
            return 32768, 61000  # Linux's own default


@lru_cache(maxsize=4096)
def _address(digits: str) -> str:
    """`0100007F` -> `127.0.0.1`: words of four bytes, each in the byte order of the machine (little, on all we know)."""
    raw = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
    address = ipaddress.ip_address(raw)
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004  (IPv6)


FACT = Fact(
    section="ports",
    also=always("$boot"),
    hourly=lambda questions: questions.ports == (),
    reads=always(f'set -- "$@" ports:{RANGE} ' + " ".join(f"ports:/proc/net/{table}" for table in TABLES)),
    parse=parse,
)
