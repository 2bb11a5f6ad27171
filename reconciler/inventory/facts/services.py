"""Service units and their states; without systemd only the services that expectations name, by their init scripts."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@:._-]{0,200}")

CHURN: Final = re.compile(
    r"(?:user|user-runtime-dir|sshd|systemd-coredump|dropbear)@.+|run-.+|session-.+|reconciler-.+"
)
"""Units that come and go with logins, connections, crashes and our own runs; kept only where an expectation names them."""

HELD: Final = "\n-- held"
"""Ends an answer that leaves out the unit files: they have not changed."""

# A unit file that is a link to another one is an alias: systemctl lists its state under the other's name.
_SYSTEMD = r"""
flush
if l=$(systemctl list-units --all --full --type=service --plain --no-legend --no-pager 2>/dev/null </dev/null); then
  if [ "$at_services" = "$held_services" ]; then say services ok "systemd$NL$l$NL-- held"
  elif f=$(systemctl list-unit-files --full --type=service --no-legend --no-pager 2>/dev/null </dev/null); then
    x=
    for s in %(asked)s; do
      for d in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        [ -e "$d/$s.service" ] || [ -L "$d/$s.service" ] || continue
        [ -L "$d/$s.service" ] && x="$x${NL}alias $s $(readlink "$d/$s.service")"
        break
      done
    done
    for p in /etc/systemd/system/*.wants/*@?*.service /etc/systemd/system/*.requires/*@?*.service; do
      [ -L "$p" ] && p=${p##*/} && x="$x${NL}link ${p%%.service}"
    done
    [ -z "$at_services" ] || say at.services ok "$at_services"
    say services ok "systemd$NL$l$NL-- files$NL$f$NL-- links$x"
  else say services unknown "systemctl list-unit-files: exit status $?"
  fi
else
  e=$?; l=$(systemctl list-units --type=service 2>&1 >/dev/null </dev/null); say services unknown "systemctl list-units: exit status $e: $l"
