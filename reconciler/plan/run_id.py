"""Run ids: no clock and no plan digest in them, so that a restarted or cloned daemon reaches the same id and attaches."""

import hashlib

from reconciler.ids import FleetId, NodeId, RunId


def run_id(fleet: FleetId, node: NodeId, subject: str, executions: int) -> RunId:
    """Give the id of execution number `executions` (from 1) of `subject` (association or command id) on `node`.

    Every part is preceded by its length in bytes: no two different quadruples are encoded alike.
    """
    encoded = b"".join(
        b"%d:%s" % (len(part), part)
        for part in (fleet.encode(), node.encode(), subject.encode(), str(executions).encode())
    )
    return RunId(hashlib.sha256(encoded).hexdigest())
