"""Signs that a node waits for a reboot, as packages of Debian and Ubuntu leave them, and as rpm's databases show them; kernels are told by `kernel`."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, nothing
from reconciler.inventory.rpm import signs
from reconciler.inventory.rpm.installed import DATABASE
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

# A bare Debian never makes these files: that there is none proves nothing, and the running kernel is looked at besides.
_SCRIPT: Final = r"""
x='required no'
[ -e /run/reboot-required ] && x='required yes'
n=0
if [ -f /run/reboot-required.pkgs ] && [ -r /run/reboot-required.pkgs ]; then
  while IFS= read -r l && [ "$n" -lt 500 ]; do n=$((n+1)); x="$x${NL}package $l"; done </run/reboot-required.pkgs
fi
if [ "$pm" != apt ]; then
SIGNS
fi
case $x in
unknown*) say reboot unknown "${x#unknown }";;
*) say reboot ok "$x";;
esac
""".replace("SIGNS", signs.SCRIPT)


def parse(stdout: str, _: Asked) -> Rows:
    """Give `required`, and `packages`: who asked for it, each once."""
    first, *lines = stdout.split("\n")
    if first not in ("required yes", "required no"):
        raise ValueError(f"neither required nor not: {first[:80]!r}")
    if any(not line.startswith("package ") for line in lines):
        raise ValueError("a line that names no package")
    names = {line.removeprefix("package ").strip()[:100] for line in lines} - {""}
    return {"required": first == "required yes", "packages": sorted(names)}


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


def _also(questions: Questions) -> str:
    return f'{quote("boot ")}"$boot"' if questions.patches else nothing(questions)


FACT = Fact(
    section="reboot",
    watch=f"/run/reboot-required /run/reboot-required.pkgs {signs.WATCH} {DATABASE}",
    also=_also,
    script=_script,
    parse=parse,
)
