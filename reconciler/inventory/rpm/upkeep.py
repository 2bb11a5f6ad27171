"""What would install updates by itself on a node with rpm, and which module streams are set: sh for the node, and the reader."""

import re
from typing import Final

from reconciler.inventory.fact import Rows
from reconciler.model.known import JsonValue

SETTINGS: Final = "/etc/dnf/automatic.conf /etc/dnf/dnf5-plugins/automatic.conf /etc/yum/yum-cron.conf /etc/sysconfig/automatic_online_update"
UNITS: Final = (
    "timers.target.wants/dnf-automatic.timer timers.target.wants/dnf-automatic-install.timer timers.target.wants/dnf5-automatic.timer"
    " multi-user.target.wants/yum-cron.service timers.target.wants/transactional-update.timer"
)
WATCH: Final = (
    f"{SETTINGS} /etc/systemd/system/timers.target.wants/. /etc/systemd/system/multi-user.target.wants/."
    " /usr/lib/systemd/system/timers.target.wants/. /etc/cron.d/. /etc/cron.daily/. /etc/dnf/modules.d/. /etc/dnf/modules.d/*.module"
)

SCRIPT: Final = r"""
x=upkeep
if [ -n "$init" ]; then
  for p in UNITS; do
    if [ -L "/etc/systemd/system/$p" ] || [ -e "/usr/lib/systemd/system/$p" ]; then p=${p##*/}; x="$x${NL}unit ${p%.*}"; fi
  done
fi
for p in /etc/cron.d/opensuse.org-online_update /etc/cron.daily/opensuse.org-online_update /etc/cron.d/yum-cron /etc/cron.daily/0yum-daily.cron; do
  [ -e "$p" ] && x="$x${NL}cron ${p##*/}"
done
set --
for p in SETTINGS; do [ -f "$p" ] && set -- "$@" "$p"; done
[ $# -eq 0 ] || x="$x$NL$(grep -a -H -i -E '^[ 	]*(apply_updates|AOU_ENABLE_CRONJOB)[ 	]*=' "$@" 2>&1 </dev/null)"
set --
for p in /etc/dnf/modules.d/*.module; do [ -f "$p" ] && set -- "$@" "$p"; done
[ $# -eq 0 ] || x="$x$NL$(grep -a -h -E '^(\[|stream|state)' "$@" 2>&1 </dev/null)"
say rpm ok "$x"
""".replace("UNITS", UNITS).replace("SETTINGS", SETTINGS)

_SETTING: Final = re.compile(
    r"/\S*/([a-z0-9_-]+)(?:\.conf)?:\s*(apply_updates|AOU_ENABLE_CRONJOB)\s*=\s*\"?([^\"\s]*)\"?\s*", re.IGNORECASE
)
_MODULE: Final = re.compile(r"\[([A-Za-z0-9._+-]{1,100})\]")
_YES: Final = ("yes", "true", "1", "on")
_ALWAYS: Final = {"dnf-automatic-install", "transactional-update"}
_BY_SETTING: Final = {
    "dnf-automatic": "automatic",
    "dnf5-automatic": "automatic",
    "yum-cron": "yum-cron",
    "0yum-daily.cron": "yum-cron",
}


def read_upkeep(stdout: str) -> Rows:
    """Give `timers` (units and cron jobs), `settings`, `modules` (NAME -> `STREAM STATE`), and what `installs_by_itself` (text or null)."""
    head, *lines = stdout.split("\n")
    if head != "upkeep":
        raise ValueError(f"not a list of what installs: {head[:80]!r}")
    timers: set[str] = set()
    settings: dict[str, JsonValue] = {}
    modules: dict[str, JsonValue] = {}
    module = ""
    for line in filter(str.strip, lines):
        kind, _, said = line.partition(" ")
        setting = _SETTING.fullmatch(line)
        if kind in ("unit", "cron"):
            timers.add(said[:100])
        elif setting is not None:
            settings[setting.group(1)] = setting.group(3)[:40]
        elif line.startswith("["):
            found = _MODULE.match(line)
            if found is None:
                raise ValueError(f"not a module: {line[:80]!r}")
            module, modules[found.group(1)] = found.group(1), ""
        elif module and line.partition("=")[0].strip() in ("stream", "state"):
            modules[module] = f"{modules[module]} {line.partition('=')[2].strip()[:60]}".strip()
        else:
            raise ValueError(f"not a line about what installs: {line[:80]!r}")
    return {
        "timers": sorted(timers),
        "settings": settings,
        "modules": modules,
        "installs_by_itself": _installer(timers, settings),
    }


def _installer(timers: set[str], settings: dict[str, JsonValue]) -> str | None:
    for name in sorted(timers):
        setting = settings.get(_BY_SETTING.get(name, ""))
        asked = isinstance(setting, str) and setting.casefold() in _YES
        if name in _ALWAYS or asked or name == "opensuse.org-online_update":
            return name
    return None
