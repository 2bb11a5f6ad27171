"""The files of a state repository -> DesiredState, or every mistake in them; runs no git, reads no disk, knows no clock."""

from collections.abc import Mapping

from reconciler.collector import paused_collector
from reconciler.errors import DesiredStateError
from reconciler.ids import CommitId
from reconciler.model.desired import DesiredState
from reconciler.model.reading.associations import CheckSchedule
from reconciler.model.reading.cross_checks import check_references
from reconciler.model.reading.document_versions import Earlier
from reconciler.model.reading.files import Readings, Repository, read_files
from reconciler.problem import Gravity, Problem

__all__ = ["CheckSchedule", "Earlier", "Readings", "desired_state", "read_state"]


def read_state(
    files: Mapping[str, bytes],
    *,
    commit: CommitId | None = None,
    trees: Mapping[str, str] | None = None,
    bundled: Mapping[str, bytes] | None = None,
    check_schedule: CheckSchedule | None = None,
    readings: Readings | None = None,
    earlier: Earlier | None = None,
) -> tuple[DesiredState | None, tuple[Problem, ...]]:
    """Read a whole repository, path by path; None where anything but lints was found. Problems come in file order.

    Whoever reads one repository again and again hands in the same `readings`, and only what changed is read anew. `earlier`
    knows git's history: it is asked for the documents that something names by a version's number, and for no other.
    """
    with paused_collector():
        repository = read_files(files, bundled or {}, check_schedule, readings, earlier)
        check_references(repository)
        problems = repository.problems()
    if any(problem.gravity is Gravity.ERROR for problem in problems):
        return None, problems
    return _desired(repository, files, commit, trees or {}, problems), problems


def desired_state(
    files: Mapping[str, bytes],
    *,
    commit: CommitId | None = None,
    trees: Mapping[str, str] | None = None,
    bundled: Mapping[str, bytes] | None = None,
    check_schedule: CheckSchedule | None = None,
) -> DesiredState:
    """Read a whole repository, or raise DesiredStateError with every mistake."""
    desired, problems = read_state(files, commit=commit, trees=trees, bundled=bundled, check_schedule=check_schedule)
    if desired is None:
        raise DesiredStateError(tuple(problem for problem in problems if problem.gravity is Gravity.ERROR))
    return desired


def _desired(
    repository: Repository,
    files: Mapping[str, bytes],
    commit: CommitId | None,
    trees: Mapping[str, str],
    lints: tuple[Problem, ...],
) -> DesiredState:
    return DesiredState(
        commit=commit,
        trees=dict(trees),
        fleet=repository.fleet,
        nodes={node.id: node for node in repository.nodes},
        groups={group.name: group for group in repository.groups},
        associations={association.name: association for association in repository.associations},
        documents=repository.documents,
        packages=repository.packages,
        parameters={parameter.name: parameter for parameter in repository.parameters},
        baselines=repository.baselines,
        windows={window.name: window for window in repository.windows},
        calendars=repository.calendars,
        known_hosts=files.get("state/known_hosts", b"").decode("utf-8", "replace"),
        ledger_seeds=tuple(repository.ledger_seeds),
        signers=tuple(repository.signers),
        lints=lints,
    )
