"""Which repositories a baseline's Sources mean: for whom, in which lists, and what the host settings allow."""

import pytest

from reconciler.ids import BaselineName
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchSource
from reconciler.model.patch import Index
from reconciler.model.reading.patch_sources import why_refused, with_allowed
from reconciler.patching.sources import is_of, sources_for


def source(configuration: str, *products: str, apt: bool = True) -> PatchSource:
    refused = why_refused(configuration, apt=apt)
    return PatchSource(name="ours", products=products or ("*",), configuration=configuration, refused=refused)


@pytest.mark.parametrize(
    ("products", "node", "counts"),
    [
        (("*",), "Debian12", True),
        (("Debian12",), "Debian12", True),
        (("Debian",), "Debian12", False),
        (("RockyLinux9",), "RockyLinux9.4", True),
        (("RockyLinux9.3", "RockyLinux9.4"), "RockyLinux9.4", True),
        (("RockyLinux9.3",), "RockyLinux9.4", False),
    ],
)
def test_a_source_counts_on_nodes_of_its_products(products: tuple[str, ...], node: str, *, counts: bool) -> None:
    one = source("deb https://mirror.example/debian stable main", *products)
    baseline = PatchBaseline(name=BaselineName("ours"), operating_system=OperatingSystem.DEBIAN, sources=(one,))
    assert bool(sources_for(baseline, node)) is counts


SECURITY = Index(
    repository="mirror.example:8443", suite="stable-security", codename="bookworm-security", component="main"
)


@pytest.mark.parametrize(
    ("configuration", "index", "is_its_own"),
    [
        ("deb https://mirror.example:8443/x bookworm-security contrib main", SECURITY, True),
        ("deb [arch=amd64 signed-by=/k] https://mirror.example:8443/x stable-security main", SECURITY, True),
        ("deb https://user:secret@mirror.example:8443/x stable-security main", SECURITY, True),
        ("deb https://mirror.example/x bookworm-security main", SECURITY, False),
        ("deb https://mirror.example:8443/x bookworm main", SECURITY, False),
        ("deb https://mirror.example:8443/x bookworm-security contrib", SECURITY, False),
        ("deb file:/srv/x bookworm main", Index(repository="file:", codename="bookworm", component="main"), True),
        ("[ours]\nbaseurl=https://x\ngpgcheck=1", Index(repository="ours"), True),
        ("[ours]\nbaseurl=https://x\ngpgcheck=1", Index(repository="theirs"), False),
    ],
)
def test_a_list_is_told_from_others_by_site_suite_and_component(
    configuration: str, index: Index, *, is_its_own: bool
) -> None:
    assert is_of(index, source(configuration)) is is_its_own


@pytest.mark.parametrize(
    ("configuration", "allowed", "is_used"),
    [
        ("deb https://mirror.example/x stable main", (), True),
        ("deb http://mirror.example/x stable main", (), False),
        ("deb http://mirror.example/x stable main", ("http://mirror.example",), True),
        ("deb http://mirror.example/x stable main", ("http://mirror.example/x/",), True),
        ("deb http://mirror.example/xyz stable main", ("http://mirror.example/x",), False),
        ("deb http://mirror.example.evil.example/x stable main", ("http://mirror.example",), False),
        ("deb [trusted=yes] file:/srv/x stable main", ("file:/srv/x",), True),
        ("[a]\nbaseurl=http://one.example/a\n http://two.example/a", ("http://one.example",), False),
        ("[a]\nmetalink=http://one.example/a\nbaseurl=http://one.example/b", ("http://one.example",), True),
        ("[a]\nname=nothing to fetch", ("http://one.example",), False),
    ],
)
def test_what_is_refused_is_used_where_every_address_of_it_is_allowed(
    configuration: str, allowed: tuple[str, ...], *, is_used: bool
) -> None:
    one = with_allowed(source(configuration, apt=configuration.startswith("deb")), allowed)
    assert (one.refused == "") is is_used
