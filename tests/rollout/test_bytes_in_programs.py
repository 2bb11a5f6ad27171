"""Files travel as printf's format: whatever is in them, every shell writes the same bytes."""

import random
import subprocess

import pytest

from reconciler.ids import RunId
from reconciler.rollout.stage_program import Part, octal, stage_program

RUN = RunId("ab" * 32)


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("bash",), ("busybox", "sh")], ids=" ".join)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(range(256)) * 3, id="every byte"),
        pytest.param(b"-n %s %d %% \\n \\0 'it''s' \"$(id)\" `id` $x !x", id="what printf and shells look for"),
        pytest.param(b"1\x002\x0034\x009", id="digits behind an escape"),
        pytest.param("ü\u202e\U0001f600".encode(), id="text beyond ASCII"),
        pytest.param(random.Random(7).randbytes(20_000), id="chance"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_every_shell_writes_the_bytes_as_they_were(shell: tuple[str, ...], data: bytes) -> None:
    program = f"LC_ALL=C; export LC_ALL\nprintf '{octal(data)}'\n"
    assert program.isascii()
    done = subprocess.run([*shell], input=program.encode(), capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (data, b"")


def test_a_program_holds_no_nul_and_names_its_files_by_digest() -> None:
    part = Part(file="c" * 64, data=b"\0'", first=True, last=True)
    text = stage_program(RUN, ["c" * 64], [part], become=False).text
    assert b"\0" not in text
    assert b"printf '\\000\\047' 2>/dev/null >" + b"c" * 64 + b".part || return 1" in text
