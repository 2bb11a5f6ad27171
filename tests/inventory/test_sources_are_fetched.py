"""Repositories that a baseline names, fetched beside a real node's own: what comes of them, what it costs, and what it leaves alone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.inventory.collect import Collected
from reconciler.inventory.metadata_refresh import refresh
from reconciler.inventory.source_refresh import FOLDER
from reconciler.model.known import Known
from reconciler.model.patch import Patch
from reconciler.model.patch_lines import PatchTable
from reconciler.model.questions import WantedSource
from tests.inventory.patch_site import ASKED, Site, offers, rows, unknown
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import start_fleet

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

LINE = "deb [trusted=yes] file:/srv/aside ours main"
OURS = WantedSource(id="ours-0123456789ab", configuration=LINE)
AWAY = WantedSource(id="away-0123456789ab", configuration="deb [trusted=yes] http://me:hidden@127.0.0.1:9/x it main")
BOTH = replace(ASKED, sources=(AWAY, OURS))
HOOK = (
    'APT::Update::Post-Invoke {"echo x >>/var/hooked";};\nAPT::Update::Post-Invoke-Success {"echo x >>/var/hooked";};\n'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sources")
    own, aside = AptRepository(folder / "apt"), AptRepository(folder / "aside")
    own.publish("bookworm", [Package(name="hello", version="1.0")])
    newer = Package(name="hello", version="1.1", fields={"Depends": "hello-data"})
    aside.publish("ours", [newer, Package(name="hello-data", version="1"), Package(name="other", version="1")])
    with start_fleet(folder / "fleet", 1) as fleet:
        site = Site(fleet, fleet.nodes[0])
        aside.install_into(site.on_disk.root)
        site.sh("mv /srv/apt /srv/aside")
        own.install_into(site.on_disk.root)
        site.sh("apt-get -q update; apt-get -qy install hello=1.0")
        (site.on_disk.root / "etc/apt/apt.conf.d/99hook").write_text(HOOK)
        yield site


@pytest.fixture(autouse=True)
def no_connection_is_left(site: Site) -> Iterator[None]:
    site.open()
    yield
    site.pool.close()


def sourced(found: Collected, row: str) -> list[Patch]:
    lines = rows(found, "source_offers").get(row, [])
    assert isinstance(lines, list)
    table = PatchTable()
    return [table.patch(str(line)) for line in lines]


def test_a_source_is_fetched_beside_the_nodes_own_lists_and_told_by_itself(site: Site) -> None:
    settings = "find /etc/apt /var/lib/apt/lists -type f -exec cksum {} +; ls /var/lib/apt/lists"
    before = site.sh(settings)
    with site.pool.connect(site.node) as session:
        came = refresh(session, site.node, sources=BOTH.sources)
    assert isinstance(came, Known)
    assert came.value.is_whole, "what came of sources is told by themselves"
    assert site.sh(settings) == before
    found = site.look(asked=BOTH)
    own = [patch.version for patch in offers(found, "hello.all")]
    assert own == ["1.0"]
    (newer,) = sourced(found, "hello.all")
    (index,) = newer.indexes
    assert (newer.version, index.source, index.codename, index.trusted) == ("1.1", OURS.id, "ours", True)
    assert [patch.version for patch in sourced(found, "hello-data.all")] == ["1"]
    assert sourced(found, "other.all") == [], "what is not installed is of no interest"
    told = rows(found, "sources")
    (key,) = (key for key in told if key.startswith("ours-") and key.endswith("amd64"))
    assert told[key] == {
        "origin": "Debian",
        "label": "Debian",
        "suite": "stable",
        "codename": "ours",
        "component": "main",
        "trusted": True,
        "fetched": True,
        "release": "_srv_aside_dists_ours_",
    }
    times = rows(found, "source_times")
    ours, away = times[OURS.id], times[AWAY.id]
    assert isinstance(ours, dict)
    assert isinstance(away, dict)
    assert ours["fetched"] == ours["tried"] is not None
    assert ours["problem"] is None
    assert away["fetched"] is None
    assert "127.0.0.1" in away["problem"]
    assert not any(isinstance(row, dict) and row["fetched"] for key, row in told.items() if key.startswith("away-"))


def test_no_login_stays_on_the_node_or_is_told(site: Site) -> None:
    found = site.look(asked=BOTH)
    assert "hidden" not in repr(found.facts)
    assert site.sh(f"grep -r hidden {FOLDER} || :") == ""
    assert site.sh(f"stat -c %a {FOLDER}").strip() == "700"
    assert "hidden" not in repr(BOTH)


def test_hooks_of_the_nodes_own_updates_are_for_those_alone(site: Site) -> None:
    site.sh("rm -f /var/hooked")
    with site.pool.connect(site.node) as session:
        refresh(session, site.node)
        own = site.sh("cat /var/hooked; rm /var/hooked")
        refresh(session, site.node, sources=BOTH.sources)
    assert site.sh("cat /var/hooked") == own != ""


def test_an_unchanged_node_answers_less_than_a_kilobyte_in_one_round_trip(site: Site) -> None:
    full = site.look(asked=BOTH)
    again = site.look(full, asked=BOTH)
    (answer,) = site.answers
    assert len(answer.stdout) < 1024, answer.stdout.decode()
    assert again.facts.sections["source_offers"] is full.facts.sections["source_offers"]
    # A refresh that finds nothing new moves times, and nothing is computed anew.
    with site.pool.connect(site.node) as session:
        refresh(session, site.node, sources=BOTH.sources)
    site.look(again, asked=BOTH)
    (answer,) = site.answers
    assert b" at.source_offers " not in answer.stdout
    assert b" at.sources " in answer.stdout


def test_another_set_of_sources_is_told_anew_and_none_is_not_asked_about(site: Site) -> None:
    full = site.look(asked=BOTH)
    fewer = site.look(full, asked=replace(ASKED, sources=(AWAY,)))
    assert sourced(fewer, "hello.all") == []
    none = site.look(fewer, asked=ASKED)
    assert "source_offers" not in none.facts.sections
    assert "sources" not in none.facts.sections


def test_what_is_installed_since_is_looked_at(site: Site) -> None:
    full = site.look(asked=BOTH)
    site.sh("cp /srv/aside/pool/main/other_1_all.deb /tmp; dpkg -i /tmp/other_1_all.deb")
    assert [patch.version for patch in sourced(site.look(full, asked=BOTH), "other.all")] == ["1"]
    site.sh("dpkg -P other")


def test_a_source_whose_list_is_broken_costs_the_sources_and_nothing_else(site: Site) -> None:
    site.sh(
        f"cd {FOLDER}/{OURS.id}/lists && for f in *Packages*; do cp -L $f /tmp/kept; rm $f; echo odd >$f; done; touch ../index"
    )
    found = site.look(asked=BOTH)
    assert "a list of packages could not be read to its end" in unknown(found, "source_offers")
    assert OURS.id in unknown(found, "source_offers")
    assert [patch.version for patch in offers(found, "hello.all")] == ["1.0"]
    site.sh(f"rm -r {FOLDER}/{OURS.id}")
    with site.pool.connect(site.node) as session:
        refresh(session, site.node, sources=BOTH.sources)
    assert [patch.version for patch in sourced(site.look(asked=BOTH), "hello.all")] == ["1.1"]


def test_a_source_that_nobody_names_any_more_is_taken_away(site: Site) -> None:
    site.sh(f"touch -d '15 days ago' {FOLDER}/{AWAY.id}")
    with site.pool.connect(site.node) as session:
        refresh(session, site.node)
    assert site.sh(f"ls {FOLDER}").split() == ["lock", OURS.id]


def test_a_folder_that_is_not_roots_alone_is_left_alone(site: Site) -> None:
    site.sh(f"mv {FOLDER} /root/aside; mkdir /tmp/theirs; chmod 777 /tmp/theirs; ln -s /tmp/theirs {FOLDER}")
    with site.pool.connect(site.node) as session:
        refresh(session, site.node, sources=BOTH.sources)
    assert site.sh("ls /tmp/theirs") == ""
    assert rows(site.look(asked=BOTH), "sources") == {}
    site.sh(f"rm {FOLDER}; mv /root/aside {FOLDER}")


def test_signatures_count_as_for_the_nodes_own_repositories(site: Site) -> None:
    unsigned = WantedSource(id="unsigned-0123456789ab", configuration=LINE.replace("[trusted=yes] ", ""))
    asked = replace(ASKED, sources=(unsigned,))
    with site.pool.connect(site.node) as session:
        refresh(session, site.node, sources=asked.sources)
    found = site.look(asked=asked)
    assert sourced(found, "hello.all") == []
    row = rows(found, "source_times")[unsigned.id]
    assert isinstance(row, dict)
    assert row["fetched"] is None
    assert "is not signed" in row["problem"]
