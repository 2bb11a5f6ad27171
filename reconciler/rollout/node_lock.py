"""The lock that lets one document run at a time on a node: who holds it. I/O through a Session; ends nothing."""

import re
from dataclasses import dataclass

from reconciler.errors import AnswerGarbled
from reconciler.ids import AssociationName, NodeId, RunId
from reconciler.model.command import Session
from reconciler.rollout.node_programs import lock_program

_ANSWER = re.compile(r"(free|held) ?(?:([A-Za-z0-9_.-]{1,128}) ([0-9a-f]{64}))?\nend\n", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLock:
    """One node's lock; whoever holds it is alive, for the kernel lets go when a process ends."""

    node: NodeId
    held: bool
    association: AssociationName | None = None
    run: RunId | None = None
    """None: its holder left no name."""


def look_at_lock(session: Session, *, become: bool) -> NodeLock:
    """Ask a node who holds its lock. Raises NodeError."""
    answer = session.run(lock_program(become=become)).stdout.decode("utf-8", "replace")
    found = _ANSWER.fullmatch(answer)
    if found is None:
        raise AnswerGarbled(session.node, f"the node does not say who holds its lock: {answer.strip()[:200]}")
    held = found[1] == "held"
    if not held or found[2] is None:
        return NodeLock(node=session.node, held=held)
    return NodeLock(node=session.node, held=True, association=AssociationName(found[2]), run=RunId(found[3]))
