"""Where things stand on the compliance branch."""

import hashlib
from collections.abc import Iterable, Iterator

from reconciler.ids import NodeId

LEDGERS = "ledger"
"""When package versions were first seen, a file for each archive."""

DOWNLOADS = "downloads.json"
"""What documents download came to: source by source, as a digest of it."""


def shard(node: NodeId) -> str:
    """Give the two hex digits that spread 10,000 nodes over 256 folders: a commit then rewrites 10 KB of trees, not 250."""
    return hashlib.sha256(node.encode()).hexdigest()[:2]


def node_path(node: NodeId) -> str:
    """Where a node's findings and history stand."""
    return f"nodes/{shard(node)}/{node}.json"


def inventory_path(node: NodeId) -> str:
    """Where a node's facts stand."""
    return f"inventory/{shard(node)}/{node}.json"


def report_paths(nodes: Iterable[NodeId]) -> Iterator[str]:
    """Give the paths that hold these nodes' reports and facts."""
    for node in nodes:
        yield node_path(node)
        yield inventory_path(node)
