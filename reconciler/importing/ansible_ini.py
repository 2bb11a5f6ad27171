"""Ansible's INI inventories: text -> hosts, groups and variables; ranges written out. Values are text: nothing is evaluated."""

import ipaddress
import re
import shlex
from collections.abc import Iterator

from reconciler.importing.inventory import MOST_HOSTS, WANTED, Inventory
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.ssh_config import Said
from reconciler.model.reading.text import decode

_SECTION = re.compile(r"\[([^\]:]+)(?::([a-z]+))?\]\s*(?:[#;].*)?")
_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]{1,6}))?\]")
_PORT = re.compile(r"(.+):([0-9]{1,5})")
_LONGEST_LINE = 16 * 1024
_MOST_RANGES = 4
_LONGEST_NUMBER = 9


class Refused(Exception):
    """Why a line does not read; the remedy is its second argument."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy


def read_ini(file: str, data: bytes, inventory: Inventory, mistakes: Mistakes) -> None:
    """Add what an INI inventory says."""
    reader = _Reader(file, inventory)
    for number, raw in enumerate((decode(data, mistakes) or "").splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        try:
            reader.take(line, number)
        except Refused as why:
            mistakes.error((number, 1), why.message, value=line, remedy=why.remedy)
        if inventory.is_too_large(mistakes, number):
            return


class _Reader:
    """Goes through the lines; knows in which section it is."""

    def __init__(self, file: str, inventory: Inventory) -> None:
        self._file = file
        self._inventory = inventory
        self._section = "ungrouped"
        self._kind = "hosts"

    def take(self, line: str, number: int) -> None:
        """Take one line, or raise Refused."""
        place = f"{self._file}:{number}"
        if len(line) > _LONGEST_LINE:
            raise Refused(f"a line of more than {_LONGEST_LINE} characters", "write it shorter")
        if line.startswith("[") and (found := _SECTION.fullmatch(line)) and not _is_host(line):
            self._section, self._kind = found[1].strip(), found[2] or "hosts"
            if self._kind not in {"hosts", "children", "vars"}:
                raise Refused("a section of an unknown kind", "write [GROUP], [GROUP:children] or [GROUP:vars]")
            self._inventory.group(self._section, place)
        elif self._kind == "hosts":
            _take_host(line, self._section, self._inventory, Said("", self._file, number))
        elif self._kind == "children":
            child = _tokens(line)[0]
            self._inventory.group(self._section, place).children.setdefault(child, place)
            self._inventory.group(child, place)
        else:
            name, value = _variable(line)
            if name.startswith(WANTED):
                self._inventory.group(self._section, place).variables[name] = Said(value, self._file, number)


def _is_host(line: str) -> bool:
    """Tell `[2001:db8::1]` from a section's head."""
    inner = line[1:].partition("]")[0]
    return ":" in inner and _is_ipv6(inner)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _tokens(line: str) -> list[str]:
    try:
        found = shlex.split(line, comments=True)
    except ValueError as exc:
        raise Refused(f"not a line of an inventory: {exc}", "close the quote, or double the backslash") from exc
    if not found:
        raise Refused("not a line of an inventory", "write `NAME variable=value`")
    return found


def _variable(line: str) -> tuple[str, str]:
    name, separator, value = line.partition("=")
    if not separator or not name.strip():
        raise Refused("a variable without a value", "write name=value")
    value = re.split(r"\s#", value, maxsplit=1)[0].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name.strip(), value


def _take_host(line: str, section: str, inventory: Inventory, said: Said) -> None:
    words = _tokens(line)
    variables: dict[str, Said] = {}
    for word in words[1:]:
        name, separator, value = word.partition("=")
        if not separator:
            raise Refused("after the host's name come only variables", "write name=value, and one host a line")
        if name.startswith(WANTED):
            variables[name] = said._replace(text=value)
    template, port = _split_port(words[0])
    if port is not None:
        variables.setdefault("ansible_port", said._replace(text=port))
    group = inventory.group(section, said.place)
    for name in host_names(template):
        inventory.host(name, said.place).update(variables)
        group.hosts[name] = None


def _split_port(text: str) -> tuple[str, str | None]:
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", text)
    if bracketed and _is_ipv6(bracketed[1]):
        return bracketed[1], bracketed[2]
    if _is_ipv6(text):
        return text, None
    found = _PORT.fullmatch(text)
    if found is None or found[1].count("[") > found[1].count("]"):
        return text, None
    return found[1], found[2]


def host_names(template: str) -> Iterator[str]:
    """Give the names that a template with ranges means: `web[01:50]`, `db-[a:f]`, `n[0:10:2]`."""
    if len(_RANGE.findall(template)) > _MOST_RANGES:
        raise Refused(f"more than {_MOST_RANGES} ranges in one name", "write several lines")
    names = [template]
    while found := _RANGE.search(names[0]):
        values = list(_values(found[1], found[2], found[3]))
        if len(values) * len(names) > MOST_HOSTS:
            raise Refused(f"a range of more than {MOST_HOSTS} hosts", "write a shorter one")
        names = [_RANGE.sub(value, name, count=1) for name in names for value in values]
    if "[" in names[0] or "]" in names[0]:
        raise Refused("a range that does not read", "write name[01:50], name[a:f] or name[0:10:2]")
    yield from names


def _values(first: str, last: str, step: str | None) -> Iterator[str]:
    by = int(step or 1)
    if first.isdigit() != last.isdigit() or by < 1:
        raise Refused("a range that does not read", "write name[01:50], name[a:f] or name[0:10:2]")
    if not first.isdigit():
        if first > last:
            raise Refused("a range whose end comes before its beginning", "turn it round")
        yield from (chr(code) for code in range(ord(first), ord(last) + 1, by))
        return
    if len(first) > _LONGEST_NUMBER or len(last) > _LONGEST_NUMBER or int(first) > int(last):
        raise Refused("a range whose end comes before its beginning, or is no number of hosts", "write a shorter one")
    if first.startswith("0") and len(first) > 1 and len(first) != len(last):
        raise Refused("a range with leading zeros needs both ends of one length", "write name[01:50]")
    width = len(first) if first.startswith("0") else 0
    for count, value in enumerate(range(int(first), int(last) + 1, by)):
        if count > MOST_HOSTS:
            raise Refused(f"a range of more than {MOST_HOSTS} hosts", "write a shorter one")
        yield str(value).rjust(width, "0")
