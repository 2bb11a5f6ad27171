"""Brings existing servers into a state repository: reads what others keep about them, writes files for review, commits nothing.

A repository that is missing is made as `init` makes it; in one that is there no file is ever overwritten. No server is asked.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reconciler.bundled import bundled_files
from reconciler.daemon.accepting import check_schedule, folder_files, read_folder
from reconciler.daemon.starting import new_repository
from reconciler.errors import DesiredStateError, SourceError, UsageError
from reconciler.importing import ansible, aws, ssh_config
from reconciler.importing.ansible import Source, Sources, source_order
from reconciler.importing.files import Written, files_of
from reconciler.importing.harvest import Harvest, Kind, Note
from reconciler.importing.keys import KeyPlace
from reconciler.model.read_state import read_state
from reconciler.model.reading.ssh_config import read_ssh_config
from reconciler.model.reading.text import LONGEST_FILE
from reconciler.problem import Gravity

_VARIABLES = ("", ".yml", ".yaml", ".json")
"""The endings of a file of variables, in Ansible's order: the first that is there is the one."""
_MOST_FILES = 20_000
"""Of variables: as many as hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    directory: Path
    made: tuple[str, ...]
    """What was said while the repository was made; empty where it was there."""
    written: Written

    def next_steps(self) -> tuple[str, ...]:
        """Give the commands that lead from here to a first report."""
        repo = shlex.quote(str(self.directory))
        what = f"{len(self.written.nodes)} nodes" if self.written.nodes else f"{len(self.written.files)} files"
        behind = any(node.gateway is not None for node in self.written.nodes)
        again = ["  (again after that commit, for the nodes that are reached through a gateway)"] if behind else []
        known_hosts = shlex.quote(str(self.directory / "state/known_hosts"))
        scan = f"  reconciler node scan-keys --unpinned {repo} >> {known_hosts}   # compare, then commit"
        return (
            f"  git -C {repo} add . && git -C {repo} commit -m 'Import {what}'",
            *([scan] if self.written.nodes else []),
            *again,
            f"  reconciler validate {repo}",
            f"  reconciler once {repo}   # everything is at Mode: warn: it looks, reports and changes nothing",
        )


def import_ssh_config(file: Path | None, directory: Path, *, key_directory: Path, fleet: str = "") -> Imported:
    """Bring in the hosts of an ssh configuration. Raises UsageError, SourceError, DesiredStateError; then nothing is written."""
    home = Path.home()
    file = file or home / ".ssh/config"
    config = read_ssh_config(str(file), _content(file), _Included(home / ".ssh"))
    if wrong := tuple(problem for problem in config.problems if problem.gravity is Gravity.ERROR):
        raise DesiredStateError(wrong)
    return _write(ssh_config.nodes_of(config, _keys(key_directory, home)), directory, fleet)


def import_ansible(inventory: Path, directory: Path, *, key_directory: Path, fleet: str = "") -> Imported:
    """Bring in the hosts of an Ansible inventory. Raises UsageError, SourceError, DesiredStateError; then nothing is written."""
    sources = _ansible_sources(inventory)
    return _write(ansible.nodes_of(sources, _keys(key_directory, Path.home())), directory, fleet)


def import_aws(folder: Path, directory: Path, *, fleet: str = "") -> Imported:
    """Bring in what the AWS CLI printed into the files of a folder. Raises UsageError, SourceError, DesiredStateError."""
    if not folder.is_dir():
        raise SourceError(
            f"{folder}: there is no such folder; save what `aws ssm get-document` and others print into one"
        )
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in {".json", ".yaml", ".yml"} and path.is_file()]
    if len(files) > _MOST_FILES:
        raise SourceError(f"{folder}: more than {_MOST_FILES} files; import it in parts")
    sources = tuple(Source(file=str(path), data=_content(path)) for path in files)
    return _write(aws.files_from(sources), directory, fleet)


def _keys(key_directory: Path, home: Path) -> KeyPlace:
    return KeyPlace(
        directory=PurePosixPath(os.path.abspath(key_directory.expanduser())),  # noqa: PTH100  (links stay as written)
        home=PurePosixPath(home),
    )


def _content(file: Path) -> bytes:
    """Read a file that was named; a device or a pipe would never end."""
    try:
        if not file.is_file():
            raise SourceError(f"{file}: there is no such file")
        if file.stat().st_size > LONGEST_FILE:
            raise SourceError(f"{file}: larger than {LONGEST_FILE} bytes; import it in parts")
        return file.read_bytes()
    except OSError as exc:
        raise SourceError(f"{file}: cannot be read ({exc.strerror})") from exc


class _Included:
    """What Include lines mean on this host: files below ~/.ssh and no others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, pattern: str) -> tuple[tuple[str, bytes], ...] | str:
        if pattern.startswith("~/"):
            pattern = str(self._folder.parent / pattern[2:])
        wanted = os.path.normpath(self._folder / pattern)
        if not wanted.startswith(f"{self._folder}/") or "**" in wanted:
            return f"only files below {self._folder} are"
        inside = self._folder.resolve()
        found = []
        for path in sorted(self._folder.glob(str(PurePosixPath(wanted).relative_to(self._folder)))):
            if not path.resolve().is_relative_to(inside):
                return f"{path} leads out of {self._folder}"
            if path.is_file():
                found.append((str(path), _content(path)))
        return tuple(found)


