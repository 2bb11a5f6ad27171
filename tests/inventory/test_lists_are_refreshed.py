"""Refreshing a node's lists before it is asked: when it is due, what apt's answers mean, and a real node that does it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.ids import NodeId
from reconciler.inventory.collect import collect
from reconciler.inventory.metadata_refresh import Refreshed, is_due, read_update, refresh
from reconciler.model.baseline import Refresh
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Become, Node
from reconciler.model.questions import Questions
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, TestNode, start_fleet

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
YOUNG, OLD = "2026-03-01T00:00:00Z", "2026-02-28T11:59:59Z"
LISTED = {"*": {"tried": YOUNG}, "one_": {"date": OLD, "valid_until": None, "fetched": YOUNG}}


@pytest.mark.parametrize(
    ("policy", "metadata", "due"),
    [
        pytest.param(Refresh.NEVER, Unknown("never read"), False, id="never, whatever is known"),
        pytest.param(Refresh.BEFORE_SCAN, Known(LISTED), True, id="before each scan"),
        pytest.param(Refresh.MAX_AGE, Known(LISTED), False, id="young enough, though its publisher's date is old"),
        pytest.param(Refresh.MAX_AGE, Known({**LISTED, "two_": {"fetched": OLD}}), True, id="one of them is too old"),
        pytest.param(Refresh.MAX_AGE, Known({**LISTED, "two_": {"fetched": None}}), True, id="one never came"),
        pytest.param(Refresh.MAX_AGE, Known({**LISTED, "two_": {"fetched": "?"}}), True, id="one whose time is none"),
        pytest.param(Refresh.MAX_AGE, Known({"*": {"tried": YOUNG}}), True, id="there is none at all"),
        pytest.param(Refresh.MAX_AGE, Unknown("never read"), True, id="nobody knows how old"),
    ],
)
def test_a_refresh_is_due_by_its_policy(
    policy: Refresh, metadata: Observed[Mapping[str, JsonValue]], *, due: bool
) -> None:
    assert is_due(policy, metadata, now=NOON, longest=DAY) is due


HIT = """status 0
Hit:1 http://deb.files.test/debian bookworm InRelease
Get:2 http://deb.files.test/debian-security bookworm-security InRelease [34.8 kB]
Get:3 http://deb.files.test/debian-security bookworm-security/main amd64 Packages [306 kB]
Fetched 341 kB in 1s (400 kB/s)
Reading package lists..."""
PARTIAL = """status 100
Hit:1 http://deb.files.test/debian bookworm InRelease
Err:2 http://me:secret@apt.example.org/x stable InRelease
  Could not connect to apt.example.org:80 (192.0.2.1), connection timed out
Reading package lists...
E: Failed to fetch http://me:secret@apt.example.org/x/dists/stable/InRelease  Could not connect to apt.example.org:80
E: Some index files failed to download. They have been ignored, or old ones used instead."""
OLDER_APT = PARTIAL.replace("status 100", "status 0").replace("E: ", "W: ")
EXPIRED = """status 100
Get:1 http://deb.files.test/debian-security bookworm-security InRelease [34.8 kB]
Reading package lists...
E: Release file for http://deb.files.test/debian-security/dists/bookworm-security/InRelease is expired (invalid since 3d)."""
LOCKED = """status 100
Reading package lists...
E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)
E: Unable to lock directory /var/lib/apt/lists/"""
SLASHES = """status 0
Hit:1 http://a.example/debian-security buster/updates InRelease
Get:2 http://a.example/debian-security buster/updates/main amd64 Packages [1 kB]
Ign:3 http://b.example ./ InRelease
Get:4 http://b.example ./ Release [1 kB]
Err:5 http://b.example ./ Packages
  404  Not Found"""
DEBIAN, SECURITY = "http://deb.files.test/debian bookworm", "http://deb.files.test/debian-security bookworm-security"
TIMED_OUT = "Could not connect to apt.example.org:80 (192.0.2.1), connection timed out"


