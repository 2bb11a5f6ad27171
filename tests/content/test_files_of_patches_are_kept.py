"""Files of patches on this host: what is fetched and what goes, and what no server and no node can make of it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from threading import Event
from typing import BinaryIO

import pytest

from reconciler.content.kept_files import MISSED, Held, KeptFiles, Wanted, choose
from reconciler.content.store import Store
from reconciler.daemon.patch_files import FIRST_AGAIN, PatchFiles
from reconciler.errors import SourceError
from reconciler.patching.needed_files import FileToKeep, Need
from reconciler.settings import HostSettings
from tests.support.silent_server import silent_server
from tests.support.waiting import wait_until
from tests.support.web_server import WebServer, redirect, web_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "127.0.0.11"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def held(name: str, size: int, days_ago: float) -> Held:
    return Held(sha256=name, size=size, needed=NOW - timedelta(days=days_ago))


def wanted(name: str, size: int, need: Need = Need.PENDING) -> Wanted:
    return Wanted(sha256=name, size=size, rank=int(need))


@pytest.mark.parametrize(
    ("here", "needs", "fetched", "evicted", "left_out"),
    [
        pytest.param([], [wanted("a", 60), wanted("b", 40)], "ab", "", "", id="all of it fits"),
        pytest.param([held("a", 60, 0)], [wanted("a", 60)], "", "", "", id="what is here is not fetched again"),
        pytest.param(
            [held("x", 50, 30), held("y", 50, 60)], [wanted("a", 50)], "a", "y", "", id="longest unneeded goes first"
        ),
        pytest.param([held("x", 100, 30)], [wanted("a", 101)], "", "", "a", id="nothing goes for what never fits"),
        pytest.param(
            [held("p", 100, 0)],
            [wanted("p", 100), wanted("a", 10)],
            "",
            "",
            "a",
            id="nothing that is needed as much makes room",
        ),
        pytest.param(
            [held("p", 60, 0), held("q", 40, 0)],
            [wanted("p", 60), wanted("a", 10), wanted("q", 40, Need.APPROVED)],
            "a",
            "q",
            "",
            id="what is approved and on offer goes for what waits",
        ),
        pytest.param(
            [held("g", 60, 0), held("q", 40, 0)],
            [wanted("g", 60, Need.GONE), wanted("q", 40), wanted("a", 50)],
            "",
            "",
            "a",
            id="what no archive has stays",
        ),
        pytest.param(
            [held("x", 100, 1)],
            [wanted("a", 10, Need.APPROVED)],
            "",
            "",
            "a",
            id="what was needed a day ago may be needed by a node that did not answer",
        ),
        pytest.param([held("x", 100, 1)], [wanted("a", 10)], "a", "x", "", id="unless something waits"),
        pytest.param(
            [held("x", 80, 30), held("p", 80, 0)], [wanted("p", 80)], "", "x", "", id="a lowered cap is kept at once"
        ),
    ],
)
def test_room_is_made_by_what_is_missed_least(
    here: Sequence[Held], needs: Sequence[Wanted], fetched: str, evicted: str, left_out: str
) -> None:
    choice = choose(here, needs, most=100, now=NOW)
    assert [one.sha256 for one in choice.fetch] == list(fetched)
    assert [one.sha256 for one in choice.evict] == list(evicted)
    assert [one.sha256 for one in choice.left_out] == list(left_out)


@pytest.fixture(scope="module")
def started() -> Iterator[WebServer]:
    with web_server(HOST) as server:
        yield server


@pytest.fixture
def server(started: WebServer) -> WebServer:
    started.forget()
    return started


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Callable[..., PatchFiles]]:
    made: list[PatchFiles] = []

    def make(*, most: int = 1000, egress: str = "127.0.0.11/32") -> PatchFiles:
        settings = HostSettings(keep_patch_files=True, patch_files_bytes=most, egress=(ip_network(egress),))
        made.append(PatchFiles(tmp_path / "patch-files", settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def needs(data: bytes, *addresses: str, need: Need = Need.PENDING, size: int | None = None) -> FileToKeep:
    return FileToKeep(
        checksum=f"sha256:{digest(data)}",
        size=len(data) if size is None else size,
        name="hello.all:1.1",
        need=need,
        since=NOW,
        addresses=addresses,
    )


def keep(keeper: PatchFiles, *files: FileToKeep, at: datetime = NOW) -> tuple[str, ...]:
    """Give what two passes in a row tell."""
    told = keeper.keep(files, at)
    keeper.wait(Event())
    return told + keeper.keep(files, at)


def test_a_file_is_fetched_once_from_the_first_place_that_has_it(
    keeper: Callable[..., PatchFiles], server: WebServer, tmp_path: Path
) -> None:
    server.files |= {"/b/f": b"wrong", "/c/f": b"right"}
    files = keeper()
    one = needs(b"right", *(f"{server.url}/{place}/f" for place in "abc"))
    assert keep(files, one) == ()
    assert keep(files, one) == ()
    assert server.asked == ["GET /a/f", "GET /b/f", "GET /c/f"]
    assert files.kept() == {f"sha256:{digest(b'right')}"}
    others = Store(tmp_path / "content")
    assert files.read_or(others.read, digest(b"right")) == b"right"
    assert files.read_or(others.read, others.put(b"of a document")) == b"of a document"


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        pytest.param(b"other", None, "it is another file", id="other content"),
        pytest.param(b"right" * 1000, 5, "larger than 5 bytes", id="more than was said"),
        pytest.param(b"righ", None, "it is another file", id="cut"),
        pytest.param(None, None, "answered 404", id="gone already"),
    ],
)
def test_what_is_not_the_very_file_is_not_kept_and_told_once(
    keeper: Callable[..., PatchFiles],
    server: WebServer,
    tmp_path: Path,
    content: bytes | None,
    size: int | None,
    words: str,
) -> None:
    if content is not None:
        server.files["/f"] = content
    files = keeper()
    one = needs(b"right", f"{server.url}/f", size=size)
    (told,) = keep(files, one)
    assert words in told
    assert "hello.all:1.1" in told
    assert (files.kept(), list((tmp_path / "patch-files").glob("*/*"))) == (frozenset(), [])
    assert keep(files, one) == ()
    assert len(server.asked) == 1
    server.files["/f"] = b"right"
    assert keep(files, one, at=NOW + FIRST_AGAIN) == ()
    assert len(files.kept()) == 1


def test_a_node_leads_this_host_nowhere_it_may_not_go(keeper: Callable[..., PatchFiles], server: WebServer) -> None:
    server.files["/f"] = b"right"
    (told,) = keep(keeper(egress="10.1.2.0/24"), needs(b"right", f"{server.url}/f"))
    assert "no public address" in told
    assert server.asked == []
    server.answers["/elsewhere"] = redirect("http://127.0.0.12:1/f")
    (told,) = keep(keeper(), needs(b"right", f"{server.url}/elsewhere"))
    assert "127.0.0.12, which is no public address" in told


def test_a_full_cache_is_told_once_and_again_when_it_was_not_full_in_between(
    keeper: Callable[..., PatchFiles], server: WebServer
) -> None:
    first, second = needs(b"a" * 600, f"{server.url}/a"), needs(b"b" * 600, f"{server.url}/b")
    server.files |= {"/a": b"a" * 600, "/b": b"b" * 600}
    files = keeper()
    (told,) = keep(files, first, second)
    assert "no room (PatchFiles, MaxBytes: 1000): 1 that nodes need" in told
    assert len(files.kept()) == 1
    assert keep(keeper(), first, second) == ()  # another process
    assert keep(files, first) == ()
    assert len(keep(files, first, second)) == 1


def test_what_nobody_needs_goes_when_its_room_is_wanted_and_not_before(
    keeper: Callable[..., PatchFiles], server: WebServer
) -> None:
    first, second = needs(b"a" * 600, f"{server.url}/a"), needs(b"b" * 600, f"{server.url}/b")
    server.files |= {"/a": b"a" * 600, "/b": b"b" * 600}
    files = keeper()
    keep(files, first)
    later = datetime.now(UTC) + 2 * MISSED
    assert keep(files, at=later) == ()
    assert files.kept() == {first.checksum}
    assert keep(files, second, at=later) == ()
    assert files.kept() == {second.checksum}


def test_a_server_that_says_nothing_holds_up_no_pass_and_no_end(keeper: Callable[..., PatchFiles]) -> None:
    with silent_server(HOST) as silent:
        files = keeper()
        one = needs(b"right", f"http://{HOST}:{silent.port}/f")
        assert files.keep((one,), NOW) == ()
        wait_until(lambda: silent.waiting == 1, "it was asked")
        assert files.keep((one,), NOW) == ()
        assert (silent.met, silent.waiting) == (1, 1)
        files.close()
        wait_until(lambda: silent.waiting == 0, "nobody asks it any more")


def test_a_kept_file_that_somebody_changed_is_no_file(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path)

    def bring(into: BinaryIO) -> None:
        into.write(b"right")

    kept.put(digest(b"right"), bring)
    (path,) = tmp_path.glob("??/*")
    path.write_bytes(b"wrong")
    with pytest.raises(SourceError, match="was changed"):
        kept.read(digest(b"right"))
    assert not kept.has(digest(b"right"))
