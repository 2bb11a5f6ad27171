"""SQL over the facts of a fleet: facts in, rows out, by an SQLite database in memory that lives for one question.

Reading only: anything but one SELECT is refused, and so is what would not end. Facts of a node that did not answer are its
last known ones; `nodes.unreachable` says so.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from reconciler.errors import UsageError
from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known, Unknown

Cell: TypeAlias = "str | int | float | None"

LONGEST: Final = 30.0
"""Seconds a question may take."""

MOST_ROWS: Final = 1_000_000
LARGEST_VALUE: Final = 1_000_000
"""Bytes of one value: `randomblob(1e9)` is no question about servers."""

STEPS: Final = 100_000
"""Steps of SQLite's machine between looks at the clock: about a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """An answer: names of columns, and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: its columns (after `node`), and what a node's facts put into it."""

    columns: tuple[str, ...]
    fill: Callable[[Facts], Iterable[tuple[Cell, ...]]]


def query(facts: Iterable[Facts], sql: str) -> Rows:
    """Answer one SELECT. Raises UsageError with SQLite's words where it is not one, or takes too long."""
    wanted = set(re.findall(r"[a-z_]+", sql.lower()))
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _fill(connection, facts, wanted)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(_allow)
        ends = time.monotonic() + LONGEST
        connection.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
        return _ask(connection, sql)
    finally:
        connection.close()


def _ask(connection: sqlite3.Connection, sql: str) -> Rows:
    try:
        cursor = connection.execute(sql)
        rows = tuple(cursor.fetchmany(MOST_ROWS + 1))
    except (sqlite3.Error, sqlite3.Warning) as error:
        if str(error) == "interrupted":
            raise UsageError(f"the question took longer than {LONGEST:g} s: ask for less at a time") from error
        tables = ", ".join(TABLES)
        raise UsageError(f"{error} (only one SELECT is answered; tables: {tables})") from error
    if cursor.description is None:
        raise UsageError("there is no question: write one SELECT")
    if len(rows) > MOST_ROWS:
        raise UsageError(f"the answer has more than {MOST_ROWS} rows: ask for less at a time")
    return Rows(columns=tuple(column[0] for column in cursor.description), rows=rows)


