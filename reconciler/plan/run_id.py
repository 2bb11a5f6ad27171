"""Run ids: no clock and no plan digest in them, so that a restarted or cloned daemon reaches the same id and attaches."""

import hashlib
import re
from uuid import UUID

from reconciler.ids import AssociationName, FleetId, NodeId, RunId

_COMMAND = re.compile(r"command-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def command_subject(command: UUID) -> AssociationName:
    """Give what run folders on nodes call a command, in the place of an association."""
    return AssociationName(f"command-{command}")


def command_of(subject: str) -> UUID | None:
    """Tell which command a run folder is of; None: it is of an association."""
    found = _COMMAND.fullmatch(subject)
    return None if found is None else UUID(found[1])


def run_id(fleet: FleetId, node: NodeId, subject: str, executions: int) -> RunId:
    """Give the id of execution number `executions` (from 1) of `subject` (association or command id) on `node`.

    Every part is preceded by its length in bytes: no two different quadruples are encoded alike.
    """
    encoded = b"".join(
        b"%d:%s" % (len(part), part)
        for part in (fleet.encode(), node.encode(), subject.encode(), str(executions).encode())
    )
    return RunId(hashlib.sha256(encoded).hexdigest())
