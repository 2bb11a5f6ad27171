"""Fifty canaries around one node and one remote: what is secret stays where it was put."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.support.git_remote import make_remote
from tests.support.nodes import Fleet
from tests.support.site import GIT, Site, nodes_yaml

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(600)]

EACH = 10
CANARY = re.compile(rb"canary-[a-z]+-[0-9]+-5c2e")


def canaries(kind: str) -> list[str]:
    return [f"canary-{kind}-{number}-5c2e" for number in range(EACH)]


IN_STATE = canaries("parameter")
"""Written into an association by people: the state branch has them, nothing of ours may copy them."""
ON_NODE = canaries("file")
"""The content of files on the node that expectations look at."""
IN_ENVIRONMENT = canaries("environment")
"""Of the manager's process."""
PRINTED = canaries("output")
"""By the document's script, read from a file on the node: kept on this host alone, for `runs output`."""
COMPLAINED = canaries("error")
"""By checks, on both their outputs, and in the node's banner of errors."""

ASSOCIATION = """\
AssociationName: secrets
Name: Secrets
Targets: [{{Key: 'tag:Role', Values: [web]}}]
Parameters: {{texts: [{parameters}]}}
Expect:
  Files:
{files}
  Checks: ['cat /root-of-errors/* /nonexistent; cat /root-of-errors/* >&2; false']
"""

DOCUMENT = """\
schemaVersion: '2.2'
parameters:
  texts: {type: StringList}
mainSteps:
  - name: say
    action: aws:runShellScript
    inputs:
      runCommand:
        - 'set -- {{ texts }}'
        - cat /root-of-output/*
        - cat /root-of-output/* >&2
        - until [ -e /root/watched ]; do sleep 0.1; done
        - exit 3
"""


class Watch:
    """Samples every process of the machine, the node's among them: its arguments and its environment."""

    def __init__(self, node: Path) -> None:
        self._runs = node / "var/lib/reconciler/runs"
        self._enough = node / "root/watched"
        self.open_to_others: set[Path] = set()
        self.scripts = 0
        self.arguments: set[bytes] = set()
        self.environments: dict[bytes, set[bytes]] = {}
        self.samples = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self.samples += 1
            self._look_at_files()
            if self.scripts and self.samples > 20:  # the script waits for it
                self._enough.touch()
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = (process / "cmdline").read_bytes()
                    found = {*CANARY.findall((process / "environ").read_bytes())}
                except OSError:
                    continue
                self.arguments |= {*CANARY.findall(command)}
                if found:
                    self.environments.setdefault(command, set()).update(found)

    def _look_at_files(self) -> None:
        """See who may read what lies in the run folders while the script is at work."""
        for folder, _, names in os.walk(self._runs):  # which passes over folders that are removed meanwhile
            for path in (Path(folder, name) for name in names):
                try:
                    if path.is_file() and found_in(path.read_bytes()):
                        self.scripts += path.name == "script"
                        if path.stat().st_mode & 0o077:
                            self.open_to_others.add(path)
                except OSError:
                    continue


@pytest.fixture
def site(tmp_path: Path, start_nodes: object) -> tuple[Site, Fleet]:
    fleet = start_nodes(1)  # type: ignore[operator]
    node = fleet.nodes[0]
    for folder, kind in (("root-of-output", PRINTED), ("root-of-errors", COMPLAINED), ("srv/secrets", ON_NODE)):
        (node.root / folder).mkdir(parents=True)
        (node.root / folder).chmod(0o755)
        for number, canary in enumerate(kind):
            (node.root / folder / str(number)).write_text(f"{canary}\n")
    made = Site(tmp_path / "site", fleet)
    remote = make_remote(tmp_path / "remote", bare=True)
    made.git("remote", "add", "origin", str(remote.path))
    files = "\n".join(f"    - {{Path: /srv/secrets/{number}, Sha256: '{'0' * 64}'}}" for number in range(EACH))
    made.commit(
        {
            "state/fleet.yaml": "Fleet: example\nReports: {Remote: origin}\n",
            "state/nodes/web.yaml": nodes_yaml(fleet.nodes),
            "state/known_hosts": fleet.known_hosts,
            "state/associations/secrets.yaml": ASSOCIATION.format(parameters=", ".join(IN_STATE), files=files),
            "documents/Secrets.yaml": DOCUMENT,
        }
    )
    return made, fleet


