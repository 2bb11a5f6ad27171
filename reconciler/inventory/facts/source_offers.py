"""What the sources of a baseline offer of what is installed, each version with the source it comes from: read as `available` is."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from reconciler.inventory.apt import by_row
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.facts.available import OFFERS, read_offers
from reconciler.inventory.facts.sources import also, divided, names
from reconciler.inventory.rpm.installed import DATABASE
from reconciler.inventory.source_refresh import FOLDER
from reconciler.model.patch import Patch
from reconciler.model.patch_lines import patch_line
from reconciler.model.questions import Questions

# It stands behind all facts that go by the node's own lists, whose variables it takes.
_SCRIPT: Final = r"""
told=
for source in NAMES; do
  p=FOLDER/$source
  [ -f "$p/index" ] || continue
  apt_index=$(sed 1d "$p/index" 2>/dev/null </dev/null) rpm_index=$apt_index
  apt_lists=$(cat "$p/files" 2>/dev/null </dev/null)$NL rpm_files=$apt_lists
OFFERS
  case $offers in
  repositories*|indexes*) told="$told${told:+$NL}source $source$NL--$NL$offers";;
  *) told="unknown source $source: ${offers#unknown }"; break;;
  esac
done
case $told in
unknown*) say source_offers unknown "${told#unknown }";;
*) say source_offers ok "$told";;
esac
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Give NAME.ARCH -> lines of patches. A source that could not be read to its end makes it all unknown."""
    return dict(by_row((patch.id, patch_line(patch)) for patch in sourced(stdout)))


def sourced(stdout: str) -> Iterable[Patch]:
    """Give every version on offer, its indexes marked with the source. Raises ValueError, naming the source."""
    for source, _, text in divided(stdout):
        try:
            for patch in read_offers(text):
                yield replace(patch, indexes=tuple(replace(index, source=source) for index in patch.indexes))
        except ValueError as error:
            raise ValueError(f"source {source}: {error}") from error


def _script(questions: Questions) -> str:
    if not questions.sources:
        return ""
    return _SCRIPT.replace("OFFERS", OFFERS).replace("FOLDER", FOLDER).replace("NAMES", names(questions))


FACT = Fact(
    section="source_offers",
    watch=(
        f"{FOLDER}/*/index /var/lib/dpkg/status /var/lib/dpkg/updates/. /var/lib/dpkg/arch"
        f" /etc/dnf/modules.d/*.module {DATABASE}"
    ),
    also=also,
    script=_script,
    parse=parse,
)
