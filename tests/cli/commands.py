"""Runs commands in this process, as a shell would: exit code, stdout, stderr, and whatever they raise is a failed test."""

import io
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.cli.program import run
from tests.support.site import GIT

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b1m\u202e"
"""What a terminal would obey: colours, a new title, the same in one byte, text turned round."""

OBEYED = frozenset("\x1b\x07\x08\x7f\x9b\u202e\u2066\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """Give stdout as the one JSON document it must be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert found["version"] == 1
        return found


class Host:
    """A management host in a folder: commands run there, with a state folder of their own."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.state_dir = folder / "state-folder"
        self.settings = folder / "host.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(settings)

    def environment(self) -> Mapping[str, str]:
        """What commands see of this host."""
        return {
            "HOME": str(self.folder),
            "RECONCILER_STATE_DIR": str(self.state_dir),
            "RECONCILER_HOST_SETTINGS": str(self.settings),
        }

    def run(self, *arguments: str, code: int | None = None) -> Answer:
        """Run one command; `code` is the exit code it must have."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
        with self._here(), redirect_stdout(out), redirect_stderr(err):
            met = run(list(arguments))
        binary = out.buffer
        assert isinstance(binary, io.BytesIO)
        answer = Answer(code=met, out=binary.getvalue().decode(), err=err.getvalue())
        assert code is None or met == code, f"{arguments}: {answer}"
        return answer

    @contextmanager
    def _here(self) -> Iterator[None]:
        before, folder = dict(os.environ), Path.cwd()
        os.environ.update(self.environment())
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)

    def git(self, *arguments: str, repo: str = "fleet") -> str:
        """Run git as an operator would."""
        done = subprocess.run(
            [*GIT, *arguments], cwd=self.folder / repo, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], repo: str = "fleet") -> str:
        """Write files into a repository and commit them; gives the commit."""
        root = self.folder / repo
        if not root.exists():
            root.mkdir()
            self.git("init", "--quiet", repo=repo)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all", repo=repo)
        self.git("commit", "--quiet", "--allow-empty", "-m", "Change the state", repo=repo)
        return self.git("rev-parse", "HEAD", repo=repo)
