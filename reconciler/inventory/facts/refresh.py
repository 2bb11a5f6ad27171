"""Wishes for runs: what steps of `aws:refreshAssociation` asked for on the node, by fleet; the runs themselves tick them off."""

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known
from reconciler.model.shell import quote

MOST_LINES = 2000
"""A wish of more is none of ours."""

_READS = r"""
case $rootstate in
ok) [ ! -f "$root/refresh/"%s ] || set -- "$@" "refresh:$root/refresh/"%s ;;
absent) ;;
*) say refresh unknown "$rootstate";;
esac
"""


def parse(stdout: str, _asked: Asked) -> Rows:
    """Read whom the wishes are about: NAME, or `*` for all -> `ask` or `done`. Raises ValueError on any other line."""
    rows: dict[str, JsonValue] = {}
    for lines in files(stdout).values():
        match lines:
            case Known(text):
                for line in (text or ())[:MOST_LINES]:
                    word, _, name = line.partition(" ")
                    if word not in ("ask", "done") or not name:
                        raise ValueError(f"no wish for a run: {line[:80]!r}")
                    rows[name] = word
            case unknown:
                raise ValueError(unknown.why)
    return rows


FACT = Fact(
    section="refresh",
    reads=lambda asked: _READS % (quote(asked.fleet), quote(asked.fleet)),
    parse=parse,
)
