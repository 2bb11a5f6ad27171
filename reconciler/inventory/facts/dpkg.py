"""What is in the way of patches on a node with apt: packages that dpkg left half done, and who else would install some."""

import re
from typing import Final

from reconciler.inventory.apt import CONFIGURATION
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

LONGEST: Final = 200
"""Lines of dpkg's audit that are kept."""

_SCRIPT: Final = r"""
# By its path: busybox has a dpkg of its own, which some of its shells prefer.
if [ "$pm" != apt ]; then say dpkg ok none
elif [ ! -x /usr/bin/dpkg ]; then say dpkg unknown 'dpkg is not installed: other package managers cannot be asked yet'
elif ! x=$(/usr/bin/dpkg --audit 2>&1 </dev/null) && [ -z "$x" ]; then say dpkg unknown 'dpkg --audit failed'
elif ! t=$(apt-config dump 2>&1 </dev/null); then say dpkg unknown "apt-config dump: $t"
else
  v=
  set -f; IFS=$NL
  for l in $t; do case $l in APT::Periodic::?*) v="$v${NL}periodic $l";; esac; done
  unset IFS; set +f
  for p in unattended-upgrade unattended-upgrades; do [ -x "/usr/bin/$p" ] && v="$v${NL}unattended /usr/bin/$p"; done
  for p in apt-daily apt-daily-upgrade; do
    for l in "/etc/systemd/system/timers.target.wants/$p.timer" "/usr/lib/systemd/system/timers.target.wants/$p.timer"; do
      [ -n "$init" ] && [ -e "$l" ] && v="$v${NL}timer $p"
    done
  done
  for p in apt-compat apt cron-apt; do [ -z "$init" ] && [ -x "/etc/cron.daily/$p" ] && [ -x /usr/sbin/cron ] && v="$v${NL}cron $p"; done
  [ -e /etc/cron.d/cron-apt ] && v="$v${NL}cron cron-apt"
  say dpkg ok "$x$NL--$v"
fi
"""

_PERIODIC: Final = re.compile(r'APT::Periodic::([A-Za-z:-]{1,60}) "([^"]{0,100})";')


def parse(stdout: str, _: Asked) -> Rows:
    """Give nothing where dpkg is not what the node lives by; else `audit` (lines), `periodic` (apt's own settings), `unattended_upgrades`, `timers`, and `installs_by_itself`."""
    if stdout == "none":
        return {}
    audit, found, rest = ("\n" + stdout).partition("\n--")
    if not found:
        raise ValueError("the node's settings are missing")
    periodic: dict[str, JsonValue] = {}
    unattended, timers = False, set()
    for line in filter(None, rest.split("\n")):
        kind, _space, said = line.partition(" ")
        if kind == "periodic":
            setting = _PERIODIC.fullmatch(said)
            if setting is None:
                raise ValueError(f"not a setting of apt: {said[:80]!r}")
            periodic[setting.group(1)] = setting.group(2)
        elif kind == "unattended":
            unattended = True
        elif kind in ("timer", "cron"):
            timers.add(said)
        else:
            raise ValueError(f"not a line about dpkg: {line[:80]!r}")
    lines = [line.rstrip()[:300] for line in audit.split("\n") if line.strip()]
    asked = periodic.get("Unattended-Upgrade", "0") not in ("0", "", "false", "no")
    allowed = periodic.get("Enable", "1") not in ("0", "", "false", "no")
    by_apt = unattended and asked and allowed and bool(timers & {"apt-daily-upgrade", "apt-compat", "apt"})
    return {
        "audit": lines[:LONGEST],
        "periodic": periodic,
        "unattended_upgrades": unattended,
        "timers": sorted(timers),
        "installs_by_itself": by_apt or "cron-apt" in timers,
    }


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


FACT = Fact(
    section="dpkg",
    watch=(
        f"/var/lib/dpkg/status /var/lib/dpkg/updates/. {CONFIGURATION} /usr/bin/unattended-upgrade"
        " /etc/systemd/system/timers.target.wants/. /usr/lib/systemd/system/timers.target.wants/. /etc/cron.daily/. /etc/cron.d/."
    ),
    script=_script,
    parse=parse,
)
