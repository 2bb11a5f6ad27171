"""What is in the way of patches on a node with rpm: who else would install some, and which module streams are set."""

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.rpm import upkeep
from reconciler.model.questions import Questions

_SCRIPT = f"""
if [ "$pm" = apt ]; then say rpm ok none
else
{upkeep.SCRIPT}
fi
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Give nothing where rpm is not what the node lives by; else `timers`, `settings`, `modules` and `installs_by_itself`."""
    return {} if stdout == "none" else upkeep.read_upkeep(stdout)


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


FACT = Fact(section="rpm", watch=f"/etc/os-release /usr/lib/os-release {upkeep.WATCH}", script=_script, parse=parse)
