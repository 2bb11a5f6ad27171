"""aws:refreshAssociation: asks for a run of associations of this node, now. What a pass makes of it: `drift/refreshed.py`.

The step leaves its wish on the node, beside the runs, where the next pass reads it, whoever leads by then: it needs no memory
of ours, and works the same for a command that somebody sends. It always succeeds, as on SSM.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.documents.own_script import OwnScript
from reconciler.model.known import JsonValue
from reconciler.model.shell import quote

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
MOST_NAMES = 200
"""In one step: SSM's document and its parameters have 64 KB."""

_HEAD = """\
umask 077
run=${0%/steps/*}
root=${run%/runs/*}
fleet= association=
. "$run/plan" || exit 1
mkdir -p "$root/refresh" || exit 1
asked=$root/refresh/$fleet
"""

# Whoever asks for all is not among them, or it would run for ever.
_ALL = """\
printf 'ask *\\ndone %s\\n' "$association" >"$asked.tmp" && mv -f "$asked.tmp" "$asked" || exit 1
printf 'asked for: every association of this node, in the next pass\\n'
"""

_SOME = """\
for name; do
    {
        [ ! -f "$asked" ] || grep -v -x -F -e "ask $name" -e "done $name" "$asked"
        printf 'ask %s\\n' "$name"
    } | tail -n 2000 >"$asked.tmp" && mv -f "$asked.tmp" "$asked" || exit 1
    printf 'asked for: %s, in the next pass, where it means this node\\n' "$name"
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshAssociation(OwnScript):
    """A wish for runs; no names: all associations of the node."""

    name: ClassVar[str] = "aws:refreshAssociation"
    associations: tuple[str, ...] = ()

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs: names of associations, in the place of SSM's ids."""
        value = inputs.get("associationids")
        entries = [value] if isinstance(value, str) else value
        if entries is None:
            return cls()
        if not isinstance(entries, Sequence):
            raise InputError("associationIds must be a list of names of associations, or an empty one for all")
        names = tuple(dict.fromkeys(text for text in (as_text(entry).strip() for entry in entries) if text))
        if len(names) > MOST_NAMES:
            raise InputError(f"associationIds names {len(names)} associations: at most {MOST_NAMES} are taken")
        for name in names:
            if _NAME.fullmatch(name) is None:
                raise InputError(f"associationIds: {name[:80]!r} is no name of an association")
        return cls(associations=names)

    @property
    def text(self) -> str:
        """The script."""
        if not self.associations:
            return _HEAD + _ALL
        return f"{_HEAD}set -- {' '.join(map(quote, self.associations))}\n{_SOME}"