fi
"""

# LSB: 0 runs, 1 and 2 died, 3 is stopped. A script that hangs is killed; its status is then above 128.
_SYSV = r"""
x=sysv
for s in %(asked)s; do
  if [ -f "/etc/init.d/$s" ] && [ -x "/etc/init.d/$s" ]; then
    flush; b=disabled
    for p in /etc/rc[2345].d/S??"$s" /etc/runlevels/*/"$s"; do [ -e "$p" ] && b=enabled; done
    "/etc/init.d/$s" status >/dev/null 2>&1 </dev/null & k=$!
    (trap 'kill "$z"; exit 0' TERM; sleep 10 & z=$!; wait "$z"; kill -9 "$k") >/dev/null 2>&1 </dev/null & w=$!
    wait "$k"; x="$x$NL$s $? $b"
    kill -TERM "$w" 2>/dev/null
  fi
done
say services ok "$x"
"""


def asked(questions: Questions) -> tuple[str, ...]:
    """Give the names that can be services at all."""
    return tuple(name for name in map(_bare, questions.services) if NAME.fullmatch(name))


def _bare(name: str) -> str:
    return name.removesuffix(".service")


def _script(questions: Questions) -> str:
    words = {"asked": " ".join(map(quote, asked(questions)))}
    return f'if [ -n "$init" ]; then{_SYSTEMD % words}else{_SYSV % words}fi'


def _also(questions: Questions) -> str:
    return quote("asked " + " ".join(asked(questions)))


def parse(stdout: str, asked_: Asked) -> Rows:
    """Read what systemctl listed, or one init script a line."""
    kind, _, rest = stdout.partition("\n")
    names = set(asked(asked_.questions))
    odd: dict[str, JsonValue] = {
        name: {"unknown": "not a service name"} for name in asked_.questions.services if _bare(name) not in names
    }
    if kind == "sysv":
        return _sysv(rest.split("\n") if rest else []) | odd
    if kind != "systemd":
        raise ValueError(f"neither systemd nor init scripts: {kind[:40]!r}")
    listed, found, after = rest.partition("\n-- files\n") if "\n-- files\n" in rest else rest.partition(HELD)
    if not found:
        raise ValueError("the list of unit files is missing")
    units = dict(_unit(line) for line in listed.split("\n") if line.strip())
    files, aliases = _held(asked_.rows) if found == HELD else _files(after)
    rows: dict[str, JsonValue] = {}
    for name in sorted(units.keys() | files.keys()):
        if units.get(name) == ("not-found", "inactive", "dead"):
            continue
        if name in names or not (CHURN.fullmatch(name) or name.endswith("@") or files.get(name) == "alias"):
            rows[name] = _row(units.get(name), files.get(name))
    for name, unit in aliases.items():
        other = rows.get(unit)
        rows[name] = {**other, "alias_of": unit} if isinstance(other, Mapping) else _row(None, None)
    return rows | odd


def _row(unit: tuple[str, str, str] | None, enabled: str | None) -> JsonValue:
    _load, active, sub = unit or ("", "inactive", "dead")
    return {"active": active, "sub": sub, "enabled": enabled}


def _unit(line: str) -> tuple[str, tuple[str, str, str]]:
    """`nginx.service loaded active running A high performance web server`."""
    fields = line.removeprefix("\u25cf").removeprefix("*").split(None, 4)
    if len(fields) < 4 or not fields[0].endswith(".service"):  # noqa: PLR2004  (name, load, active, sub)
        raise ValueError(f"not a line of list-units: {line[:80]!r}")
    return _plain(fields[0]), (fields[1], fields[2], fields[3])


def _plain(unit: str) -> str:
    return unit.removesuffix(".service")


def _files(text: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    listed, found, links = text.partition("-- links")
    if not found:
        raise ValueError("the list of unit files is cut")
    files: dict[str, str] = {}
    for line in listed.split("\n"):
        if line.strip():
            fields = line.split()
            if len(fields) not in (2, 3) or not fields[0].endswith(".service"):
                raise ValueError(f"not a line of list-unit-files: {line[:80]!r}")
            files[_plain(fields[0])] = fields[1]
    aliases: dict[str, str] = {}
    for line in filter(None, links.split("\n")):
        match line.split(" "):
            case ["link", name]:
                files.setdefault(name, "enabled")
            case ["alias", name, target] if target != "/dev/null" and _plain(target.rpartition("/")[2]) != name:
                aliases[name] = _plain(target.rpartition("/")[2])
            case ["alias", _, _]:
                pass
            case _:
                raise ValueError(f"neither link nor alias: {line[:80]!r}")
    return files, aliases


def _held(rows: Rows) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Take from the rows that are held what unit files say: the node told that no unit file changed."""
    files: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for name, row in rows.items():
        if isinstance(row, Mapping):
            if "alias_of" in row:
                aliases[name] = str(row["alias_of"])
            elif isinstance(enabled := row.get("enabled"), str):
                files[name] = enabled
    return files, aliases


def _sysv(lines: Iterable[str]) -> dict[str, JsonValue]:
    rows: dict[str, JsonValue] = {}
    for line in lines:
        match line.split(" "):
            case [name, status, "enabled" | "disabled" as enabled] if status.isdigit():
                state = _LSB.get(int(status))
                rows[name] = (
                    {"unknown": f"its init script's status command ended with {status}"}
                    if state is None
                    else {"active": state[0], "sub": state[1], "enabled": enabled}
                )
            case _:
                raise ValueError(f"not a service, status and rc state: {line[:80]!r}")
    return rows


_LSB: Final = {0: ("active", "running"), 1: ("failed", "failed"), 2: ("failed", "failed"), 3: ("inactive", "dead")}

FACT = Fact(
    section="services",
    watch=(
        "${init:+/etc/systemd/system/. /etc/systemd/system/*.wants/. /etc/systemd/system/*.requires/."
        " /etc/systemd/system/*.service /run/systemd/system/. /run/systemd/generator/. /run/systemd/generator.late/."
        " /usr/local/lib/systemd/system/. /usr/lib/systemd/system/. /lib/systemd/system/. /etc/init.d/. /etc/rc[2345].d/.}"
    ),
    hourly=lambda questions: not questions.services,
    also=_also,
    script=_script,
    parse=parse,
    keeps=True,
)
