"""Who the node is: machine id, host name, boot id, the login user, and the number of runs it knows to be acknowledged."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, number
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

# sudo names the login user; without it, we are the login user.
_SCRIPT = r"""
first /etc/machine-id; [ -n "$v" ] || first /var/lib/dbus/machine-id
m=$v; first /proc/sys/kernel/hostname; x="machine_id $m${NL}hostname $v${NL}boot_id $boot${NL}user ${SUDO_USER:-$user}"
case $rootstate in
ok) if [ -e "$root/$a" ]; then first "$root/$a"; v="is $v"; else v=none; fi;;
absent) v=none;;
*) v="unknown $rootstate";;
esac
say identity ok "$x${NL}acknowledged $v"
"""

NAMES: Final = ("machine_id", "hostname", "boot_id", "user")


def parse(stdout: str, _: Asked) -> Rows:
    """Read one name a line; an empty value was not readable, and only a machine id may be missing."""
    said = dict(_named(line) for line in stdout.split("\n"))
    if missing := {*NAMES, "acknowledged"} - said.keys():
        raise ValueError(f"not told: {', '.join(sorted(missing))}")
    rows: dict[str, JsonValue] = {}
    for name in NAMES:
        value = said.pop(name)
        rows[name] = value or (None if name == "machine_id" else {"unknown": f"the node does not tell its {name}"})
    rows["acknowledged"] = _acknowledged(said.pop("acknowledged"))
    if said:
        raise ValueError(f"names that were not asked for: {', '.join(sorted(said))[:80]}")
    return rows


def _named(line: str) -> tuple[str, str]:
    name, space, value = line.partition(" ")
    if not space:
        raise ValueError(f"no name and value: {line[:80]!r}")
    return name, value


def _acknowledged(said: str) -> JsonValue:
    kind, _, value = said.partition(" ")
    if kind == "none":
        return None
    if kind == "is":
        try:
            return number(value)
        except ValueError:
            return {"unknown": f"the acknowledged number is not a number: {value[:40]!r}"}
    return {"unknown": value}


def _script(asked: Questions) -> str:
    return f"a={quote(f'acknowledged@{asked.fleet}')}{_SCRIPT}"


FACT = Fact(section="identity", script=_script, parse=parse)
