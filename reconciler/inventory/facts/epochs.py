"""Epochs: for each fleet that manages this node, the highest epoch of a leader it has heard of."""

from reconciler.inventory.fact import Asked, Fact, Rows, always, number
from reconciler.inventory.texts import files
from reconciler.model.epoch import MOST_EPOCHS
from reconciler.model.known import JsonValue, Known

_READS = r"""
case $rootstate in
ok)
  for p in "$root"/epochs/*; do [ -f "$p" ] && set -- "$@" "epochs:$p"; done
  ;;
absent) ;;
*) say epochs unknown "$rootstate";;
esac
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read one number a fleet."""
    rows: dict[str, JsonValue] = {}
    for path, lines in files(stdout).items():
        name = path.rpartition("/")[2]
        if name.startswith(".") or name.endswith(".tmp"):
            continue
        match lines:
            case Known(text):
                told = "\n".join(text or ())
                try:
                    rows[name] = _epoch(told)
                except ValueError as exc:
                    rows[name] = {"unknown": str(exc)}
            case unknown:
                rows[name] = {"unknown": unknown.why}
    return rows


def _epoch(told: str) -> int:
    """Read an epoch that a leader can still be above."""
    epoch = number(told)
    if epoch >= MOST_EPOCHS:
        raise ValueError(f"not an epoch of a leader: {epoch}")
    return epoch


FACT = Fact(section="epochs", reads=always(_READS), parse=parse)
