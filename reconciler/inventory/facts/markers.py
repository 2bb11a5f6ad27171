"""Markers: what one fleet last applied on the node, by association; they stay when run folders are pruned."""

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known
from reconciler.model.shell import quote

_READS = r"""
case $rootstate in
ok)
  for p in "$root"/markers/%s@*; do [ -f "$p" ] && set -- "$@" "markers:$p"; done
  ;;
absent) ;;
*) say markers unknown "$rootstate";;
esac
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read every marker's text."""
    rows: dict[str, JsonValue] = {}
    for path, lines in files(stdout).items():
        name = path.rpartition("@")[2]
        match lines:
            case Known(text):
                rows[name] = "\n".join(text or ())
            case unknown:
                rows[name] = {"unknown": unknown.why}
    return rows


FACT = Fact(
    section="markers",
    watch='/var/lib/reconciler/markers/. "$HOME/.local/state/reconciler/markers/."',
    reads=lambda asked: _READS % quote(asked.fleet),
    parse=parse,
)
