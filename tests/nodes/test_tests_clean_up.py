"""A test that leaves something running fails, and tests see nobody's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        pytest.param("pass", "1 passed", id="nothing left"),
        pytest.param(
            "threading.Thread(target=time.sleep, args=(90,), daemon=True).start()", "left running", id="thread"
        ),
        pytest.param(
            "sys.left = subprocess.Popen(['sleep', '90'], stdout=subprocess.DEVNULL); time.sleep(0.5)",
            "left running",
            id="process",
        ),
        pytest.param("subprocess.run(['true'], check=True)", "1 passed", id="ended process"),
    ],
)
def test_what_a_test_leaves_running_fails_it(tmp_path: Path, body: str, verdict: str) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n", encoding="ascii")
    script = f"import subprocess, sys, threading, time\ndef test_it():\n    {body}\n"
    (tmp_path / "test_it.py").write_text(script, encoding="ascii")
    # os._exit, since Python would wait for the thread; what is left running ends by itself after a while.
    runner = "import os, pytest, sys; code = pytest.main(sys.argv[1:]); sys.stdout.flush(); os._exit(code)"
    argv = [sys.executable, "-c", runner, "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_ADDOPTS": "-c /dev/null",
        "RECONCILER_TEST_GRACE": "1",
    }
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True
    ) as run:
        assert run.stdout is not None
        try:
            output = "".join(iter(run.stdout.readline, ""))
        finally:
            run.wait(timeout=60)
    assert verdict in output


def test_tests_have_a_home_of_their_own(own_home: Path) -> None:
    assert Path.home() == own_home
    assert list(own_home.iterdir()) == []
    assert "SSH_AUTH_SOCK" not in os.environ
    listed = subprocess.run(["git", "config", "--list"], cwd=own_home, capture_output=True, text=True, check=False)
    assert "user.email" not in listed.stdout
