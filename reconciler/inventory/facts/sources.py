"""Repositories that a baseline names, as they were fetched into our folder: what they say of themselves, whether they were verified."""

from collections.abc import Iterable
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.facts import repositories
from reconciler.inventory.source_refresh import FOLDER
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

# `source ID`, lines of ID/tried, `--`, and ID/index without its first line. No line of these begins with `source `.
_SCRIPT: Final = r"""
x=
for source in NAMES; do
  x="$x${x:+$NL}source $source"
  y=$(cat "FOLDER/$source/tried" 2>/dev/null </dev/null) && x="$x$NL$y"
  case $rootstate in ok|absent) ;; *) x="$x${NL}problem $rootstate";; esac
  y=$(sed 1d "FOLDER/$source/index" 2>/dev/null </dev/null) && x="$x$NL--$NL$y"
done
say sources ok "$x"
"""


def parse(stdout: str, asked: Asked) -> Rows:
    """Give `ID KEY` -> the row that `repositories` has under KEY; nothing of a source that was never fetched."""
    return {
        f"{source} {key}": row
        for source, _, index in divided(stdout)
        if index
        for key, row in repositories.parse(index, asked).items()
    }


def divided(stdout: str) -> Iterable[tuple[str, str, str]]:
    """Give of each source its id, how it was tried, and its index; empty where there is none. Raises ValueError on anything else."""
    blocks = f"\n{stdout}".split("\nsource ")
    if blocks[0].strip():
        raise ValueError(f"of no source: {blocks[0][:80]!r}")
    for block in blocks[1:]:
        source, _, rest = block.partition("\n")
        tried, _, index = f"\n{rest}".partition("\n--\n")
        yield source, tried.strip("\n"), index


def names(questions: Questions) -> str:
    """Give the ids as words of sh."""
    return " ".join(quote(one.id) for one in questions.sources)


def also(questions: Questions) -> str:
    """Give the sh word by which what was told of other sources is not held."""
    return quote(" ".join(one.id for one in questions.sources)) if questions.sources else ""


def _script(questions: Questions) -> str:
    return _SCRIPT.replace("FOLDER", FOLDER).replace("NAMES", names(questions)) if questions.sources else ""


FACT = Fact(section="sources", watch=f"{FOLDER}/*/tried", also=also, script=_script, parse=parse)
