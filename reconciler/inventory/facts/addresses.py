"""Where a node's repositories lie: asked for only where the management host keeps files of patches, and never committed.

An address may hold what somebody takes for a secret: logins are left out on the node, and addresses with a query altogether.
"""

import re
from typing import Final

from reconciler.inventory.apt import SOURCES, index_key
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.rpm import addresses as rpm
from reconciler.inventory.rpm.grammar import check_repository
from reconciler.inventory.rpm.repositories import CONFIGURATION
from reconciler.model.questions import Questions

_SCRIPT: Final = r"""
case $apt_index$rpm_index in
indexes*) say addresses ok "indexes$apt_urls";;
*repositories*)
RPM;;
*) [ "$pm" = apt ] && rpm_index=$apt_index; say addresses unknown "${rpm_index#unknown }";;
esac
""".replace("RPM", rpm.SCRIPT)

_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]{1,300}(?:/[\x21-\x7e]{0,800})?")
_FORBIDDEN: Final = frozenset("?#|@\\\"'<>")
MOST: Final = 12
"""Addresses of one repository: a few of its own, and mirrors."""
_COLUMNS: Final = 6


def parse(stdout: str, _: Asked) -> Rows:
    """Give the key that the repository has in `repositories` -> its addresses, each with a `/` at its end."""
    head, *lines = stdout.split("\n")
    if head not in ("indexes", "repositories"):
        raise ValueError("the addresses of repositories were not told")
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        if line:
            key, addresses = _apt(line) if head == "indexes" else _rpm(line)
            known = found.setdefault(key, {})
            known.update(dict.fromkeys(address for address in addresses if len(known) < MOST))
    return {key: list(addresses)[:MOST] for key, addresses in found.items()}


def _apt(line: str) -> tuple[str, list[str]]:
    """Read `A|FILE|COMPONENT|ARCH|SUITE|ENTRY|ADDRESS`. A suite that ends with `/` is a folder with its files below it."""
    kind, *fields = line.split("|")
    if kind != "A" or len(fields) != _COLUMNS:
        raise ValueError(f"not the address of an index: {line[:80]!r}")
    file, component, arch, suite, _, address = ("" if word.startswith("$(") else word for word in fields)
    below = suite.removeprefix("./").lstrip("/") if suite.endswith("/") else ""
    return index_key(file, suite, component, arch), [_checked(f"{address.rstrip('/')}/{below}")]


def _rpm(line: str) -> tuple[str, list[str]]:
    """Read `U|ID|ADDRESSES`."""
    kind, *fields = line.split("|")
    if kind != "U" or len(fields) != 2:  # noqa: PLR2004  (an id, addresses)
        raise ValueError(f"not the address of a repository: {line[:80]!r}")
    return check_repository(fields[0]), [_checked(f"{address.rstrip('/')}/") for address in fields[1].split()]


def _checked(address: str) -> str:
    if _ADDRESS.fullmatch(address) is None or _FORBIDDEN & set(address) or "/../" in address:
        raise ValueError(f"not an address: {address[:80]!r}")
    return address


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches and questions.addresses else ""


FACT = Fact(
    section="addresses",
    watch=f"{SOURCES} {CONFIGURATION} {rpm.VARIABLES} {rpm.MIRRORS}",
    script=_script,
    parse=parse,
)
