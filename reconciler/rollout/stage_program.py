r"""The sh program that takes parts of files on a node, for a run that is about to start; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from reconciler.ids import RunId
from reconciler.model.command import Program
from reconciler.model.shell import quote
from reconciler.rollout.node_text import PRELUDE, ROOT

PLATFORM: Final = rb"""
ID= VERSION_ID=
[ ! -r /etc/os-release ] || . /etc/os-release
printf '%s\n' "$ID" "$VERSION_ID" "$(uname -m)"
"""
"""Three lines: what decides which file of a package a node gets."""

STAGE: Final = r"""
own_root
cd "$root/runs" || cannot_write
if [ -e "$run" ]; then
    printf 'there\nend\n'
    exit 0
fi
# Left by managers that were killed before their run began.
find . -maxdepth 1 -name '.staged.*' -mtime +1 -exec rm -rf {} + 2>/dev/null
own_folder "$root/runs/.staged.$run"
cd ".staged.$run" || cannot_write
write_parts || cannot_write
for file in $whole; do
    [ -f "$file" ] || [ "$(sha256sum 2>/dev/null <"$file.part")" != "$file  -" ] || mv "$file.part" "$file" || cannot_write
done
for file in $wanted; do
    [ -f "$file" ] || printf 'missing %s\n' "$file"
done
printf 'end\n'
"""
"""What the node does: parts of files are written over what an interrupted sender left: a file has its name only when all of it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a file that is being sent."""

    file: str
    """Its SHA-256, which is its name on the node."""
    data: bytes
    first: bool
    last: bool


def stage_program(run: RunId, wanted: Iterable[str], parts: Iterable[Part], *, become: bool) -> Program:
    """Add parts to the files of a run that is about to start, and tell which of `wanted` are not there yet."""
    parts = tuple(parts)
    lines = "".join(
        f"printf '{octal(part.data)}' 2>/dev/null {'>' if part.first else '>>'}{part.file}.part || return 1\n"
        for part in parts
    )
    text = (
        f"run={run}\nwanted={quote(' '.join(sorted(wanted)))}\nwhole={quote(' '.join(p.file for p in parts if p.last))}\n"
        f"write_parts() {{\n:\n{lines}}}\n{PRELUDE}{ROOT}{STAGE}"
    )
    return Program(text=text.encode(), become=become)


def octal(data: bytes) -> str:
    """Give bytes as printf's format: what is no plain text stands as octal digits, which every shell's printf knows."""
    return data.decode("latin-1").translate(_OCTAL)


# No quote, percent sign or backslash, and no dash: a format that begins with one would be an option.
_PLAIN = frozenset(b' !"#$&()*+,./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~\n\t')
_OCTAL = {byte: f"\\{byte:03o}" for byte in range(256) if byte not in _PLAIN}
