"""How old the lists of a baseline's sources are, and why they are no younger; it comes in the frame of `sources`."""

import re
from typing import Final

from reconciler.inventory.apt import read_targets
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.facts.sources import divided
from reconciler.model.known import JsonValue

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_WORDS: Final = ("fetched", "tried", "problem")


def parse(stdout: str, _: Asked) -> Rows:
    """Give ID -> when it last came whole and when it was last tried (ISO 8601, UTC), why the last try failed, each index's last day."""
    return {source: _row(tried, index) for source, tried, index in divided(stdout)}


def _row(tried: str, index: str) -> JsonValue:
    told: dict[str, JsonValue] = dict.fromkeys(_WORDS)
    for line in filter(None, tried.split("\n")):
        word, _, text = line.partition(" ")
        if word not in _WORDS or (word != "problem" and _TIME.fullmatch(text) is None):
            raise ValueError(f"not how a source was tried: {line[:80]!r}")
        told[word] = text[:300]
    ends: dict[str, JsonValue] = {}
    for target in read_targets(index) if index.startswith("indexes") else ():
        end = None if target.release is None else target.release.date("Valid-Until")
        if end is not None:
            ends[target.key] = f"{end:%Y-%m-%dT%H:%M:%SZ}"
    return {**told, "valid_until": ends}


FACT = Fact(section="source_times", frame="sources", parse=parse)
