"""A daemon that is told to end does so after the pass under way, in whatever moment it was told."""

import threading

from reconciler.daemon.loop import serve
from tests.support.site import Site

WAITER = "stop"
"""The thread that wakes the loop once somebody wants the end."""


class SetInBetween(threading.Event):
    """Is set right behind the first answer that it is not, as by a signal; whoever waits for it has heard of it by then."""

    def is_set(self) -> bool:
        was_set = super().is_set()
        waiters = [thread for thread in threading.enumerate() if thread.name == WAITER]
        if not was_set and waiters:
            self.set()
            waiters[0].join()
        return was_set


def test_a_word_between_two_looks_is_heard(site: Site) -> None:
    with site.controller() as controller:
        daemon = threading.Thread(target=serve, args=(controller, SetInBetween()), daemon=True)
        daemon.start()
        daemon.join(120)
        assert not daemon.is_alive()
