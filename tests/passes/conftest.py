"""Nodes for passes, and a repository that names them: for modules that have no other wishes."""

from collections.abc import Iterator

import pytest

from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.site import Site


@pytest.fixture(scope="module")
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require_nodes: None
) -> Iterator[Fleet]:
    """As many plain nodes as the module says with `NODES`; one where it says nothing."""
    with start_fleet(tmp_path_factory.mktemp("fleet"), count=getattr(request.module, "NODES", 1)) as started:
        yield started


@pytest.fixture
def node(fleet: Fleet) -> TestNode:
    """The first of them."""
    return fleet.nodes[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Site:
    """A repository of all of them in which nothing is asked for yet."""
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    return made