def found_in(text: str | bytes) -> set[bytes]:
    return {*CANARY.findall(text if isinstance(text, bytes) else text.encode())}


def objects(repo: Path, *revisions: str) -> bytes:
    """Give the content of every object that revisions reach."""

    def git(*arguments: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            [*GIT, *arguments], cwd=repo, check=True, capture_output=True, timeout=60, input=stdin
        ).stdout

    return git("cat-file", "--batch", stdin=git("rev-list", "--objects", "--no-object-names", *revisions))


def test_fifty_canaries_stay_where_they_were_put(site: tuple[Site, Fleet], monkeypatch: pytest.MonkeyPatch) -> None:
    made, fleet = site
    plain = made.environment
    secrets = {f"SECRET_{number}": canary for number, canary in enumerate(IN_ENVIRONMENT)}
    monkeypatch.setattr(made, "environment", lambda state_dir=None: {**plain(state_dir), **secrets})
    said: dict[str, str] = {}

    def command(*arguments: str, check: int | None = None) -> str:
        done = made.command(*arguments, check=check, anew=True)
        said[" ".join(arguments)] = done.stdout + done.stderr
        return done.stdout

    with Watch(fleet.nodes[0].root) as watch:
        command("once", str(made.repo), check=2)
    assert watch.samples > 20
    assert watch.scripts > 0
    assert watch.open_to_others == set()

    # Process lists of the manager and of the node, which this machine sees: the manager alone has its own environment.
    assert watch.arguments == set()
    assert all(b"reconciler" in process for process in watch.environments), watch.environments
    assert {one for found in watch.environments.values() for one in found} <= {one.encode() for one in IN_ENVIRONMENT}

    run = _run_id(made)
    for words in (
        *(("once", "."), ("plan", "."), ("status", ".", "--format", "json"), ("drift", "."), ("report", ".")),
        *(("explain", "web-01", "secrets"), ("inventory", "show", "web-01", "--format", "json"), ("runs", "show", run)),
    ):
        command(*words)
    for how in ("console", "json"):
        said[f"the daemon's log, {how}"] = _daemon_log(made, how)
    told = {words: found for words, text in said.items() if (found := found_in(text))}
    assert told == {}

    # What the script wrote is for the people of this host, who may read it in one command, and nowhere else.
    output = made.command("runs", "output", run).stdout
    assert found_in(output) == {one.encode() for one in PRINTED}
    _is_kept_for_us_alone(made.state_dir)

    # Git: every object that the state branch does not have, here and at the remote; and all of the remote's refs.
    for repo, state in ((made.repo, ("--not", "main")), (made.folder.parent / "remote", ())):
        assert found_in(objects(repo, "--all", *state)) == set()

    # On the node: nothing for other users to read.
    runs = fleet.nodes[0].root / "var/lib/reconciler"
    for path in runs.rglob("*"):
        if path.is_file() and found_in(path.read_bytes()):
            assert path.stat().st_mode & 0o077 == 0, path


def _daemon_log(made: Site, how: str) -> str:
    """Let the daemon make one pass, and give what it logged."""
    log = made.folder / "daemon.log"
    log.unlink(missing_ok=True)
    daemon = made.start("daemon", str(made.repo), "--log-format", how, anew=True)
    try:
        ends = time.monotonic() + 60
        while "report" not in log.read_text() or "pass" not in log.read_text():
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
    return log.read_text()


def _run_id(made: Site) -> str:
    (run,) = json.loads(made.command("runs", "list", ".", "--format", "json").stdout)["runs"]
    return str(run["run"])


def _is_kept_for_us_alone(state_dir: Path) -> None:
    holding: Mapping[Path, set[bytes]] = {
        path: found for path in state_dir.rglob("*") if path.is_file() and (found := found_in(path.read_bytes()))
    }
    printed = {one.encode() for one in PRINTED}
    assert holding, "the output is kept somewhere"
    for path, found in holding.items():
        assert found <= printed, path
        assert path.stat().st_mode & 0o077 == 0, path
