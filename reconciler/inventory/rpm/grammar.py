"""rpm's grammar: names, architectures, versions, checksums and dates of foreign text, checked. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
"""A dash in front would be an option."""
ARCH: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,30}")
VERSION: Final = re.compile(r"(?:[0-9]{1,10}:)?[A-Za-z0-9._+~^]{1,120}-[A-Za-z0-9._+~^]{1,120}")
REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+~ -]{0,199}")
"""dnf's grammar of ids, and what zypper's aliases hold beyond it."""
WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
"""A notice's type or severity."""
NOTICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/~-]{0,199}")
PATH: Final = re.compile(r"(?:\./)?(?!(?:.*/)?\.\./)[A-Za-z0-9_][^\x00-\x20\x7f\\]{0,500}")
"""Below the repository, never above it."""
BUG: Final = re.compile(r"[A-Za-z0-9]{1,40}")
CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,10}")

_STRONG: Final = {"sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_WEAK: Final = ("md5", "sha", "sha1")
_HEX: Final = re.compile(r"[0-9a-f]+")
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d)?(?:\.\d+)?)?(?: ?(?:UTC|GMT|Z|\+00:?00))?", re.ASCII
)
_LATEST: Final = 253402300799
"""9999-12-31, the last second that has a date."""


def check_name(text: str) -> str:
    """Give a package's name. Raises ValueError on what rpm would not take for one."""
    return _checked(NAME, text, "a package name")


def check_arch(text: str) -> str:
    """Give an architecture. Raises ValueError on what is none."""
    return _checked(ARCH, text, "an architecture")


def check_version(text: str) -> str:
    """Give `[EPOCH:]VERSION-RELEASE`, without an epoch of 0. Raises ValueError on what rpm would not take for one."""
    return _checked(VERSION, text, "a version of rpm").removeprefix("0:")


def check_repository(text: str) -> str:
    """Give a repository's id. Raises ValueError on what is none."""
    return _checked(REPOSITORY, text, "the name of a repository")


def check_checksum(text: str) -> str:
    """Give `ALGORITHM:HEX`; empty where the algorithm proves nothing any more. Raises ValueError on what is no checksum."""
    kind, _, digits = text.partition(":")
    if kind in _WEAK and _HEX.fullmatch(digits):
        return ""
    if _HEX.fullmatch(digits) is None or _STRONG.get(kind) != len(digits):
        raise ValueError(f"not a checksum: {text[:80]!r}")
    return text


def read_date(text: str) -> datetime | None:
    """Read a date of updateinfo (UTC where it names no zone); empty: none. Raises ValueError on what is no date."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 13:  # noqa: PLR2004  (seconds: the year 9999 has 12 digits)
        if int(text) > _LATEST:
            raise ValueError(f"not a date: {text!r}")
        return datetime.fromtimestamp(int(text), UTC)
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a date: {text[:80]!r}")
    day, minute, second = found.groups()
    return datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}").replace(tzinfo=UTC)


def source_of(text: str, name: str, version: str) -> tuple[str, str]:
    """Give source package and its version of `NAME-VERSION-RELEASE.src.rpm`, empty where they are the package's own."""
    if text in ("", "(none)"):
        return "", ""
    rest = text.removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc")
    source, dash, tail = rest.rpartition("-")
    source, second, head = source.rpartition("-")
    if not dash or not second:
        raise ValueError(f"{name}: not a source package: {text[:80]!r}")
    own = version.rpartition(":")[2]
    whole = f"{head}-{tail}"
    return ("" if source == name else check_name(source)), ("" if whole == own else check_version(whole))


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"not {what}: {text[:80]!r}")
    return text
