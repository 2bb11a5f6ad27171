"""Which repositories a baseline's Sources mean: for whom, in which lists, and what the host settings allow."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.ids import BaselineName
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchSource, Refresh
from reconciler.model.patch import Index
from reconciler.model.patch_lines import PatchTable, patch_line
from reconciler.model.reading.patch_sources import why_refused, with_allowed
from reconciler.patching.doubts import HeldIndex, HeldSource, ScanEvidence, scan_doubts
from reconciler.patching.node_patches import Gone
from reconciler.patching.sources import gone_from, is_of, offered, sources_for
from tests.patching.rows import SECURITY as OWN
from tests.patching.rows import a_deb, at


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


OURS = source("deb https://mirror.example/x bookworm-security main")
WITH = PatchBaseline(name=BaselineName("ours"), operating_system=OperatingSystem.DEBIAN, sources=(OURS,))
WITHOUT = replace(WITH, sources=())
THERE = replace(OWN, source=OURS.id)
NOW = at("2025-06-02")


def test_a_source_is_the_same_with_another_login_and_another_one_elsewhere() -> None:
    def of(configuration: str) -> str:
        return source(configuration, apt=configuration.startswith("deb")).id

    assert of("deb https://a:b@mirror.example/x s main") == of("deb https://mirror.example/x s main")
    assert of("deb https://mirror.example/x s main") != of("deb https://mirror.example/y s main")
    stanza = "[ours]\nbaseurl=https://mirror.example/x\ngpgcheck=1"
    assert of(f"{stanza}\nusername=a\npassword=b") == of(f"{stanza}\nusername=c\npassword=d")
    assert of(stanza).startswith("ours-")


def test_a_version_keeps_its_source_in_its_line() -> None:
    patch = a_deb(indexes=(THERE,))
    assert PatchTable().patch(patch_line(patch)) == patch
    assert patch_line(a_deb()).count(OURS.id) == 0


def test_what_was_fetched_for_a_source_counts_for_who_names_it_and_the_nodes_own_lists_do_not() -> None:
    own, there = a_deb(version="2", indexes=(OWN,)), a_deb(version="3", indexes=(THERE,))
    others = a_deb(version="4", indexes=(replace(OWN, source="other-0123456789ab"),))
    shown = (own, there, others)
    assert offered(shown, WITH, "Debian12", {OURS.id}) == (there,)
    assert offered(shown, WITH, "Debian12", ()) == (own,), "never fetched: its own lists tell of it"
    gone = tuple(Gone(patch=one, since=NOW) for one in shown)
    assert [one.patch for one in gone_from(gone, WITH, "Debian12", {OURS.id})] == [there]
    assert [one.patch for one in gone_from(gone, WITHOUT, "Debian12", {OURS.id})] == [own]


def test_one_file_of_two_sources_is_one_version() -> None:
    second = replace(source("deb https://second.example/x bookworm-security main"), name="second")
    both = replace(WITH, sources=(OURS, second))
    elsewhere = replace(OWN, source=second.id)
    (one,) = offered((a_deb(indexes=(THERE,)), a_deb(indexes=(elsewhere,))), both, "Debian12", {OURS.id, second.id})
    assert one.indexes == (THERE, elsewhere)


HELD = HeldIndex(index=THERE, fetched=True, refreshed_at=NOW - timedelta(hours=1))
AGED = replace(HELD, refreshed_at=NOW - timedelta(hours=25))


@pytest.mark.parametrize(
    ("held", "problem", "refresh", "words"),
    [
        pytest.param(HeldSource(indexes=(HELD,)), "", Refresh.BEFORE_SCAN, "", id="it is fresh"),
        pytest.param(HeldSource(indexes=(HELD,), problem="away"), "", Refresh.BEFORE_SCAN, "", id="fresh enough"),
        pytest.param(
            HeldSource(indexes=(AGED,), problem="away"),
            "",
            Refresh.BEFORE_SCAN,
            "source ours: Debian-Security-bookworm-security: its list is more than 24 hours old, of 2025-05-31 23:00 UTC"
            " (the last try to fetch it failed: away)",
            id="it grew old",
        ),
        pytest.param(
            HeldSource(problem="away"),
            "",
            Refresh.BEFORE_SCAN,
            "source ours could not be fetched: away",
            id="never came",
        ),
        pytest.param(None, "odd", Refresh.BEFORE_SCAN, "source ours could not be fetched: odd", id="not understood"),
        pytest.param(
            None, "", Refresh.BEFORE_SCAN, "source ours was not fetched yet: nobody knows what it offers", id="yet"
        ),
        pytest.param(
            None,
            "",
            Refresh.NEVER,
            "source ours is not among the node's own apt's sources, and Refresh: never fetches none: nobody knows what it offers",
            id="never",
        ),
        pytest.param(
            HeldSource(indexes=(replace(HELD, index=replace(THERE, trusted=False)),)),
            "",
            Refresh.BEFORE_SCAN,
            "source ours: Debian-Security-bookworm-security: its signature is not verified",
            id="not signed",
        ),
    ],
)
def test_what_is_not_known_of_a_source_is_told(
    held: HeldSource | None, problem: str, refresh: Refresh, words: str
) -> None:
    evidence = ScanEvidence(
        product="Debian12",
        indexes=(replace(HELD, index=Index(repository="elsewhere", label="Debian-Security", suite="x")),),
        sources={} if held is None else {OURS.id: held},
        sources_problem=problem,
    )
    found = scan_doubts(evidence, replace(WITH, refresh=refresh), NOW)
    assert [one for one in found if "security index" not in one] == ([words] if words else [])
    assert scan_doubts(evidence, WITHOUT, NOW) == (), "whoever has no sources is not touched by theirs"
