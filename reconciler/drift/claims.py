"""Each kind of expectation as a claim: takes what `Expect` says, gives what to look up and when it holds; pure.

A claim answers None where it holds, else (expected, observed) in words. It raises NotKnown where a fact is missing.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from reconciler.drift.questions import service_name
from reconciler.drift.view import NotKnown, View, fields_of, texts_of
from reconciler.model.association import (
    Expectations,
    ExpectedFile,
    ExpectedInventory,
    ExpectedKernel,
    ExpectedMount,
    ExpectedPackage,
    ExpectedPort,
    ExpectedService,
    Presence,
)
from reconciler.model.known import JsonValue
from reconciler.model.questions import Check
from reconciler.patching.versions import COMPARE, check_dpkg_version

Judged = tuple[str, str] | None
Judge = Callable[[View], Judged]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One expectation: its subject (`file /etc/motd`), and how it is judged."""

    subject: str
    judge: Judge
    row: tuple[str, str] | None = None
    """Section and key where it rests on this one row (and the family of the node's packages) and on nothing else."""


ABSENT = "absent"
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_LAST_DRIFTED = 125
"""Of a check's exit status: sh itself uses 126 and more."""
_SHOWN = 60
"""Characters of a content or script that a difference shows."""


def claims_of(expect: Expectations, *, check_as_root: bool) -> Iterator[Claim]:
    """Give every claim but those of accounts, in the order of the file."""
    for file in expect.files:
        yield Claim(subject=f"file {file.path}", judge=partial(_file, file), row=("files", file.path))
    for package in expect.packages:
        subject, row = f"package {package.name}", ("packages", package.name)
        yield Claim(subject=subject, judge=package_judge(package), row=row)
    for service in expect.services:
        row = ("services", service_name(service.name))
        yield Claim(subject=f"service {service.name}", judge=partial(_service, service), row=row)
    for key, text in sorted(expect.sysctls.items()):
        yield Claim(subject=f"sysctl {key}", judge=partial(_sysctl, key, text), row=("sysctls", key))
    for mount in expect.mounts:
        yield Claim(subject=f"mount {mount.path}", judge=partial(_mount, mount), row=("mounts", mount.path))
    for port in expect.ports:
        yield Claim(subject=f"port {port.protocol} {port.address}:{port.port}", judge=partial(_port, port))
    if expect.kernel is not None:
        yield Claim(subject="kernel", judge=partial(_kernel, expect.kernel))
    for entry in expect.inventory:
        yield Claim(subject=f"inventory {entry.type}", judge=partial(_inventory, entry), row=("custom", entry.type))
    for script in expect.checks:
        check = Check(script=script, as_root=check_as_root)
        yield Claim(subject=f"check {_short(script)}", judge=partial(_check, check), row=("checks", check.key))


def words(pairs: list[tuple[str, str]]) -> Judged:
    """Join the attributes that differ: (expected, observed) each."""
    if not pairs:
        return None
    return ", ".join(expected for expected, _ in pairs), ", ".join(observed for _, observed in pairs)


def attribute(name: str, expected: object, observed: object) -> list[tuple[str, str]]:
    """Compare one attribute; None is not looked at."""
    if expected is None or expected == observed:
        return []
    return [(f"{name} {expected}", f"{name} {observed}")]


def _file(file: ExpectedFile, view: View) -> Judged:
    value = view.asked("files", file.path)
    if file.state is Presence.ABSENT:
        return None if value is None else (ABSENT, str(fields_of(value, file.path).get("kind")))
    if value is None:
        return "a file", ABSENT
    row = fields_of(value, file.path)
    if row.get("kind") != "file":
        return "a file", f"a {row.get('kind')}"
    found: list[tuple[str, str]] = []
    if file.sha256 is not None:
        sha256 = row.get("sha256")
        if not isinstance(sha256, str):
            raise NotKnown(f"file {file.path}: its checksum is not known")
        if sha256 != file.sha256:
            found.append((_content(file), f"content sha256 {sha256[:12]}"))
    if file.mode is not None:
        mode = row.get("mode")
        if not isinstance(mode, str):
            raise NotKnown(f"file {file.path}: its mode is not known")
        if mode.zfill(4) != file.mode.zfill(4):
            found.append((f"mode {file.mode}", f"mode {mode}"))
    found += attribute("owner", file.owner, row.get("owner")) + attribute("group", file.group, row.get("group"))
    return words(found)


def _content(file: ExpectedFile) -> str:
    digest = f"content sha256 {(file.sha256 or '')[:12]}"
    return digest if file.content is None else f"{digest} ({_short(file.content)!r})"


def package_judge(package: ExpectedPackage) -> Judge:
    """Give a judge that remembers its verdict for each installed version: a fleet has few."""
    verdicts: dict[tuple[str, JsonValue], Judged] = {}
    name = package.name

    def judge(view: View) -> Judged:
        value = view.row("packages", name)
        if value is None:
            return None if package.state is Presence.ABSENT else (_wanted(package), ABSENT)
        family = view.family if package.version else ""
        if type(value) is not str:
            return _package(package, value, family)
        key = (family, value)
        if key not in verdicts:
            verdicts[key] = _package(package, value, family)
        return verdicts[key]

    return judge


def _wanted(package: ExpectedPackage) -> str:
    return f"{package.operator} {package.version}" if package.version else "installed"