@pytest.mark.parametrize(
    ("text", "archives", "problem"),
    [
        pytest.param(HIT, {DEBIAN: None, SECURITY: None}, None, id="all refreshed"),
        pytest.param(PARTIAL, {DEBIAN: None, "http://apt.example.org/x stable": TIMED_OUT}, None, id="one is away"),
        pytest.param(
            OLDER_APT, {DEBIAN: None, "http://apt.example.org/x stable": TIMED_OUT}, None, id="and apt calls it 0"
        ),
        pytest.param(
            EXPIRED,
            {SECURITY: f"Release file for {SECURITY.replace(' ', '/dists/')}/InRelease is expired (invalid since 3d)."},
            None,
            id="its publisher's date is over",
        ),
        pytest.param(
            LOCKED,
            {},
            "Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get); "
            "Unable to lock directory /var/lib/apt/lists/",
            id="somebody holds the lock",
        ),
        pytest.param(
            SLASHES,
            {"http://a.example/debian-security buster/updates": None, "http://b.example ./": "404  Not Found"},
            None,
            id="suites with slashes",
        ),
        pytest.param("status 139\n", {}, "apt-get update ended with exit status 139", id="apt crashed"),
    ],
)
def test_what_apt_says_is_told_of_each_archive(text: str, archives: dict[str, str | None], problem: str | None) -> None:
    found = read_update(text)
    assert found == Refreshed(archives=archives, problem=problem)
    assert found.is_whole is (text == HIT)


AWAY = "Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried"
DNF = f"""dnf status 0
baseos
extras
--
Rocky Linux 9 - BaseOS                          1.9 MB/s | 2.0 kB     00:00
Errors during downloading metadata for repository 'extras':
  - Curl error (6): Could not resolve hostname for https://mirror.example/repodata/repomd.xml
Error: Failed to download metadata for repo 'extras': {AWAY}
Ignoring repositories: extras
Metadata cache created."""
DNF_LOCKED = """dnf status 200
baseos
--
metadata already locked by 985
  The application with PID 985 is: dnf-automatic
    Memory : 1.7 M RSS (2.9 MB VSZ)"""
ZYPPER = """zypp
repo-oss
repo-update
--
repo 0 repo-oss
Repository 'Main' is up to date.
Specified repositories have been refreshed.
repo 4 repo-update
Problem retrieving files from 'Update' at http://me:secret@mirror.example/x.
Could not refresh the repositories because of errors."""
ZYPPER_LOCKED = """zypp
repo-oss
repo-update
--
repo 7 repo-oss
System management is locked by the application with pid 369 (/usr/bin/zypper).
Close this application before trying again."""


@pytest.mark.parametrize(
    ("text", "archives", "problem"),
    [
        pytest.param(DNF, {"baseos": None, "extras": AWAY}, None, id="dnf: one is away"),
        pytest.param(
            DNF.replace("status 0", "status 1").replace("repo 'extras'", "repo 'other'").replace(": extras", ": other"),
            {},
            "dnf makecache ended with exit status 1: Metadata cache created.",
            id="dnf fails with nobody named",
        ),
        pytest.param(
            DNF_LOCKED, {}, "metadata already locked by 985 (dnf-automatic)", id="dnf: somebody holds the lock"
        ),
        pytest.param(
            ZYPPER,
            {"repo-oss": None, "repo-update": "Problem retrieving files from 'Update' at http://mirror.example/x."},
            None,
            id="zypper: one is away",
        ),
        pytest.param(
            ZYPPER.partition("\nrepo 4")[0],
            {"repo-oss": None, "repo-update": "it was not asked"},
            None,
            id="zypper: one was not asked",
        ),
        pytest.param(
            ZYPPER_LOCKED,
            {},
            "System management is locked by the application with pid 369 (/usr/bin/zypper).",
            id="zypper: somebody holds the lock",
        ),
    ],
)
def test_what_dnf_and_zypper_say_is_told_of_each_repository(
    text: str, archives: dict[str, str | None], problem: str | None
) -> None:
    assert read_update(text) == Refreshed(archives=archives, problem=problem)


