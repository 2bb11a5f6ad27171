"""The programs that start, follow and acknowledge runs do nothing at all where a byte of them is missing."""

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.ids import NodeId
from reconciler.inventory.program import program
from reconciler.model.command import Program
from reconciler.model.node import Node
from reconciler.model.questions import Questions
from reconciler.rollout.node_programs import (
    acknowledge_program,
    cancel_program,
    discard_program,
    look_program,
    resume_program,
    start_program,
)
from reconciler.transport.loader import CUT_STATUS, loader_command
from tests.rollout.a_node import FLEET, MOTD, a_step, an_order

NONCE = "0123456789abcdef0123456789abcdef"
ORDER = an_order(a_step("echo ran >>$HOME/log\n"))
PROGRAMS = {
    "start": start_program(ORDER, become=False, wait=0, held={}),
    "look": look_program(ORDER.run, become=False, wait=0, held={}),
    "resume": resume_program(ORDER.run, FLEET, epoch=1, expired=False, become=False, wait=0, held={}),
    "cancel": cancel_program(ORDER.run, become=False, held={}),
    "discard": discard_program(ORDER.run, become=False, held={}),
    "acknowledge": acknowledge_program({MOTD: "{}"}, [ORDER.run], fleet=FLEET, count=1, epoch=1, become=False),
    "inventory": program(Questions(), node=Node(id=NodeId("web-01")), nonce=NONCE),
}


def run_nothing(asked: Program, cuts: range, home: Path) -> None:
    command = loader_command(asked, NONCE, sudo=False)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    for cut in cuts:
        done = subprocess.run(
            ["sh", "-c", command], input=asked.text[:cut], capture_output=True, check=False, env=environment, timeout=60
        )
        assert (done.stdout, done.stderr, done.returncode) == (b"", b"", CUT_STATUS), cut
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_cut_program_does_nothing(name: str, tmp_path: Path) -> None:
    asked = PROGRAMS[name]
    run_nothing(asked, range(len(asked.text) - 10, len(asked.text)), tmp_path)
    run_nothing(asked, range(0, len(asked.text), max(1, len(asked.text) // 23)), tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_cut_at_every_byte_does_nothing(name: str, tmp_path: Path) -> None:
    asked = PROGRAMS[name]
    run_nothing(asked, range(len(asked.text)), tmp_path)
