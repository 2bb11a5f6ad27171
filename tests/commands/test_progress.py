"""What is known of a command under way: an invocation goes on and never back, whatever comes late from another thread."""

from datetime import UTC, datetime

import pytest

from reconciler.commands.progress import Progress
from reconciler.commands.record import Invocation, StepRecord
from reconciler.commands.statuses import Detail
from reconciler.ids import NodeId, RunId

NODE = NodeId("web-01")
SEEN = Invocation(
    node=NODE,
    detail=Detail.IN_PROGRESS,
    reason="started",
    run=RunId("1" * 64),
    started=datetime(2026, 9, 1, tzinfo=UTC),
    steps=(StepRecord(name="a", status="InProgress", exit_code=-1),),
)


def an(detail: Detail, reason: str = "") -> Invocation:
    return Invocation(node=NODE, detail=detail, reason=reason)


@pytest.mark.parametrize(
    ("words", "detail", "reason", "steps"),
    [
        pytest.param([an(Detail.DELAYED, "away"), an(Detail.DELAYED, "busy")], Detail.DELAYED, "busy", 0, id="the last word"),
        pytest.param([SEEN, an(Detail.DELAYED, "away")], Detail.IN_PROGRESS, "started", 1, id="a late word of before it began"),
        pytest.param([an(Detail.IN_PROGRESS), SEEN], Detail.IN_PROGRESS, "started", 1, id="its steps"),
        pytest.param([SEEN, an(Detail.IN_PROGRESS, "started")], Detail.IN_PROGRESS, "started", 1, id="a late word that it began"),
        pytest.param([SEEN, an(Detail.CANCELLING, "waiting for dpkg")], Detail.CANCELLING, "waiting for dpkg", 1, id="a cancel"),
        pytest.param([an(Detail.CANCELLING, "asked"), SEEN], Detail.CANCELLING, "asked", 1, id="steps while it is cancelled"),
        pytest.param([SEEN, an(Detail.FAILED, "no"), SEEN], Detail.FAILED, "no", 0, id="a look that comes after the end"),
        pytest.param([an(Detail.CANCELLED, "no"), an(Detail.SUCCESS)], Detail.CANCELLED, "no", 0, id="an end is one"),
    ],
)  # fmt: skip
def test_an_invocation_never_goes_back(words: list[Invocation], detail: Detail, reason: str, steps: int) -> None:
    progress = Progress()
    for word in words:
        progress.note(word)
    (found,) = progress.take() or ()
    assert (found.detail, found.reason, len(found.steps)) == (detail, reason, steps)
    progress.note(found)
    assert progress.take() is None, "nothing new"
