"""A folder or a bucket for the whole output: SSM's limits and layout, and names that lead nowhere else."""

import sys
from pathlib import Path
from uuid import UUID

import pytest

from reconciler.commands.command import prepare
from reconciler.commands.output_place import OutputPlace, key_of, names_apart, read_place
from reconciler.commands.record import Invocation
from reconciler.commands.request import read_request
from reconciler.daemon.output_delivery import MOST_FAILURES, WORKERS, deliver, ready
from reconciler.errors import UsageError
from reconciler.ids import NodeId, RunId
from tests.commands.test_requests import NOW, a_command, a_state, typed

ID = UUID("11111111-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("action", "step", "key"),
    [
        ("aws:runShellScript", "0.aws:runShellScript", "awsrunShellScript/0.awsrunShellScript/stdout"),
        ("aws:runShellScript", "Install", "awsrunShellScript/Install/stdout"),
        ("aws:runShellScript", "..", "awsrunShellScript/_../stdout"),
        ("aws:runShellScript", "../../etc", "awsrunShellScript/.._.._etc/stdout"),
        ("aws:runShellScript", "", "awsrunShellScript/_/stdout"),
    ],
)
def test_the_layout_is_ssm_s_and_stays_below(action: str, step: str, key: str) -> None:
    place = OutputPlace(bucket="bucket", prefix="logs")
    assert key_of(place, ID, NodeId("i-0abc"), action, step, "stdout") == f"logs/{ID}/i-0abc/{key}"


@pytest.mark.parametrize(
    ("name", "prefix", "place"),
    [
        ("", "", None),
        ("my-bucket", "", OutputPlace(bucket="my-bucket")),
        ("my.bucket", "/a//b/", OutputPlace(bucket="my.bucket", prefix="a/b")),
        ("my-bucket", "year=2026/a+b(c)", OutputPlace(bucket="my-bucket", prefix="year=2026/a+b(c)")),
        ("/srv/out", "x", OutputPlace(folder=Path("/srv/out"), prefix="x")),
    ],
)
def test_what_has_a_slash_is_a_folder(name: str, prefix: str, place: OutputPlace | None) -> None:
    assert read_place(name, prefix) == place


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("ab", ""), ("A-Bucket", ""), ("x" * 64, ""), ("out/rel", ""), ("", "logs"),
        ("bucket", "../up"), ("bucket", "a/../b"), ("bucket", "x" * 501), ("bucket", "a b"), ("bucket", "a\nb"), ("bucket", "a\\b"), ("/srv", "a=1/.."), ("/srv\0/x", ""),
    ],
)  # fmt: skip
def test_what_is_neither_is_refused(name: str, prefix: str) -> None:
    with pytest.raises(UsageError):
        read_place(name, prefix)


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        (["Install", "Check"], ("Install", "Check")),
        (["four", "four", "four"], ("four", "four.2", "four.3")),
        (["four.1", "four", "four.1"], ("four.1", "four", "four.1.3")),
        (["four", "four", "four.2"], ("four", "four.2", "four.2.3")),
        (["a b", "a_b"], ("a b", "a_b.2")),
        (["x" * 200, "x" * 300], ("x" * 200, "x" * 100 + ".2")),
    ],
)
def test_no_step_s_output_stands_where_another_one_s_does(steps: list[str], names: tuple[str, ...]) -> None:
    assert names_apart([("aws:runShellScript", step) for step in steps]) == names
    assert names_apart([("aws:runShellScript", "a"), ("aws:runPowerShellScript", "a")]) == ("a", "a")


def test_two_elements_of_one_id_are_both_brought(tmp_path: Path) -> None:
    text = """\
schemaVersion: '1.2'
runtimeConfig:
  aws:runShellScript:
    properties:
      - {id: four, runCommand: ['echo first']}
      - {id: four, runCommand: ['echo second']}
"""
    state = a_state(**{"documents/Twice.yaml": text})
    request = read_request(typed(document_name="Twice", parameters=[]))
    command = prepare(request, state, command=ID, login="ann", now=NOW)
    run = RunId("0" * 64)
    for number, said in enumerate(("first", "second"), 1):
        (tmp_path / run / str(number)).mkdir(parents=True)
        (tmp_path / run / str(number) / "stdout").write_text(said)
    brought: dict[str, str] = {}

    def put(key: str, file: Path) -> None:
        brought[key] = file.read_text()

    ended = [Invocation(node=NodeId("n1"), run=run)]
    assert deliver(put, OutputPlace(bucket="bucket"), command, ended, tmp_path) == []
    below = f"{ID}/n1/awsrunShellScript"
    assert brought == {f"{below}/four/stdout": "first", f"{below}/four.2/stdout": "second"}


def test_a_bucket_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    refused = pytest.raises(UsageError, match=r"InvalidOutputFolder: .*pip install 'reconciler\[s3\]'")
    with refused, ready(OutputPlace(bucket="bucket")):
        pass


def test_a_place_that_takes_nothing_is_not_tried_for_ever(tmp_path: Path) -> None:
    place, command = OutputPlace(bucket="bucket"), a_command()
    ended = []
    for number in range(MOST_FAILURES + WORKERS + 5):
        run = RunId(f"{number:064x}")
        (tmp_path / run / "1").mkdir(parents=True)
        (tmp_path / run / "1/stdout").write_text("x")
        ended.append(Invocation(node=NodeId(f"n{number}"), run=run))
    tried: list[str] = []

    def put(key: str, _file: Path) -> None:
        tried.append(key)
        raise OSError("no route")

    *told, last = deliver(put, place, command, ended, tmp_path)
    assert MOST_FAILURES <= len(tried) == len(told) < MOST_FAILURES + WORKERS
    assert told[0].startswith("n0: its output was not brought to bucket: no route (")
    assert last == f"{len(ended) - len(tried)} further outputs were not tried after that"
