"""Network interfaces with their addresses, less those that containers and tunnels make and drop all day."""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.model.known import JsonValue

CHURN: Final = re.compile(r"lo|(?:veth|docker|cali|br-|cni|flannel|vnet|tap|lxc).*")

_INDEX = re.compile(r"\d+:")

_SCRIPT = r"""
x=
for p in /sys/class/net/*; do [ -d "$p" ] && { first "$p/address"; x="$x${NL}link ${p##*/} $v"; }; done
if command -v ip >/dev/null && l=$(ip -o addr 2>/dev/null </dev/null); then say interfaces ok "ip$x${NL}--$NL$l"
elif [ -d /sys/class/net ]; then say interfaces ok "sys$x"
else say interfaces unknown 'there is neither a working ip nor /sys/class/net'
fi
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read one link a line, and what `ip -o addr` printed; without `ip`, addresses are null: they were not told."""
    links, _found, listed = stdout.partition("\n--\n")
    kind, *lines = links.split("\n")
    if kind not in ("ip", "sys"):
        raise ValueError(f"neither ip nor /sys: {kind[:40]!r}")
    macs: dict[str, str] = {}
    for line in filter(None, lines):
        match line.split(" "):
            case ["link", name, mac]:
                macs[name] = mac
            case _:
                raise ValueError(f"not a link: {line[:80]!r}")
    addresses: dict[str, list[str]] = {name: [] for name in macs}
    for line in filter(None, listed.split("\n")):
        name, address = _address(line)
        addresses.setdefault(name, [])
        if address:
            addresses[name].append(address)
    rows: dict[str, JsonValue] = {}
    for name in sorted(addresses):
        if CHURN.fullmatch(name) is None:
            rows[name] = {"mac": macs.get(name, ""), "addresses": sorted(addresses[name]) if kind == "ip" else None}
    return rows


def _address(line: str) -> tuple[str, str | None]:
    """`2: eth0    inet 10.0.0.5/24 brd ...`; a temporary address gives none, since it is another one tomorrow."""
    match line.split():
        case [index, name, "inet" | "inet6", address, *rest] if _INDEX.fullmatch(index):
            return name.partition("@")[0], None if "temporary" in rest else address
        case [index, name, *_] if _INDEX.fullmatch(index):
            return name.rstrip(":").partition("@")[0], None
        case _:
            raise ValueError(f"not a line of ip -o addr: {line[:80]!r}")


FACT = Fact(section="interfaces", also=always("$boot"), hourly=lambda _: True, script=always(_SCRIPT), parse=parse)
