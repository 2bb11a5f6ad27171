"""The cache in the manager's state folder: what it gives back, and that nothing it holds can do harm."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import NodeUnreachable
from reconciler.ids import NodeId
from reconciler.inventory import cache as cache_module
from reconciler.inventory.cache import Cache
from reconciler.inventory.canonical import read_canonical
from reconciler.inventory.collect import Collected, unreachable
from reconciler.inventory.observed import Facts
from reconciler.model.known import Known, Unknown
from tests.inventory.asking import NOON

NODE = NodeId("web-01")
ANSWERED = Collected(
    facts=Facts(
        node=NODE,
        sections={
            "packages": Known({"nginx": "1.22 amd64"}),
            "markers": Known({"motd": '{"n":1}'}),
            "identity": Known({"hostname": "web-01", "boot_id": "b"}),
            "clock": Known({"epoch": 1}),
            "services": Unknown("bus is down"),
            "holds": Known({}),
        },
    ),
    fingerprints={"packages": "81a4 status\n", "markers": "41c0 markers\n"},
    digests={},
    read_at=dict.fromkeys(("packages", "markers", "identity", "clock", "services", "holds"), NOON),
    collected_at=NOON,
    host_key="ssh-ed25519 AAAA",
    skew_seconds=1.5,
)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_cold_process_knows_what_nodes_last_said(tmp_path: Path) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    found = Cache(tmp_path).load()[NODE]
    assert found.fingerprints == ANSWERED.fingerprints
    assert found.host_key == ANSWERED.host_key
    assert found.collected_at == NOON
    assert found.read_at["packages"] == NOON
    assert found.facts.sections["packages"] == ANSWERED.facts.sections["packages"]
    assert found.facts.sections["markers"] == ANSWERED.facts.sections["markers"]
    assert found.facts.sections["services"] == Unknown("bus is down")


def test_what_is_volatile_is_not_given_back_as_if_it_were_known(tmp_path: Path) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    found = Cache(tmp_path).load()[NODE]
    assert "clock" not in found.facts.sections
    assert "identity" not in found.facts.sections


def test_an_unchanged_node_is_not_written_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    path.unlink()
    cache.save({NODE: replace(ANSWERED, collected_at=NOON + timedelta(minutes=10), skew_seconds=2.0)})
    assert files(tmp_path) == []
    cache.save({NODE: replace(ANSWERED, fingerprints={"packages": "other\n"})})
    assert files(tmp_path) == [path]


def test_a_node_that_did_not_answer_keeps_its_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.save({NODE: ANSWERED})
    cache.save({NODE: unreachable(NODE, NodeUnreachable(NODE, "refused"), ANSWERED, NOON)})
    assert Cache(tmp_path).load()[NODE].facts.unreachable is None


def test_a_node_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.save({NODE: ANSWERED})
    cache.save({})
    assert files(tmp_path) == []


@pytest.mark.parametrize("keep", [0, 1, 30, -1, -30])
def test_a_cut_file_is_as_good_as_none(tmp_path: Path, keep: int) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert Cache(tmp_path).load() == {}


@pytest.mark.parametrize(
    "content",
    [b"null\n{\n}\n", b"[]\n", b"{}\n{\n}\n", b"\0" * 4096, b'{"version":"1","node":"web-01","checksum":"x"}\n'],
)
def test_a_file_that_is_not_ours_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    path.write_bytes(content)
    assert Cache(tmp_path).load() == {}


@pytest.mark.parametrize("rows", [5, "abc", None, [["a"]]])
def test_rows_that_no_pass_wrote_are_as_good_as_none(tmp_path: Path, rows: object) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    line, _, body = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    assert "markers" in header["volatile"]
    path.write_bytes(json.dumps(header | {"volatile": {"markers": rows}}).encode() + b"\n" + body)
    assert Cache(tmp_path).load() == {}


def test_rows_whose_names_somebody_wrote_otherwise_are_kept(tmp_path: Path) -> None:
    facts = read_canonical(NODE, b'{\n"markers/\\u0061": 1\n}\n')
    Cache(tmp_path).save({NODE: replace(ANSWERED, facts=facts)})
    assert Cache(tmp_path).load()[NODE].facts.sections["markers"] == Known({"a": 1})


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"1.22 amd64", b"1.23 amd64"))
    assert Cache(tmp_path).load() == {}


def test_another_version_of_the_program_asks_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    monkeypatch.setattr(cache_module, "VERSION", "another")
    assert Cache(tmp_path).load() == {}


def test_a_file_under_another_node_s_name_is_not_believed(tmp_path: Path) -> None:
    Cache(tmp_path).save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    path.rename(path.with_name("db-01.json"))
    assert Cache(tmp_path).load() == {}


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    cache = Cache(tmp_path / "taken")
    cache.save({NODE: ANSWERED})
    assert cache.load() == {}


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    Cache(tmp_path / "facts").save({NODE: ANSWERED})
    (path,) = files(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
