"""Somebody sets the management host's clock back: the daemon waits no longer than its interval for it."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Event, Thread

import pytest

from reconciler.daemon import loop
from reconciler.daemon.passing import PassResult, Request
from tests.support.site import Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


def test_the_daemon_goes_on_at_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, None)
    site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 second)\n"})
    passes: list[datetime] = []

    class WallClock(datetime):
        """Shows an hour less once the second pass was made."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime will do
            return datetime.now(tz) - (timedelta(hours=1) if len(passes) > 1 else timedelta())

    monkeypatch.setattr(
        loop, "datetime", WallClock, raising=False
    )  # whoever asks for the wall clock there gets this one
    with site.controller() as controller:
        controller.clock = lambda: WallClock.now(UTC)
        one_pass = controller.one_pass

        def counted(request: Request, stop: Event | None = None) -> PassResult:
            passes.append(controller.clock())
            return one_pass(request, stop)

        monkeypatch.setattr(controller, "one_pass", counted)
        stop = Event()
        daemon = Thread(target=loop.serve, args=(controller, stop))
        daemon.start()
        try:
            wait_until(lambda: len(passes) >= 4, "two passes after the clock was set back", deadline=60)
        finally:
            stop.set()
            daemon.join()
    assert passes[-1] < passes[0]
