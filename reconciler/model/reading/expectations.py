"""`Expect:` of an association: YAML values that fit the schema -> the Expectations record, with what a schema cannot say."""

import hashlib
import posixpath
import re

from reconciler.model.association import (
    Expectations,
    ExpectedFile,
    ExpectedGroup,
    ExpectedInventory,
    ExpectedKernel,
    ExpectedMount,
    ExpectedPackage,
    ExpectedPort,
    ExpectedService,
    ExpectedUser,
    Presence,
)
from reconciler.model.reading.address import is_ip_address
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Scalar, Table

_COMPARED = re.compile(r"(>=|<=|=|>|<)? *(.*)")


def read_expectations(value: Table, mistakes: Mistakes) -> Expectations:
    """Read what should hold on a node; mistakes that the schema cannot see are reported here."""
    kernel, sysctls = value.table("Kernel"), value.table("Sysctls")
    _say_doubles(value, mistakes)
    return Expectations(
        files=tuple(_file(one, mistakes) for one in value.tables("Files")),
        packages=tuple(_package(one, mistakes) for one in value.tables("Packages")),
        services=tuple(_service(one, mistakes) for one in value.tables("Services")),
        users=tuple(_user(one, mistakes) for one in value.tables("Users")),
        groups=tuple(_group(one, mistakes) for one in value.tables("Groups")),
        sysctls={} if sysctls is None else {_dotted(key): sysctls.scalar(key) or "" for key in sysctls.entries},
        mounts=tuple(_mount(one, mistakes) for one in value.tables("Mounts")),
        ports=tuple(_port(one, mistakes) for one in value.tables("Ports")),
        kernel=None if kernel is None else _kernel(kernel, mistakes),
        inventory=tuple(_inventory(one) for one in value.tables("Inventory")),
        checks=tuple(check.text for check in value.texts("Checks")),
    )


def _file(value: Table, mistakes: Mistakes) -> ExpectedFile:
    _normal_path(value, "Path", mistakes)
    state = _presence(value, mistakes, alone={"Path", "State"})
    content, sha256 = value.entries.get("Content"), value.scalar("Sha256")
    if content is not None and sha256 is not None:
        mistakes.error(value.entries["Sha256"], "Content and Sha256 both say what the file holds", remedy="keep one")
    text = content.text if isinstance(content, Scalar) else None
    return ExpectedFile(
        path=value.scalar("Path") or "",
        sha256=sha256.lower() if sha256 and text is None else _sha256(text),
        content=text,
        mode=value.scalar("Mode"),
        owner=value.scalar("Owner"),
        group=value.scalar("Group"),
        state=state,
    )


def _sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def _package(value: Table, mistakes: Mistakes) -> ExpectedPackage:
    state = _presence(value, mistakes, alone={"Name", "State"})
    operator, version = _compared(value.scalar("Version"))
    return ExpectedPackage(name=value.scalar("Name") or "", operator=operator, version=version, state=state)


def _compared(text: str | None) -> tuple[str | None, str | None]:
    """Take `>= 1.22` apart; a version alone means `=`."""
    found = _COMPARED.fullmatch(text or "")
    return (found[1] or "=", found[2]) if text and found else (None, None)


def _service(value: Table, mistakes: Mistakes) -> ExpectedService:
    state = value.scalar("State")
    enabled = value.flag("Enabled") if "Enabled" in value.entries else None
    if state is None and enabled is None:
        mistakes.error(value, "nothing is expected of this service", remedy="add State: running or Enabled: true")
    return ExpectedService(
        name=value.scalar("Name") or "", running=None if state is None else state == "running", enabled=enabled
    )


def _user(value: Table, mistakes: Mistakes) -> ExpectedUser:
    for key in ("Home", "Shell"):
        _normal_path(value, key, mistakes)
    return ExpectedUser(
        name=value.scalar("Name") or "",
        uid=value.integer("Uid"),
        group=value.scalar("Group"),
        groups=tuple(sorted({name.text for name in value.texts("Groups")})),
        home=value.scalar("Home"),
        shell=value.scalar("Shell"),
        state=_presence(value, mistakes, alone={"Name", "State"}),
    )


