"""Waits for the world, with a deadline that only a failing test meets."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], what: str, deadline: float = 60) -> None:
    """Wait until `condition` holds; `what` says of what, where it does not come to that."""
    ends = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline} s: {what}"
        time.sleep(0.05)
