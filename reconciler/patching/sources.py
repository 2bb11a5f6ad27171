"""The repositories that a baseline names in the place of a node's own: which of them count there, and what they offer. Pure.

SSM: with `Sources`, patches come from those repositories alone, on nodes of the products that each lists. What they offer is read
from the lists that the node holds: a source that its own configuration does not name, too, has no list there, and that is said.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from reconciler.model.baseline import APT_SYSTEMS, PatchBaseline, PatchSource
from reconciler.model.patch import Index, Patch
from reconciler.patching.products import product_matches

_APT: Final = re.compile(r"\s*deb(?:\s+\[[^\]]*\])?\s+(\S+)\s+(\S+)(.*)", re.DOTALL)
_RPM: Final = re.compile(r"\s*\[([^\]\n]+)\]")


def sources_for(baseline: PatchBaseline, product: str) -> tuple[PatchSource, ...]:
    """Give the sources that count on nodes of a product; none: the node's own repositories do."""
    return tuple(
        source
        for source in baseline.sources
        if any(value == "*" or product_matches(value, product) for value in source.products)
    )


def used_sources(baseline: PatchBaseline, product: str) -> tuple[PatchSource, ...]:
    """Give those of them that an install may use."""
    return tuple(source for source in sources_for(baseline, product) if not source.refused)


def is_of(index: Index, source: PatchSource) -> bool:
    """Whether a list that a node holds is one of a source: apt by site, suite and component, else by the repository's id."""
    line = _APT.fullmatch(source.configuration)
    if line is None:
        stanza = _RPM.match(source.configuration)
        return stanza is not None and stanza[1] == index.repository
    parts = urlsplit(line[1])
    site = (parts.hostname or "") + (f":{parts.port}" if parts.port is not None else "")
    return (
        index.repository == (site or "file:")
        and line[2] in {index.suite, index.codename}
        and (index.component in line[3].split() or line[2].endswith("/"))
    )


def offered(patches: Iterable[Patch], baseline: PatchBaseline, product: str) -> tuple[Patch, ...]:
    """Give what the sources offer that an install may use, as they offer it: what another repository says counts for nothing."""
    sources, found = used_sources(baseline, product), []
    for patch in patches:
        mine = tuple(index for index in patch.indexes if any(is_of(index, source) for source in sources))
        if mine:
            found.append(patch if mine == patch.indexes else replace(patch, indexes=mine))
    return tuple(found)


def source_doubts(baseline: PatchBaseline, product: str, indexes: Collection[Index]) -> Iterable[str]:
    """Say of each source that counts on a node why nobody knows what it offers."""
    for source in sources_for(baseline, product):
        if source.refused:
            yield (
                f"source {source.name} is not used: {source.refused}; the host settings may allow its address"
                " (InsecurePatchSources)"
            )
        elif not any(is_of(index, source) for index in indexes):
            where = "apt's sources" if baseline.operating_system in APT_SYSTEMS else "repositories"
            yield f"source {source.name} is not among the node's own {where}: nobody knows what it offers"
