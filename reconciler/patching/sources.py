"""The repositories that a baseline names in the place of a node's own: which of them count there, and what they offer. Pure.

SSM: with `Sources`, patches come from those repositories alone, on nodes of the products that each lists. What they offer was fetched
for them, into a folder of ours on the node; where it was not, the node's own lists tell of them, if its configuration names them, too.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from reconciler.model.baseline import PatchBaseline, PatchSource
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.patch import Index, Patch
from reconciler.patching.node_patches import Gone, NodePatches
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


def offered(
    patches: Iterable[Patch], baseline: PatchBaseline, product: str, fetched: Collection[str] = ()
) -> tuple[Patch, ...]:
    """Give what the sources offer that an install may use, as they offer it: what another repository says counts for nothing.

    `fetched`: `PatchSource.id` of those that were fetched for a baseline; of the others the node's own lists tell.
    """
    sources = used_sources(baseline, product)
    found: dict[tuple[str, ...], Patch] = {}
    for patch in patches:
        mine = tuple(index for index in patch.indexes if any(_counts(index, source, fetched) for source in sources))
        if mine:
            key = patch.name, patch.arch, patch.version, patch.checksum
            one = patch if mine == patch.indexes else replace(patch, indexes=mine)
            found[key] = _together(found[key], one) if key in found else one
    return tuple(found.values())


def _counts(index: Index, source: PatchSource, fetched: Collection[str]) -> bool:
    if source.id in fetched:
        return index.source == source.id
    return not index.source and is_of(index, source)


def _together(one: Patch, other: Patch) -> Patch:
    """One file that several sources offer: all of them date it, and every notice counts."""
    indexes = tuple(dict.fromkeys((*one.indexes, *other.indexes)))
    return replace(one, indexes=indexes, notices=tuple(dict.fromkeys((*one.notices, *other.notices))))


def is_own(patch: Patch) -> bool:
    """Whether the node's own lists offer it."""
    return any(not index.source for index in patch.indexes)


def from_sources(patches: NodePatches, baseline: PatchBaseline, product: str) -> Observed[NodePatches]:
    """Give what a baseline with sources judges a node by: what these offer, and what is gone from them."""
    if patches.sources_problem:
        return Unknown(patches.sources_problem)
    available = offered((*patches.available, *patches.sourced), baseline, product, patches.fetched)
    return Known(
        replace(patches, available=available, gone=gone_from(patches.gone, baseline, product, patches.fetched))
    )


def gone_from(
    gone: Iterable[Gone], baseline: PatchBaseline, product: str, fetched: Collection[str]
) -> tuple[Gone, ...]:
    """Give what is gone from the lists that count: those of the baseline's sources, or the node's own."""
    if sources_for(baseline, product):
        return tuple(one for one in gone if offered([one.patch], baseline, product, fetched))
    return tuple(one for one in gone if is_own(one.patch))
