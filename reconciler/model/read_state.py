"""The files of a state repository -> DesiredState, or every mistake in them; runs no git, reads no disk, knows no clock."""

from collections.abc import Mapping

from reconciler.errors import DesiredStateError
from reconciler.ids import CommitId
from reconciler.model.desired import DesiredState
from reconciler.model.known import JsonValue
from reconciler.model.reading.associations import CheckSchedule
from reconciler.model.reading.cross_checks import check_references
from reconciler.model.reading.files import Repository, read_files
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Table, as_written, plain_json
from reconciler.model.reading.yaml_text import read_yaml
from reconciler.problem import Gravity, Problem

__all__ = ["CheckSchedule", "desired_state", "read_settings_mapping", "read_state"]


def read_state(
    files: Mapping[str, bytes],
    *,
    commit: CommitId | None = None,
    trees: Mapping[str, str] | None = None,
    bundled: Mapping[str, bytes] | None = None,
    check_schedule: CheckSchedule | None = None,
) -> tuple[DesiredState | None, tuple[Problem, ...]]:
    """Read a whole repository, path by path; None where anything but lints was found. Problems come in file order."""
    repository = read_files(files, bundled or {}, check_schedule)
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


def read_settings_mapping(file: str, data: bytes) -> tuple[Mapping[str, JsonValue], tuple[Problem, ...]]:
    """Read one YAML mapping with text as written: `true` is the text `true`. Empty means no key; see the problems first."""
    mistakes = Mistakes(file)
    documents = read_yaml(data, mistakes)
    if len(documents) > 1:
        mistakes.error(documents[1], "a second YAML document", value="---", remedy="keep one")
    if not documents or mistakes.found_errors:
        return {}, tuple(mistakes.problems)
    found = plain_json(documents[0], as_written)
    if found is not None and not isinstance(documents[0], Table):
        mistakes.error(documents[0], "this must be a mapping", remedy="write KEY: value")
    return found if isinstance(found, dict) else {}, tuple(mistakes.problems)


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
        nodes={read.record.id: read.record for read in repository.nodes},
        groups={read.record.name: read.record for read in repository.groups},
        associations={read.record.name: read.record for read in repository.associations},
        documents=repository.documents,
        parameters={read.record.name: read.record for read in repository.parameters},
        baselines=repository.baselines,
        windows={read.record.name: read.record for read in repository.windows},
        calendars=repository.calendars,
        known_hosts=files.get("state/known_hosts", b"").decode("utf-8", "replace"),
        lints=lints,
    )