def _allow(action: int, _first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
    if action in allowed or (action == sqlite3.SQLITE_FUNCTION and second != "load_extension"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _fill(connection: sqlite3.Connection, facts: Iterable[Facts], wanted: set[str]) -> None:
    """Create every table, and fill those the question mentions."""
    filled = {name: table for name, table in TABLES.items() if name in wanted}
    inserts: dict[str, str] = {}
    for name, table in TABLES.items():
        columns = ", ".join(f'"{column}"' for column in ("node", *table.columns))
        connection.execute(f'CREATE TABLE "{name}" ({columns})')
        marks = ", ".join("?" for _ in range(len(table.columns) + 1))
        inserts[name] = f'INSERT INTO "{name}" VALUES ({marks})'  # noqa: S608  (names are ours)
    connection.execute("BEGIN")
    for one in facts:
        for name, table in filled.items():
            connection.executemany(inserts[name], ((one.node, *row) for row in table.fill(one)))
    connection.execute("COMMIT")


def _rows(facts: Facts, section: str) -> Iterator[tuple[str, JsonValue]]:
    """Give the last known rows of a section; a row that could not be read is none."""
    match facts.sections.get(section):
        case Known(rows):
            for key, value in rows.items():
                if not (isinstance(value, Mapping) and "unknown" in value):
                    yield key, value


def _value(facts: Facts, section: str, key: str) -> Cell:
    return next((_cell(value) for name, value in _rows(facts, section) if name == key), None)


def _cell(value: JsonValue) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_cell(item)}" for key, item in sorted(value.items()))
    return ",".join(str(_cell(item)) for item in value)


def _nodes(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    os_rows = ("id", "version_id", "codename", "name", "family", "arch", "init")
    yield (
        facts.unreachable,
        *(_value(facts, "os", key) for key in os_rows),
        _value(facts, "kernel", "release"),
        _value(facts, "kernel", "newest"),
        _value(facts, "identity", "hostname"),
        _value(facts, "identity", "machine_id"),
    )


def _packages(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    for key, value in _rows(facts, "packages"):
        for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []:
            version, _, arch = str(text).rpartition(" ")
            yield key.removesuffix(f":{arch}"), version, arch


def _mappings(section: str, *keys: str) -> Callable[[Facts], Iterator[tuple[Cell, ...]]]:
    """Give a filler: the row's key, then these members of its value."""

    def fill(facts: Facts) -> Iterator[tuple[Cell, ...]]:
        for key, value in _rows(facts, section):
            if isinstance(value, Mapping):
                yield key, *(_cell(value.get(name)) for name in keys)

    return fill


def _plain(section: str) -> Callable[[Facts], Iterator[tuple[Cell, ...]]]:
    def fill(facts: Facts) -> Iterator[tuple[Cell, ...]]:
        return ((key, _cell(value)) for key, value in _rows(facts, section))

    return fill


def _ports(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    for key, _ in _rows(facts, "ports"):
        protocol, _, socket = key.partition(" ")
        address, _, port = socket.rpartition(":")
        yield protocol, address, int(port)


def _addresses(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    for name, value in _rows(facts, "interfaces"):
        if isinstance(value, Mapping):
            told = value.get("addresses")
            for address in told if isinstance(told, list | tuple) else [None]:
                yield name, _cell(value.get("mac")), _cell(address)


def _custom(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    for kind, entries in _rows(facts, "custom"):
        for number, entry in enumerate(entries if isinstance(entries, list | tuple) else []):
            if isinstance(entry, Mapping):
                yield from ((kind, number, str(name), _cell(value)) for name, value in sorted(entry.items()))


def _unknown(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    if facts.unreachable is not None:
        yield "*", None, facts.unreachable
    for name, section in facts.sections.items():
        if isinstance(section, Unknown):
            yield name, None, section.why
            continue
        for key, value in section.value.items():
            if isinstance(value, Mapping) and "unknown" in value:
                yield name, key, str(value["unknown"])


TABLES: Final[Mapping[str, Table]] = {
    "nodes": Table(
        columns=(
            *("unreachable", "os", "version", "codename", "os_name", "family", "arch", "init"),
            *("kernel", "newest_kernel", "hostname", "machine_id"),
        ),
        fill=_nodes,
    ),
    "packages": Table(columns=("name", "version", "arch"), fill=_packages),
    "services": Table(
        columns=("name", "active", "sub", "enabled"), fill=_mappings("services", "active", "sub", "enabled")
    ),
    "interfaces": Table(columns=("name", "mac", "address"), fill=_addresses),
    "ports": Table(columns=("protocol", "address", "port"), fill=_ports),
    "users": Table(
        columns=("name", "uid", "gid", "home", "shell"), fill=_mappings("users", "uid", "gid", "home", "shell")
    ),
    "groups": Table(columns=("name", "gid", "members"), fill=_mappings("groups", "gid", "members")),
    "mounts": Table(
        columns=("path", "device", "type", "options"), fill=_mappings("mounts", "device", "type", "options")
    ),
    "files": Table(
        columns=("path", "kind", "sha256", "size", "mode", "owner", "group"),
        fill=_mappings("files", "kind", "sha256", "size", "mode", "owner", "group"),
    ),
    "sysctls": Table(columns=("key", "value"), fill=_plain("sysctls")),
    "checks": Table(columns=("script", "status"), fill=_plain("checks")),
    "custom": Table(columns=("type", "entry", "attribute", "value"), fill=_custom),
    "holds": Table(columns=("name", "text"), fill=_plain("holds")),
    "unknown": Table(columns=("section", "key", "why"), fill=_unknown),
}
"""Each begins with the column `node`; `nodes` has one row a node."""