def _package(package: ExpectedPackage, value: JsonValue, family: str) -> Judged:
    """Judge one installed package; of several versions any may satisfy a lower bound, all must satisfy an upper one."""
    rows = (value,) if isinstance(value, str) else texts_of(value, f"package {package.name}")
    versions = [row.partition(" ")[0] for row in rows]
    if package.state is Presence.ABSENT:
        return ABSENT, ", ".join(versions)
    if package.version is None:
        return None
    compare = COMPARE.get(family)
    if compare is None:
        raise NotKnown(f"package {package.name}: versions of family {family} have no order that is known")
    relation = package.operator or "="
    try:
        if family == "debian":
            check_dpkg_version(package.version)
        satisfied = [_OPERATORS[relation](compare(version, package.version), 0) for version in versions]
    except ValueError as exc:
        raise NotKnown(f"package {package.name}: {exc}") from exc
    holds = all(satisfied) if relation in ("<", "<=") else any(satisfied)
    return None if holds else (_wanted(package), ", ".join(versions))


_ENABLED = frozenset({"enabled", "alias"})
_NEITHER = frozenset({"static", "generated", "transient", "indirect"})
"""Units that systemctl can neither enable nor disable: both expectations hold."""


def _service(service: ExpectedService, view: View) -> Judged:
    name = service_name(service.name)
    value = view.row("services", name)
    row = {} if value is None else fields_of(value, f"service {name}")
    found: list[tuple[str, str]] = []
    if service.running is not None:
        running = row.get("active") in ("active", "reloading")
        if running is not service.running:
            observed = ABSENT if value is None else f"{row.get('active')} ({row.get('sub')})"
            found.append(("running" if service.running else "stopped", observed))
    if service.enabled is not None:
        enabled = row.get("enabled")
        if enabled not in _NEITHER and (enabled in _ENABLED) is not service.enabled:
            found.append(
                (
                    "enabled" if service.enabled else "not enabled",
                    ABSENT if value is None else str(enabled or "unknown"),
                )
            )
    return words(found)


def _sysctl(key: str, text: str, view: View) -> Judged:
    value = view.asked("sysctls", key)
    if value is None:
        return text, ABSENT
    return None if str(value).split() == text.split() else (text, str(value))


def _mount(mount: ExpectedMount, view: View) -> Judged:
    value = view.row("mounts", mount.path)
    if mount.state is Presence.ABSENT:
        return None if value is None else ("not mounted", "mounted")
    if value is None:
        return "mounted", "not mounted"
    row = fields_of(value, f"mount {mount.path}")
    found = attribute("device", mount.device, row.get("device")) + attribute("type", mount.type, row.get("type"))
    options = texts_of(row.get("options"), f"mount {mount.path}")
    if missing := [option for option in mount.options if option not in options]:
        found.append((f"options {','.join(missing)}", f"options {','.join(options)}"))
    return words(found)


_WILDCARDS = {False: ("0.0.0.0", "[::]"), True: ("[::]",)}  # noqa: S104 - compared with, never bound to
"""Who listens there listens at every address of the family; `[::]` takes IPv4 too unless it is told not to."""


def _port(port: ExpectedPort, view: View) -> Judged:
    """Judge a port: it is open at an address where something listens there, or at every address."""
    protocol = port.protocol.removesuffix("6")
    end = f":{port.port}"
    found = [
        address.removesuffix(end)
        for key in view.rows("ports")
        for spoken, _, address in (key.partition(" "),)
        if address.endswith(end) and spoken.removesuffix("6") == protocol and _speaks(port.protocol, spoken)
    ]
    listening = [address for address in found if port.address == "*" or _covers(address, port.address)]
    if bool(listening) is port.listening:
        return None
    if port.listening:
        return "listening", f"listens at {', '.join(sorted(found))}" if found else "closed"
    return "closed", f"listens at {', '.join(sorted(listening))}"


def _speaks(expected: str, observed: str) -> bool:
    """`tcp` is met by a tcp6 socket as well (it takes IPv4), `tcp6` by tcp6 alone."""
    return not expected.endswith("6") or observed.endswith("6")


def _covers(observed: str, expected: str) -> bool:
    bare = expected.strip("[]")
    return observed.strip("[]") == bare or observed in _WILDCARDS[":" in bare]


def _kernel(kernel: ExpectedKernel, view: View) -> Judged:
    running = view.row("kernel", "release")
    if not isinstance(running, str):
        raise NotKnown("kernel: the running release is not known")
    found = attribute("release", kernel.release, running)
    if kernel.newest:
        newest = view.row("kernel", "newest")
        if not isinstance(newest, str):
            raise NotKnown("kernel: no installed kernel was found to compare the running one with")
        found += attribute("newest", newest, running)
    return words(found)


def _inventory(entry: ExpectedInventory, view: View) -> Judged:
    value = view.row("custom", entry.type)
    rows = [] if value is None else value
    if not isinstance(rows, list | tuple):
        raise NotKnown(f"inventory {entry.type}: the row is not a list: {value!r}")
    matching = sum(
        all(row.get(name) == text for name, text in entry.where.items()) for row in rows if isinstance(row, Mapping)
    )
    if _OPERATORS[entry.operator](matching, entry.count):
        return None
    where = ", ".join(f"{name}={text}" for name, text in sorted(entry.where.items()))
    return f"{entry.operator} {entry.count}{f' with {where}' if where else ''}", str(matching)


def _check(check: Check, view: View) -> Judged:
    status = view.asked("checks", check.key)
    if not isinstance(status, int) or not 0 <= status <= _LAST_DRIFTED:
        raise NotKnown(f"check {_short(check.script)}: {_unusable(status)}")
    return None if status == 0 else ("exit status 0", f"exit status {status}")


def _unusable(status: JsonValue) -> str:
    return f"exit status {status} decides nothing (126 and more, or ended by a signal)"


def _short(text: str) -> str:
    one_line = text.strip("\n")
    return one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}..."
