"""A host without git gets a sentence that names the remedy."""

from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.source.git_process import GitProcess


def test_a_host_without_git_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="install git, or put it on PATH"):
        GitProcess(folder=tmp_path).ask("version")
