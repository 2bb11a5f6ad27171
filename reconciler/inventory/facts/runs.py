"""Run folders that lie on the node: what was started there and is not yet on the branch."""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known

MOST: Final = 1000
"""Run folders of one node: more would mean that nothing is ever pruned."""

_READS = r"""
case $rootstate in
ok)
  for p in "$root"/runs/*; do
    case ${p##*/} in *[!0-9a-f]*) continue;; esac
    [ -d "$p" ] && [ ! -L "$p" ] && { [ -s "$p/manifest" ] || [ -e "$p/begun" ]; } && set -- "$@" "runs:$p/manifest" "runs:$p/state"
  done
  ;;
absent) ;;
*) say runs unknown "$rootstate";;
esac
"""

_FILE = re.compile(r".*/runs/([0-9a-f]+)/(manifest|state)")


def parse(stdout: str, _: Asked) -> Rows:
    """Read every folder's manifest and the last line of its state; where one is missing, the run ended before it was written: an empty text."""
    rows: dict[str, dict[str, JsonValue]] = {}
    for path, lines in files(stdout).items():
        found = _FILE.fullmatch(path)
        if found is None:
            raise ValueError(f"not a file of a run: {path[:80]!r}")
        row = rows.setdefault(found.group(1), {})
        match lines:
            case Known(text):
                # The state's last line counts; an empty one follows upon half a line.
                told = [line for line in text or () if line][-1:] if found.group(2) == "state" else text or ()
                row[found.group(2)] = "\n".join(told)
            case unknown:
                row["unknown"] = f"{found.group(2)}: {unknown.why}"
    if len(rows) > MOST:
        raise ValueError(f"{len(rows)} run folders: more than {MOST}")
    return {run: {"unknown": row["unknown"]} if "unknown" in row else row for run, row in rows.items()}


FACT = Fact(section="runs", reads=always(_READS), parse=parse)
