"""Which baseline applies to a node, and why: takes its tags and operating system, gives one baseline or the reason for none. Pure.

SSM: a patch group's baseline for the node's operating system, else the default for it, else the predefined one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.ids import BaselineName
from reconciler.model.baseline import PATCH_GROUP_TAGS, OperatingSystem, PatchBaseline
from reconciler.model.patch_request import BaselineTags, PatchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The baseline of one node; None: nothing is scanned or installed by one, and `reason` says why."""

    baseline: PatchBaseline | None
    group: str = ""
    """The patch group the node is in; empty: none."""
    reason: str


def may_have_baseline(tags: Mapping[str, str], baselines: Iterable[PatchBaseline]) -> bool:
    """Whether a baseline of the repository's own could be a node's, as far as that shows before it was ever asked what it runs.

    The bundled defaults do not count: a scan of a fleet is asked for by writing a baseline.
    """
    groups = {tags[tag] for tag in PATCH_GROUP_TAGS if tag in tags}
    own = (one for one in baselines if not one.bundled)
    return any(one.default or groups.intersection(one.patch_groups) for one in own)


def serves_itself(tags: Mapping[str, str], resolution: Resolution) -> bool:
    """Whether a baseline is a node's business whatever associations ask: one of the repository's own, or a contradiction of tags."""
    return _in_two_groups(tags) or (resolution.baseline is not None and not resolution.baseline.bundled)


def _in_two_groups(tags: Mapping[str, str]) -> bool:
    return len({tags[tag] for tag in PATCH_GROUP_TAGS if tag in tags}) > 1


def resolve_asked(
    tags: Mapping[str, str],
    system: OperatingSystem | None,
    baselines: Iterable[PatchBaseline],
    request: PatchRequest | None,
) -> Resolution:
    """Find the baseline that a node is judged by for one request: BaselineOverride, BaselineTags, else the node's own."""
    if request is not None and request.baselines:
        return resolve_override(tags, system, request)
    if request is not None and request.baseline_tags is not None:
        return _resolve_tagged(tags, system, tuple(baselines), request.baseline_tags)
    return resolve_baseline(tags, system, baselines)


def _resolve_tagged(
    tags: Mapping[str, str],
    system: OperatingSystem | None,
    baselines: tuple[PatchBaseline, ...],
    wanted: BaselineTags,
) -> Resolution:
    """SSM: the baseline for the system with that tag; more than one is an error, without one patch group and default count."""
    named = tuple((wanted.key, value) for value in wanted.values)
    found = [one for one in baselines if one.operating_system is system and not set(one.tags).isdisjoint(named)]
    if not found:
        own = resolve_baseline(tags, system, baselines)
        told = "" if system is None else f"no baseline for {system.value} has the tag {wanted.shown}; "
        return replace(own, reason=f"{told}{own.reason}")
    group = next((tags[tag] for tag in PATCH_GROUP_TAGS if tag in tags), "")
    if len(found) > 1:
        names = " and ".join(sorted(one.name for one in found))
        reason = (
            f"BaselineTags ({wanted.shown}) mean more than one baseline for {found[0].operating_system.value}: {names}"
        )
        return Resolution(baseline=None, group=group, reason=reason)
    return Resolution(baseline=found[0], group=group, reason=f"{found[0].name} has the tag {wanted.shown}")


def resolve_override(tags: Mapping[str, str], system: OperatingSystem | None, request: PatchRequest) -> Resolution:
    """Find a node's baseline in a BaselineOverride. SSM: it stands in the place of every other; without one for the system the operation fails.

    It is known by its name and the beginning of its file's SHA-256: another content is another baseline, and none of the repository's
    own is called like that.
    """
    group = next((tags[tag] for tag in PATCH_GROUP_TAGS if tag in tags), "")
    found = next((one for one in request.baselines if one.operating_system is system), None)
    if found is None:
        named = "its operating system" if system is None else system.value
        return Resolution(baseline=None, group=group, reason=f"the BaselineOverride has none for {named}")
    name = BaselineName(f"{found.name}@{request.baselines_digest[:12]}")
    return Resolution(baseline=replace(found, name=name), group=group, reason=f"BaselineOverride {name}")


def resolve_baseline(
    tags: Mapping[str, str], system: OperatingSystem | None, baselines: Iterable[PatchBaseline]
) -> Resolution:
    """Find the one baseline of a node."""
    named = [(tag, tags[tag]) for tag in PATCH_GROUP_TAGS if tag in tags]
    if len({group for _, group in named}) > 1:
        told = " and ".join(f"{tag}: {group}" for tag, group in named)
        return Resolution(baseline=None, reason=f"two patch groups at once ({told}): keep one of the tags")
    group = named[0][1] if named else ""
    if system is None:
        return Resolution(
            baseline=None, group=group, reason="Systems Manager has no baselines for its operating system"
        )
    mine = sorted((one for one in baselines if one.operating_system is system), key=lambda one: (one.bundled, one.name))
    for one in mine:
        if group and group in one.patch_groups:
            reason = f"patch group {group} ({named[0][0]}) is served by {one.name}"
            return Resolution(baseline=one, group=group, reason=reason)
    outside = f"no baseline for {system.value} serves patch group {group}; " if group else "it is in no patch group; "
    default = next((one for one in mine if one.default), None)
    if default is None:
        return Resolution(baseline=None, group=group, reason=f"{outside}{system.value} has no default baseline")
    kind = "bundled default" if default.bundled else "default"
    return Resolution(baseline=default, group=group, reason=f"{outside}{default.name} is the {kind} for {system.value}")
