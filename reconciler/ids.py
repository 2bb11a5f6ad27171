"""The names things go by: one NewType for each kind, so that two kinds cannot be mixed up. Imports nothing of ours."""

from typing import NewType

NodeId = NewType("NodeId", str)
"""SSM's InstanceId as this project writes it: `[A-Za-z0-9][A-Za-z0-9_.-]{0,99}`, unique ignoring case."""

AssociationName = NewType("AssociationName", str)
DocumentName = NewType("DocumentName", str)
BaselineName = NewType("BaselineName", str)
GroupName = NewType("GroupName", str)
PackageName = NewType("PackageName", str)
FleetId = NewType("FleetId", str)

CommitId = NewType("CommitId", str)
"""A full git object id of a commit, 40 or 64 hexadecimal digits."""

Digest = NewType("Digest", str)
"""SHA-256 in hexadecimal, 64 digits, over canonical bytes."""

PatchId = NewType("PatchId", str)
"""SSM's Id of a patch on Linux: `NAME.ARCH`, one row of a node."""

RunId = NewType("RunId", str)
"""SHA-256 over (fleet, node, association or command, n): no clock in it, so that every daemon reaches the same one."""
