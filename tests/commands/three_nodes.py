"""Three nodes with tags, as SSM's own examples of targets have them, and whatever files a test adds."""

from reconciler.bundled import bundled_files
from reconciler.model.desired import DesiredState
from reconciler.model.read_state import read_state

NODES = """\
Id: n1
Address: 10.0.0.1
Tags: {Env: Dev, Role: Web}
---
Id: n2
Address: 10.0.0.2
Tags: {Env: Test, Role: Web}
---
Id: n3
Address: 10.0.0.3
Tags: {Env: Dev, Role: Db}
"""


def three_nodes(**files: bytes) -> DesiredState:
    """Read them as a state repository, with the bundled documents."""
    desired, problems = read_state({"state/nodes/all.yaml": NODES.encode(), **files}, bundled=bundled_files())
    assert desired is not None, problems
    return desired