def _ansible_sources(inventory: Path) -> Sources:
    notes: list[Note] = []
    if inventory.is_dir():
        names = source_order(entry.name for entry in inventory.iterdir())
        files = [inventory / name for name in names]
        folder = inventory
    else:
        files, folder = [inventory], inventory.parent
    found = []
    for file in files:
        if file.is_dir():
            notes.append(
                Note(kind=Kind.SKIPPED, place=str(file), what="a folder within the inventory: import it alone")
            )
            continue
        data = _content(file)
        if data.startswith(b"#!") and os.access(file, os.X_OK):
            remedy = "save what `ansible-inventory --list` says as a .json file, and import that"
            notes.append(Note(kind=Kind.SKIPPED, place=f"{file}:1", what=f"a script, which is not run; {remedy}"))
            continue
        found.append(Source(file=str(file), data=data))
    return Sources(
        inventories=tuple(found),
        group_vars=_variables(folder / "group_vars"),
        host_vars=_variables(folder / "host_vars"),
        notes=tuple(notes),
    )


def _variables(folder: Path) -> tuple[Source, ...]:
    """Give the files of group_vars or host_vars, those of one owner in Ansible's order."""
    if not folder.is_dir():
        return ()
    by_owner: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        ending = path.suffix if path.suffix in _VARIABLES and path.is_file() else ""
        owner = path.name.removesuffix(ending) if ending else path.name
        by_owner.setdefault(owner, {})[ending] = path
    found: list[Source] = []
    for owner, paths in by_owner.items():
        path = next(paths[ending] for ending in _VARIABLES if ending in paths)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.suffix in _VARIABLES and not file.name.startswith("."):
                found.append(Source(file=str(file), data=_content(file), owner=owner))
            if len(found) > _MOST_FILES:
                raise SourceError(f"{folder}: more than {_MOST_FILES} files of variables; import it in parts")
    return tuple(found)


def _write(harvest: Harvest, directory: Path, fleet: str) -> Imported:
    """Write what is new, beside what is there; the repository validates before and after, or nothing is written."""
    if not harvest.nodes and not harvest.files:
        said = "".join(f"\n{note}" for note in harvest.notes)
        raise UsageError(f"nothing to import was found{said}")
    is_new = not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))
    if not is_new and not (directory / "state").is_dir():
        raise UsageError(f"{directory} is no state repository: it has no folder state/; name one, or a folder to make")
    made = tuple(new_repository(directory, fleet=fleet or directory.absolute().name))[:1] if is_new else ()
    there, problems = read_folder(directory)
    if there is None:
        raise DesiredStateError(tuple(problem for problem in problems if problem.gravity is Gravity.ERROR))
    files, _ = folder_files(directory)
    written = _that_reads(files_of(harvest, there, files), files)
    for name, content in written.files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:  # never over a file, even one that came this moment
                out.write(content)
        except OSError as exc:
            raise SourceError(f"{path}: cannot be written ({exc.strerror})") from exc
    return Imported(directory=directory, made=made, written=written)


def _that_reads(written: Written, files: dict[str, bytes]) -> Written:
    """Leave out, with the reason, what does not read beside the rest: an association without its document, say."""
    while True:
        _, problems = read_state({**files, **written.files}, bundled=bundled_files(), check_schedule=check_schedule)
        wrong = tuple(problem for problem in problems if problem.gravity is Gravity.ERROR)
        by_path = {problem.file: problem for problem in reversed(wrong)}
        bad = [other for other in written.others if other.path in by_path]
        if wrong and not bad:
            raise DesiredStateError(wrong)
        if not wrong:
            return written
        for other in bad:
            first = by_path[other.path]
            met = f" ({first.value})" if first.value else ""
            written = written.without(other, f"{first.message}{met}; {first.remedy}")
