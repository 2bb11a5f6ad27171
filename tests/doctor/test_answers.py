"""What the doctor makes of answers that no honest node gives: unknown, in words, and never good news."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.doctor import judge
from reconciler.doctor.check import ORDER, State, not_looked_at, ok, trouble
from reconciler.ids import NodeId
from reconciler.model.node import Become, Node

NOW = datetime(2026, 1, 31, tzinfo=UTC)
NODE = Node(id=NodeId("web-01"), address="10.0.0.1", user="ops", become=Become.SUDO)


@pytest.mark.parametrize("text", [b"", b"uid 0\n", b"uid 0\nend log", b"end run\nend run\n", b"\xff\x00end run"])
def test_an_answer_without_its_end_is_none(text: bytes) -> None:
    assert judge.read_answer(text, "run") is None


@pytest.mark.parametrize("said", ["", "9" * 40, "-1", "soon", "1e9"])
def test_a_clock_that_says_nothing_is_unknown(said: str) -> None:
    assert judge.clock_check({"clock": [said]}, NOW, NOW).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("off", "state"),
    [
        pytest.param(timedelta(seconds=20), State.OK, id="20 s"),
        pytest.param(timedelta(seconds=45), State.WARNING, id="45 s"),
        pytest.param(timedelta(hours=1), State.TROUBLE, id="an hour"),
    ],
)
def test_a_clock_is_held_against_the_time_of_question_and_answer(off: timedelta, state: State) -> None:
    answered = NOW + timedelta(seconds=10)
    ahead = {"clock": [str(int((answered + off).timestamp()))]}
    behind = {"clock": [str(int((NOW - off).timestamp()))]}
    assert judge.clock_check(ahead, NOW, answered).state is state
    assert judge.clock_check(behind, NOW, answered).state is state


def test_a_disk_nobody_told_of_is_unknown() -> None:
    assert judge.disk_check({}).state is State.UNKNOWN
    assert judge.disk_check({"space": ["/tmp"]}).state is State.UNKNOWN
    full = "/tmp tmpfs 1000000 1000000 0 100% /tmp"
    good = "/tmp tmpfs 1000000 0 1000000 0% /tmp"
    assert judge.disk_check({"space": [good], "inodes": [full]}).state is State.TROUBLE
    assert judge.disk_check({"space": [good], "inodes": ["/tmp tmpfs 0 0 0 - /tmp"]}).state is State.OK


def test_a_run_folder_nobody_told_of_is_unknown() -> None:
    assert judge.run_folder_check({}).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        pytest.param(
            ["Matching Defaults entries for ops on n:", "env_reset, log_input, mail_badpass"], State.TROUBLE, id="yes"
        ),
        pytest.param(["env_reset, log_input", "!log_input"], State.OK, id="taken back"),
        pytest.param(["log_input", "(ALL) NOPASSWD: NOLOG_INPUT: ALL"], State.OK, id="not for this rule"),
        pytest.param(["(ALL) NOPASSWD: LOG_INPUT: ALL"], State.TROUBLE, id="by the rule"),
        pytest.param(["env_reset, log_output"], State.OK, id="only output"),
    ],
)
def test_what_sudo_lists_is_read_as_sudo_means_it(lines: list[str], state: State) -> None:
    assert judge.sudo_check(NODE, {"sudoers": lines}).state is state


def test_what_rests_on_a_failure_names_it() -> None:
    left = not_looked_at((ok("name", ""), trouble("tcp", "", "")))
    assert [check.name for check in left] == list(ORDER[2:])
    assert {check.words for check in left} == {"not looked at because tcp failed"}