HOLD = """
use Fcntl; $| = 1;
open(my $file, '>>', '/var/lib/apt/lists/lock') or die;
my $how = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLK, $how) or die $!;
print "held\\n"; sleep $ARGV[0];
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("refresh")
    repository = AptRepository(folder / "apt")
    repository.publish("bookworm", [Package(name="hello", version="1.0")])
    with start_fleet(folder / "fleet", 1) as fleet:
        repository.install_into(fleet.nodes[0].root)
        (fleet.nodes[0].root / "root/hold.pl").write_text(HOLD, encoding="ascii")
        yield fleet


@pytest.fixture
def here(fleet: Fleet) -> Iterator[tuple[TestNode, Node, ConnectionPool]]:
    one = fleet.nodes[0]
    node = Node(
        id=NodeId(one.name),
        address=one.address,
        port=one.port,
        user=one.user,
        identity_file=fleet.identity_file.name,
        become=Become.SUDO,
    )
    keys = fleet.identity_file.parent
    pool = ConnectionPool(known_hosts=parse(fleet.known_hosts), nodes={node.id: node}, key_directory=keys)
    yield one, node, pool
    pool.close()


def hold(one: TestNode, seconds: int) -> None:
    begin = (
        f"rm -f /root/held; perl /root/hold.pl {seconds} >/root/held 2>&1 & until [ -s /root/held ]; do sleep 0.1; done"
    )
    one.run(["sh", "-ec", begin])


def test_a_real_node_is_refreshed_before_it_is_asked(here: tuple[TestNode, Node, ConnectionPool]) -> None:
    one, node, pool = here
    asked = Questions(patches=True, refresh=True, ports=(), mounts=False)
    first = collect([node], {node.id: asked}, pool.connect)[node.id]
    came = first.facts.section("refreshed")
    assert isinstance(came, Known)
    assert {**came.value, "@": None} == {"*": None, "file:/srv/apt bookworm": None, "@": None}
    fetched = first.facts.get("repositories", "file: bookworm/main amd64")
    assert isinstance(fetched, Known)
    assert isinstance(fetched.value, dict)
    assert fetched.value["fetched"] is True
    sources = one.root / "etc/apt/sources.list"
    kept = sources.read_text()
    sources.write_text(f"{kept}deb [trusted=yes] file:/srv/nowhere bookworm main\n")
    second = collect([node], {node.id: asked}, pool.connect, before={node.id: first})[node.id]
    sources.write_text(kept)
    told = second.facts.section("refreshed")
    assert isinstance(told, Known)
    assert told.value["file:/srv/apt bookworm"] is None
    assert "File not found" in str(told.value["file:/srv/nowhere bookworm"])
    plain = collect([node], {node.id: Questions(patches=True)}, pool.connect, before={node.id: second})[node.id]
    assert plain.facts.section("refreshed") == told


def test_a_lock_is_waited_for_and_its_holder_named(here: tuple[TestNode, Node, ConnectionPool]) -> None:
    one, node, pool = here
    with pool.connect(node) as session:
        hold(one, 600)
        held = refresh(session, node, wait=timedelta(0))
        assert isinstance(held, Known)
        assert held.value.problem is not None
        assert "/var/lib/apt/lists/lock. It is held by process" in held.value.problem
        assert "(perl)" in held.value.problem
        one.run(
            [
                "sh",
                "-ec",
                "for p in /proc/[0-9]*; do read -r n <$p/comm && [ $n = perl ] && kill ${p#/proc/}; done; true",
            ]
        )
        hold(one, 3)
        freed = refresh(session, node, wait=timedelta(seconds=60))
        assert isinstance(freed, Known)
        assert freed.value.is_whole


def test_without_root_nothing_is_tried(here: tuple[TestNode, Node, ConnectionPool]) -> None:
    _, node, pool = here
    with pool.connect(node) as session:
        found = refresh(session, replace(node, become=Become.NONE))
    assert found == Unknown("only root may refresh the lists: the node has no Become")
