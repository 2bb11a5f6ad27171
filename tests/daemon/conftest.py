from pathlib import Path

import pytest

from tests.support.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose fleet has no nodes."""
    made = Site(tmp_path, None)
    made.commit({"state/fleet.yaml": "Fleet: example\n"})
    return made
