"""What was reported so far: the record that looking at the compliance branch gives, and that reporting moves on."""

from dataclasses import dataclass

from reconciler.commit.branch import ReportsBranch, Standing
from reconciler.compliance.read import Branch


@dataclass(slots=True)
class Reports:
    """The compliance branch as this process knows it."""

    branch: ReportsBranch
    standing: Standing
    read: Branch
    forgotten: tuple[str, ...] = ()
    """Files of a history that a person gave up: those the new one does not write go."""
