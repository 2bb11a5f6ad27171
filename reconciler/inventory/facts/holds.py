"""Hold files: while one lies there, nothing is changed on the node; its text says who, why and until when."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known, Unknown

FOLDER: Final = "/etc/reconciler/"
LONGEST: Final = 500

_READS = r"""
for p in /etc/reconciler/hold /etc/reconciler/hold.d/*; do
  if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "holds:$p"; fi
done
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read the files; one that says nothing, or that cannot be read, holds all the same."""
    rows: dict[str, JsonValue] = {}
    for path, lines in files(stdout).items():
        name = path.removeprefix(FOLDER)
        match lines:
            case Known(None):
                continue
            case Known(text):
                rows[name] = "\n".join(text or ()).strip()[:LONGEST]
            case Unknown(why):
                rows[name] = {"unknown": why}
    return rows


FACT = Fact(section="holds", reads=always(_READS), parse=parse)
