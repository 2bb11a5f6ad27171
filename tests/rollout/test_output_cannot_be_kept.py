"""The management host's disk takes no more output: that is told with the run, which goes on, and what fits later is fetched."""

from datetime import UTC, datetime
from pathlib import Path

from reconciler.drift.finding import Cause
from reconciler.ids import AssociationName, Digest, FleetId, NodeId, RunId
from reconciler.model.history import RunStatus
from reconciler.rollout.manifest import Manifest
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.record import SUMMARY_LIMIT, record_of
from reconciler.rollout.sight import Piece, Sight, Standing, StepSight

RUN = RunId("a" * 64)
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MANIFEST = Manifest(
    run=RUN,
    fleet=FleetId("example"),
    node=NodeId("web-01"),
    association=AssociationName("motd"),
    definition=Digest("d" * 64),
    rendered=Digest("e" * 64),
    executions=1,
    cause=Cause.PENDING,
    epoch=1,
    started=NOW,
    steps=("write",),
)
ENDED = Sight(
    standing=Standing.ENDED,
    status="Success",
    exit_code=0,
    body_may_have_run=True,
    steps=(StepSight(number=1, status="Success", exit_code=0),),
)


def a_full_disk(folder: Path) -> Path:
    """Make the place of the first step's stdout one that takes nothing: a real ENOSPC, of the kernel's own device."""
    place = folder / RUN / "1" / "stdout"
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/full")
    return place


def test_a_full_disk_is_told_with_the_run(tmp_path: Path) -> None:
    a_full_disk(tmp_path)
    keeper = OutputKeeper(tmp_path)
    assert not keeper.keep(RUN, [Piece(step=1, kind="out", offset=0, content=b"much")])
    record = record_of(MANIFEST, ENDED, keeper, NOW)
    assert record is not None
    assert record.status is RunStatus.SUCCESS
    assert record.unkept == "No space left on device"
    assert record.detail.endswith("could not be kept on the management host: No space left on device")
    assert len(record.detail) <= SUMMARY_LIMIT


def test_what_fits_later_is_kept_and_nothing_is_told_any_more(tmp_path: Path) -> None:
    place = a_full_disk(tmp_path)
    heard: list[bytes] = []
    keeper = OutputKeeper(tmp_path, lambda _run, piece: heard.append(piece.content))
    piece = Piece(step=1, kind="out", offset=0, content=b"much")
    assert not keeper.keep(RUN, [piece])
    assert heard == []
    place.unlink()
    assert keeper.keep(RUN, [piece])
    assert (place.read_bytes(), heard, keeper.unkept(RUN)) == (b"much", [b"much"], "")


def test_a_disk_without_room_for_a_folder_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    keeper = OutputKeeper(tmp_path / "runs")
    assert not keeper.keep(RUN, [Piece(step=1, kind="out", offset=0, content=b"much")])
    assert keeper.unkept(RUN)
