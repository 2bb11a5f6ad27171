"""What the management host's disk refuses, or gives back cut, is told in words: no traceback, and no daemon's end."""

import errno
from pathlib import Path

import pytest

from reconciler.daemon.host_errors import host_errors
from reconciler.daemon.replay import Replays
from reconciler.drift.finding import Cause
from reconciler.drift.patched import PatchBooks
from reconciler.drift.recollection import Basis
from reconciler.errors import HostError, SourceError
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.plan.plan import Plan, PlanItem
from tests.drift.builders import NOW

PLAN = Plan(
    digest=Digest("0123456789abcdef" * 4),
    commit=None,
    facts=Digest("f" * 64),
    at=NOW,
    items=(
        PlanItem(
            node=NodeId("web-01"),
            association=AssociationName("motd"),
            document="Motd:1",
            definition=Digest("d" * 64),
            rendered=Digest("e" * 64),
            run=RunId("a" * 64),
            executions=1,
            cause=Cause.PENDING,
            reason="not yet applied",
        ),
    ),
)


def kept_in(folder: Path) -> Path:
    """Keep the plan; gives its file."""
    assert Replays(folder).keep(PLAN, {}, Basis(), PatchBooks()) == ()
    (file,) = folder.iterdir()
    return file


def test_a_full_disk_ends_a_pass_in_words() -> None:
    with pytest.raises(HostError, match=r"No space left on device.*/dev/full.*twice"), host_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "/dev/full")


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(FileNotFoundError), host_errors():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")


def test_a_kept_plan_is_found_by_the_start_of_its_digest(tmp_path: Path) -> None:
    file = kept_in(tmp_path)
    found = Replays(tmp_path).find(PLAN.digest[:12])
    assert found is not None
    assert found.at == NOW
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("share", [pytest.param(share, id=f"{share} of 10") for share in range(10)])
def test_a_kept_plan_that_was_cut_counts_as_not_kept(tmp_path: Path, share: int) -> None:
    file = kept_in(tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * share // 10])
    with pytest.raises(SourceError, match=r"is not kept: .* does not read"):
        Replays(tmp_path).find(PLAN.digest)


def test_a_plan_that_finds_no_place_ends_no_pass(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    folder.write_text("a file where the folder should be")
    (told,) = Replays(folder).keep(PLAN, {}, Basis(), PatchBooks())
    assert PLAN.digest in told
    assert "is not kept" in told
    assert Replays(folder).find(PLAN.digest) is None
