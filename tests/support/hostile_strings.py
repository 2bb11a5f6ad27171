"""Strings that somebody hopes will be obeyed: one corpus, for every test that shows foreign text anywhere.

They stand in `hostile_strings.json`, escaped, so that no editor and no page of a diff obeys them; `times` repeats a long one.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("hostile_strings.json")


@cache
def hostile_strings() -> Mapping[str, str]:
    """Give every string by its name."""
    rows = json.loads(_FILE.read_text(encoding="ascii"))
    return {row["name"]: row["text"] * row.get("times", 1) for row in rows}
