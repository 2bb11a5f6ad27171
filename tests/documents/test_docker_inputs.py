"""What aws:runDockerAction takes, and the words it says to the client: run here by sh, with a client that tells them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.documents.actions.run_docker_action import RunDockerAction
from reconciler.documents.error import InputError

CLIENT = """\
#!/bin/sh
printf '<%s>' "$@"
for word; do case $word in */variables) printf ' file: '; cat "$word"; stat -c %a "$word";; esac; done
"""


def said(tmp_path: Path, **inputs: Any) -> str:
    """Run the script, and give the client's words."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    client = tmp_path / "bin/podman"
    client.write_text(CLIENT)
    client.chmod(0o755)
    script = tmp_path / "script"
    script.write_bytes(RunDockerAction.from_inputs(inputs).script)
    path = f"{client.parent}:/usr/bin:/bin"
    done = subprocess.run(["sh", str(script)], env={"PATH": path}, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.replace(str(tmp_path), "").rstrip("\n")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        pytest.param({"action": "Ps", "container": "x"}, "<ps><--all>", id="ps"),
        pytest.param({"action": "Stats"}, "<stats><--no-stream>", id="stats of all"),
        pytest.param({"action": "Stats", "container": "x"}, "<stats><--no-stream><x>", id="stats of one"),
        pytest.param({"action": "Images"}, "<images>", id="images"),
        pytest.param({"action": "Rmi", "image": "a/b:1.2"}, "<rmi><a/b:1.2>", id="rmi"),
        pytest.param({"action": "Inspect", "image": "i", "container": "c"}, "<inspect><c><i>", id="inspect both"),
        pytest.param({"action": "Create", "image": "i", "cmd": ""}, "<create><i>", id="no command"),
        pytest.param(
            {"action": "Run", "image": "i", "cmd": "echo '$HOME `id`' \"$(id)\" '\"$(id)\"'"},
            '<run><-d><i><echo><$HOME `id`><$(id)><"$(id)">',
            id="nothing is expanded",
        ),
        pytest.param(
            {"action": "Run", "image": "i", "volume": ["/a:/b", "/c:/d:ro"], "memory": "64m", "cpushares": 2, "publish": "80:80"},
            "<run><-d><--volume></a:/b><--volume></c:/d:ro><--memory><64m><--cpu-shares><2><--publish><80:80><i>",
            id="all of them",
        ),
        pytest.param(
            {"action": "Run", "image": "i", "env": "A=it's $HOME"},
            "<run><--env-file></variables><-d><i> file: A=it's $HOME\n600",
            id="a variable is in no argument",
        ),
        pytest.param({"action": "Exec", "container": "c", "cmd": "id", "user": "u"}, "<exec><--user><u><c><id>", id="exec"),
    ],
)  # fmt: skip
def test_the_client_hears_these_words(tmp_path: Path, inputs: dict[str, Any], words: str) -> None:
    assert said(tmp_path, **inputs) == words


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "action must be one of"),
        ({"action": "run"}, "action must be one of"),
        ({"action": "Run"}, "Action Run requires parameter image"),
        ({"action": "Inspect"}, "requires parameter container or image"),
        ({"action": "Ps", "user": "a b"}, "invalid user"),
        ({"action": "Ps", "env": "A=1\nB=2"}, "invalid env"),
        ({"action": "Ps", "env": "A=1;2"}, "invalid env"),
        ({"action": "Ps", "memory": "64mb"}, "invalid memory"),
        ({"action": "Ps", "cmd": "it's"}, "invalid cmd: No closing quotation"),
        ({"action": "Ps", "container": ["a"]}, "container must be a text"),
        ({"action": "Ps", "cmd": "a\0b"}, "NUL"),
    ],
)
def test_other_inputs_are_refused(inputs: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        RunDockerAction.from_inputs(inputs)
