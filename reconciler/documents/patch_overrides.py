"""InstallOverrideList and BaselineOverride: a downloaded file -> records; foreign text. Pure. Raises InputError, as the step fails."""

from collections.abc import Mapping
from typing import Final

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.model.baseline import PatchBaseline
from reconciler.model.patch_request import InstallOverride
from reconciler.model.reading.baselines import read_baseline
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, as_written, plain_json
from reconciler.model.reading.yaml_text import read_yaml

_MOST_ENTRIES: Final = 2000
_LONGEST: Final = 300


def read_override_list(data: bytes) -> tuple[InstallOverride, ...]:
    """Read an InstallOverrideList. SSM: YAML, `patches`, a list of `id` and `title`; further keys are ignored."""
    mistakes = Mistakes("InstallOverrideList")
    values = read_yaml(data, mistakes)
    read = plain_json(values[0], as_written) if len(values) == 1 and not mistakes.found_errors else None
    entries = read.get("patches") if isinstance(read, Mapping) else None
    if not isinstance(entries, list | tuple) or len(entries) > _MOST_ENTRIES:
        problem = next((str(one) for one in mistakes.problems), "it has no list `patches`, or a very long one")
        raise InputError(f"the InstallOverrideList does not read: {problem}")
    found = []
    for number, entry in enumerate(entries, 1):
        fields = entry if isinstance(entry, Mapping) else {}
        name = as_text(fields.get("id") or "").strip()
        title = as_text(fields.get("title") or "").strip()
        if not name or len(name) > _LONGEST or len(title) > _LONGEST:
            raise InputError(f"the InstallOverrideList does not read: entry {number} has no id, or too long a text")
        found.append(InstallOverride(id=name, title=title))
    return tuple(found)


def read_baseline_override(data: bytes) -> tuple[PatchBaseline, ...]:
    """Read a BaselineOverride. SSM: a JSON array of baselines, one for each operating system."""
    mistakes = Mistakes("BaselineOverride")
    values = read_json(data, mistakes)
    entries = values[0] if len(values) == 1 and not mistakes.found_errors else None
    if not isinstance(entries, Items):
        raise InputError("the BaselineOverride does not read: it must be a JSON array of baselines")
    found = [read_baseline(entry, mistakes, require_reasons=False) for entry in entries.items]
    if mistakes.found_errors or any(one is None for one in found):
        problem = next((str(one) for one in mistakes.problems), "one entry is no baseline")
        raise InputError(f"the BaselineOverride does not read: {problem}")
    baselines = tuple(one for one in found if one is not None)
    if len({one.operating_system for one in baselines}) != len(baselines):
        raise InputError("the BaselineOverride names two baselines for one operating system")
    return baselines