def _group(value: Table, mistakes: Mistakes) -> ExpectedGroup:
    return ExpectedGroup(
        name=value.scalar("Name") or "",
        gid=value.integer("Gid"),
        members=tuple(sorted({name.text for name in value.texts("Members")})),
        state=_presence(value, mistakes, alone={"Name", "State"}),
    )


def _mount(value: Table, mistakes: Mistakes) -> ExpectedMount:
    _normal_path(value, "Path", mistakes)
    return ExpectedMount(
        path=value.scalar("Path") or "",
        device=value.scalar("Device"),
        type=value.scalar("Type"),
        options=tuple(sorted({option.text for option in value.texts("Options")})),
        state=_presence(value, mistakes, alone={"Path", "State"}),
    )


def _port(value: Table, mistakes: Mistakes) -> ExpectedPort:
    address = value.scalar("Address") or "*"
    if address != "*" and not is_ip_address(address):
        mistakes.error(value.entries["Address"], "Address: not an IP address", remedy="write an IP address, or '*'")
    return ExpectedPort(
        port=value.integer("Port") or 0,
        protocol=value.scalar("Protocol") or "tcp",
        address=address,
        listening=value.scalar("State") != "closed",
    )


def _kernel(value: Table, mistakes: Mistakes) -> ExpectedKernel:
    if len(value.entries) != 1:
        mistakes.error(value, "Kernel takes one of Release and Running", remedy="write {Running: newest}")
    return ExpectedKernel(release=value.scalar("Release"), newest="Running" in value.entries)


def _inventory(value: Table) -> ExpectedInventory:
    where = value.table("Where")
    operator, count = _compared(value.scalar("Count") or ">= 1")
    return ExpectedInventory(
        type=value.scalar("Type") or "",
        where={} if where is None else {key: where.scalar(key) or "" for key in where.entries},
        operator=operator or ">=",
        count=int(count) if count and re.fullmatch("[0-9]{1,9}", count) else 1,
    )


def _presence(value: Table, mistakes: Mistakes, *, alone: set[str]) -> Presence:
    """Read State; where it is `absent`, nothing else can be said about the thing."""
    state = Presence.ABSENT if value.scalar("State") == "absent" else Presence.PRESENT
    if state is Presence.ABSENT:
        for key in value.entries.keys() - alone:
            mistakes.error(value.places[key], "what is absent has no such thing", value=key, remedy="remove it")
    return state


def _normal_path(value: Table, key: str, mistakes: Mistakes) -> None:
    """Refuse `..`, `.`, doubled and trailing slashes: one thing has one path."""
    path = value.scalar(key)
    if path is not None and (path.startswith("//") or posixpath.normpath(path) != path):
        normal = posixpath.normpath(path).replace("//", "/")
        mistakes.error(value.entries[key], f"{key}: not the plain form of the path", remedy=f"write {normal}")


def _dotted(key: str) -> str:
    """Write a kernel setting as sysctl prints it: `net/ipv4/ip_forward` is `net.ipv4.ip_forward`."""
    return key if "." in key.partition("/")[0] else key.replace("/", ".")


def _say_doubles(value: Table, mistakes: Mistakes) -> None:
    """Report two entries about one thing: they contradict, or one is of no use."""
    for kind, keys in (
        ("Files", ("Path",)),
        ("Packages", ("Name",)),
        ("Services", ("Name",)),
        ("Users", ("Name",)),
        ("Groups", ("Name",)),
        ("Mounts", ("Path",)),
        ("Ports", ("Port", "Protocol", "Address")),
    ):
        seen: dict[tuple[str | None, ...], int] = {}
        for one in value.tables(kind):
            identity = tuple(one.scalar(key) for key in keys)
            if identity[0] is None:
                continue
            if identity in seen:
                where = f"first at line {seen[identity]}"
                mistakes.error(one.entries[keys[0]], f"{kind}: named twice, {where}", remedy="keep one of them")
            seen.setdefault(identity, one.line)
