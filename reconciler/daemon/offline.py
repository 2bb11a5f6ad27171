"""Plans without asking any node: from committed facts, from what an earlier pass kept, and of two revisions compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.commit.branch import read_branch
from reconciler.compliance.read import Branch, read_branch_files
from reconciler.compliance.report import Status, item_status
from reconciler.daemon.replay import Kept
from reconciler.drift.patched import PatchBooks
from reconciler.drift.patches import PatchSurveyor
from reconciler.errors import DesiredStateError, SourceError, UsageError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.plan.difference import PlanDifference, difference
from reconciler.plan.digest import FactsDigest
from reconciler.plan.ground import Ground, ground
from reconciler.plan.notes import baseline_notes
from reconciler.plan.plan import Plan
from reconciler.plan.planner import Planner, believe, decide
from reconciler.problem import Gravity, Problem
from reconciler.source.repository import Repository

Read = Callable[[CommitId], tuple[DesiredState | None, tuple[Problem, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and whether the findings it stands on leave anything to be done or known."""

    plan: Plan
    nothing_left: bool


class OfflinePlans:
    """Makes plans from git alone: the same bytes everywhere."""

    def __init__(
        self,
        repository: Repository,
        read: Read,
        narrowed: Callable[[DesiredState], DesiredState],
        recalled: Callable[[Ground, bytes | None], Ground],
    ) -> None:
        self._repository = repository
        self._read = read
        self._narrowed = narrowed
        self._recalled = recalled
        self._planner = Planner()

    def branch_at(self, commit: CommitId) -> Branch:
        """Read the compliance branch at a commit. Raises UsageError where it is no commit of it."""
        if self._repository.read_file(commit, "compliance.json") is None:
            raise UsageError(f"commit {commit[:12]} holds no report: name one of the compliance branch")
        return read_branch_files(read_branch(self._repository, commit), commit)

    def plan(
        self,
        base: Ground,
        branch: Branch,
        nodes: tuple[NodeId, ...],
        now: datetime,
        allow_shrink: frozenset[AssociationName] = frozenset(),
    ) -> Planned:
        """Plan from committed facts."""
        known = branch.facts
        facts = {node: known.get(node, Facts(node=node, unreachable="never collected")) for node in nodes}
        return self._planned(base, facts, branch, now, allow_shrink)

    def again(self, kept: Kept, at: datetime | None = None) -> Planned:
        """Make a plan of an earlier pass again, from what that pass kept; `at`: of what it knew, for another instant.

        Raises SourceError where another plan comes of it: what is shown would not be what ran.
        """
        desired = None if kept.commit is None else self._read(kept.commit)[0]
        if desired is None:
            raise SourceError(f"commit {kept.commit}, which that plan was made of, cannot be read any more")
        history = () if kept.history is None else read_branch(self._repository, kept.history)
        branch = replace(read_branch_files(history, kept.history), downloads=kept.downloads)
        books = PatchBooks(
            ledger=branch.ledger,
            committed_at=branch.committed_at,
            reported=branch.facts,
            keeps_files=kept.keeps_files,
            kept=kept.kept,
            clock_before=kept.clock_before,
            elapsed=kept.elapsed,
        )
        base = self._recalled(ground(self._narrowed(desired)), branch.downloads)
        known = believe(base, branch.history, kept.facts, at or kept.at, new_history=kept.basis.new_history)
        done = decide(base, kept.facts, known, at or kept.at, kept.basis, books, PatchSurveyor(), FactsDigest())
        if at in (None, kept.at) and done.plan.digest != kept.digest:
            raise SourceError(
                f"plan {kept.digest[:12]} cannot be made again: from what was kept of it comes {done.plan.digest[:12]}. "
                "The host settings, the release or the history may be others since then"
            )
        left = any(item_status(finding) is not Status.COMPLIANT for finding in done.findings)
        return Planned(plan=done.plan, nothing_left=not left)

    def _planned(
        self,
        base: Ground,
        facts: Mapping[NodeId, Facts],
        branch: Branch,
        now: datetime,
        allow_shrink: frozenset[AssociationName],
    ) -> Planned:
        survey, plan = self._planner.plan(
            self._recalled(base, branch.downloads),
            facts,
            branch.history,
            now,
            allow_shrink=allow_shrink,
            books=PatchBooks(ledger=branch.ledger, committed_at=branch.committed_at, reported=branch.facts),
        )
        left = any(item_status(finding) is not Status.COMPLIANT for finding in survey.noteworthy)
        return Planned(plan=plan, nothing_left=not left)

    def difference(self, base_rev: str, head_rev: str, branch: Branch, now: datetime) -> PlanDifference:
        """Plan two revisions on the same facts and compare. Raises DesiredStateError where one does not validate."""
        plans: list[Plan] = []
        meant: list[DesiredState] = []
        for revision in (base_rev, head_rev):
            desired, problems = self._read(self._repository.resolve(revision))
            if desired is None:
                raise DesiredStateError(tuple(p for p in problems if p.gravity is Gravity.ERROR))
            base = ground(self._narrowed(desired))
            plans.append(self.plan(base, branch, tuple(sorted(desired.nodes)), now).plan)
            meant.append(base.desired)
        return difference(plans[0], plans[1], baseline_notes(meant[0], meant[1], branch.facts.get))
