"""`--limit`: takes what was typed, gives a predicate on nodes; pure.

`web-01`, `web-01,web-02`, `tag:Role=web`, `tag:Role=web,db`, `tag-key=Role`, `InstanceIds=a,b`, `resource-groups:Name=web`.
"""

from collections.abc import Callable, Mapping

from reconciler.errors import UsageError
from reconciler.ids import GroupName
from reconciler.model.association import Target
from reconciler.model.desired import Group
from reconciler.model.node import Node
from reconciler.targets.match import GROUP, INSTANCE_IDS, TAG, TAG_KEY, TagIndex

_FORMS = "write a node id, tag:NAME=VALUE[,VALUE], tag-key=NAME or resource-groups:Name=GROUP"


def parse_selector(text: str, groups: Mapping[GroupName, Group] | None = None) -> Callable[[Node], bool]:
    """Read one selector. Raises UsageError on what is none; `groups` are needed for `resource-groups:Name`."""
    target = _target(text)
    if target.key == GROUP and (unknown := [v for v in target.values if GroupName(v) not in (groups or {})]):
        raise UsageError(f"--limit {text}: no group named {', '.join(unknown)} in state/groups")
    known = groups or {}
    return lambda node: node.id in TagIndex((node,), known).nodes((target,))


def parse_selectors(texts: tuple[str, ...], groups: Mapping[GroupName, Group] | None = None) -> Callable[[Node], bool]:
    """Read several: a node is meant that any of them means; no selector at all means every node."""
    selectors = [parse_selector(text, groups) for text in texts]
    return lambda node: not selectors or any(selector(node) for selector in selectors)


def _target(text: str) -> Target:
    key, separator, values = text.partition("=")
    if not separator:
        key, values = "InstanceIds", text
    split = tuple(value.strip() for value in values.split(","))
    named = (
        key.lower() == INSTANCE_IDS or key in (TAG_KEY, GROUP) or (key.startswith(TAG) and len(key) > len(TAG))
    ) and not (not separator and text.startswith(TAG))
    if not named or not all(split):
        raise UsageError(f"--limit {text}: not a selector; {_FORMS}")
    return Target(key=key, values=split)
