"""Brings the kept output of a command's runs to a folder or a bucket; a node's failure there is a note, and no status."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from reconciler.commands.command import Command
from reconciler.commands.output_place import OutputPlace, key_of, names_apart
from reconciler.commands.record import Invocation
from reconciler.errors import UsageError
from reconciler.rollout.output import NAMES

WORKERS = 8
MOST_FAILURES = 20
"""After these nothing more is tried: where a bucket is away, each try costs what its time-outs allow."""
_CONNECT, _READ, _ATTEMPTS = 10, 60, 3
"""Seconds for a connection, seconds of silence, and tries: a command's record waits for its output."""

Put = Callable[[str, Path], None]
"""Brings one file to a key; raises what the place raises."""


@contextlib.contextmanager
def ready(place: OutputPlace | None) -> Iterator[Put | None]:
    """Give what brings a file there, once it is known that it can. Raises UsageError (SSM: InvalidOutputFolder)."""
    if place is None:
        yield None
    elif place.folder is not None:
        yield _folder(place.folder)
    else:
        with _bucket(str(place.bucket)) as put:
            yield put


def deliver(put: Put, place: OutputPlace, command: Command, ended: Iterable[Invocation], outputs: Path) -> list[str]:
    """Bring every output that is not empty; gives what could not be brought, in words."""
    wanted = [
        (invocation, key, file)
        for invocation in ended
        if invocation.run is not None
        for key, file in _files(place, command, invocation, outputs)
    ]

    failed = 0

    def one(job: tuple[Invocation, str, Path]) -> str | None:
        nonlocal failed
        invocation, key, file = job
        if failed >= MOST_FAILURES:
            return ""
        try:
            put(key, file)
        except Exception as exc:  # noqa: BLE001  (a bucket's client raises classes of its own; nothing here is the command's fault)
            failed += 1
            return f"{invocation.node}: its output was not brought to {place.name}: {exc} ({key})"
        return None

    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="output") as pool:
        told = [words for words in pool.map(one, wanted) if words is not None]
    problems = [words for words in told if words]
    if len(problems) < len(told):
        problems.append(f"{len(told) - len(problems)} further outputs were not tried after that")
    return problems


def _files(place: OutputPlace, command: Command, invocation: Invocation, outputs: Path) -> Iterator[tuple[str, Path]]:
    steps = command.definition.rendered.steps
    names = names_apart([(step.action, step.name) for step in steps])
    for number, (step, name) in enumerate(zip(steps, names, strict=True), 1):
        for stream in NAMES.values():
            file = outputs / str(invocation.run) / str(number) / stream
            if file.is_file() and file.stat().st_size > 0:
                yield key_of(place, command.id, invocation.node, step.action, name, stream), file


def _folder(folder: Path) -> Put:
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"InvalidOutputFolder: {folder} is no folder that can be written: make it; nothing was sent")

    def put(key: str, file: Path) -> None:
        goal = folder / key
        goal.parent.mkdir(parents=True, exist_ok=True)
        new = goal.with_name(f".{goal.name}.new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with file.open("rb") as source, new.open("xb") as target:
            while piece := source.read(1 << 20):
                target.write(piece)
        new.replace(goal)

    return put


@contextlib.contextmanager
def _bucket(bucket: str) -> Iterator[Put]:
    try:
        session: Any = importlib.import_module("boto3.session")
        config: Any = importlib.import_module("botocore.config")
    except ImportError as exc:
        raise UsageError(
            f"InvalidOutputFolder: {bucket} is a bucket, and boto3 is not installed: pip install 'reconciler[s3]', "
            "or name a folder (with a /); nothing was sent"
        ) from exc
    limits = {"connect_timeout": _CONNECT, "read_timeout": _READ}
    tries = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
    with contextlib.ExitStack() as ending:
        try:
            # A session of its own: the library's one keeps the credentials that a daemon's first command found.
            client = session.Session().client("s3", config=config.Config(**limits, retries=tries))
            ending.callback(client.close)
            client.head_bucket(Bucket=bucket)
        except Exception as exc:
            raise UsageError(
                f"InvalidOutputFolder: the bucket {bucket} cannot be used: {exc}; nothing was sent"
            ) from exc

        def put(key: str, file: Path) -> None:
            with file.open("rb") as body:
                client.put_object(Bucket=bucket, Key=key, Body=body)

        yield put
