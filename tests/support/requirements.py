"""What a test says when this machine lacks what it needs: skipped with the reason, or failed where CI must have it."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """Skip with the reason; under REQUIRE_NODES=1, fail with it."""
    if os.environ.get("REQUIRE_NODES") == "1":
        pytest.fail(f"REQUIRE_NODES=1, but: {reason}", pytrace=False)
    pytest.skip(reason)
