"""A server that says nothing: what is on others is looked at meanwhile, and what comes late counts the next time."""

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path

import pytest

from reconciler.content.egress import Egress
from reconciler.content.fetches import OF_A_SERVER, Fetches
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.resolve import Resolver
from reconciler.content.store import Store
from reconciler.documents.content import Content, GitSource, HttpSource, Source, Unavailable
from tests.support.silent_server import SilentServer, silent_server
from tests.support.waiting import wait_until
from tests.support.web_server import WebServer, reply, web_server

HOST, SILENT = "127.0.0.5", "127.0.0.6"
EGRESS = Egress(allowed=(ip_network("127.0.0.0/8"),))
PATIENCE = 1.0
LONG = 100.0


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server(HOST) as started:
        started.files["/file"] = b"content"
        yield started


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with silent_server(SILENT) as started:
        yield started


@pytest.fixture
def fetches() -> Iterator[Fetches]:
    with closing(Fetches()) as made:
        yield made


def resolver(folder: Path, fetches: Fetches, patience: float | None = PATIENCE) -> Resolver:
    return Resolver(Store(folder / "store"), EGRESS, HostSecrets(known={}), fetches=fetches, patience=patience)


def look(where: Resolver, *sources: Source) -> list[Content | Unavailable | None]:
    where.look(sources)
    return [where.contents.find(source) for source in sources]


def web(server: WebServer, path: str = "/file") -> HttpSource:
    return HttpSource(url=f"{server.url}{path}", insecure=True)


def hanging(silent: SilentServer, number: int) -> list[Source]:
    """Give sources of each kind that say nothing."""
    made: list[Source] = []
    for one in range(number):
        made += [
            GitSource(repository=f"https://{SILENT}:{silent.port}/{one}.git"),
            HttpSource(url=f"http://{SILENT}:{silent.port}/{one}", insecure=True),
        ]
    return made


def gated(server: WebServer, path: str) -> threading.Event:
    """Have the server answer for `path` when it may; its content is how often it was asked."""
    gate, asked = threading.Event(), iter(range(1, 100))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = str(next(asked)).encode()
        gate.wait(60)
        reply(handler, 200, body)

    server.answers[path] = answer
    return gate


def read(where: Resolver, found: Content | Unavailable | None) -> bytes:
    assert isinstance(found, Content), found
    return where.contents.read(found.files[0].sha256)


def test_other_servers_are_asked_while_one_says_nothing(
    server: WebServer, silent: SilentServer, fetches: Fetches, tmp_path: Path
) -> None:
    """However many sources of the silent one come first; those that have no turn yet take nobody else's."""
    sources = [*hanging(silent, 2 * OF_A_SERVER), web(server)]

    def looked() -> list[Content | Unavailable | None]:
        return look(resolver(tmp_path, fetches), *sources)

    wait_until(
        lambda: isinstance(looked()[-1], Content), "the other one is known"
    )  # in the first look, or the machine is slow
    wait_until(lambda: silent.waiting == OF_A_SERVER, "four fetches wait")
    for each in looked()[:-1]:
        assert isinstance(each, Unavailable)
        assert each.reason == (
            "its server did not answer within 1 s: the pass went on without it, its answer counts in the next"
        )


def test_who_is_being_asked_is_not_asked_again_and_keeps_nobody_waiting(
    server: WebServer, silent: SilentServer, fetches: Fetches, tmp_path: Path
) -> None:
    sources = hanging(silent, 1)
    look(resolver(tmp_path, fetches), *sources)
    wait_until(lambda: silent.waiting == len(sources), "all of them wait")
    where = resolver(tmp_path, fetches, patience=LONG)  # a wait for them would outlast the test
    *silents, found = look(where, *sources, web(server))
    assert read(where, found) == b"content"
    assert all(isinstance(each, Unavailable) for each in silents)
    assert (silent.met, silent.waiting) == (2, 2)


def test_what_comes_late_counts_the_next_time(server: WebServer, fetches: Fetches, tmp_path: Path) -> None:
    gate, source = gated(server, "/late"), web(server, "/late")
    (first,) = look(resolver(tmp_path, fetches), source)
    assert isinstance(first, Unavailable)
    gate.set()
    wait_until(lambda: not fetches.still_asked([source]), "the answer is here")
    where = resolver(tmp_path, fetches)
    assert read(where, *look(where, source)) == b"1"
    where = resolver(tmp_path, fetches, patience=None)
    assert read(where, *look(where, source)) == b"2"


def test_what_was_known_stays_in_force(server: WebServer, fetches: Fetches, tmp_path: Path) -> None:
    source = web(server)
    (first,) = look(resolver(tmp_path, fetches, patience=None), source)
    gate = gated(server, "/file")
    where = resolver(tmp_path, fetches)
    assert look(where, source) == [first]
    (problem,) = where.problems
    assert "did not answer within 1 s" in problem
    assert "stays in force" in problem
    gate.set()


def test_a_failure_that_came_late_is_asked_again(server: WebServer, fetches: Fetches, tmp_path: Path) -> None:
    """Or the reason would be another in every pass, and every pass a commit."""
    gate = threading.Event()

    def fail(handler: BaseHTTPRequestHandler) -> None:
        gate.wait(60)
        reply(handler, 500, b"")

    source = web(server, "/late")
    server.answers["/late"] = fail
    look(resolver(tmp_path, fetches), source)
    gate.set()
    wait_until(lambda: not fetches.still_asked([source]), "the failure is here")
    del server.answers["/late"]
    server.files["/late"] = b"well again"
    assert fetches.late([source]) == {}
    wait_until(lambda: isinstance(look(resolver(tmp_path, fetches), source)[0], Content), "it was asked again")


def test_without_patience_every_server_is_waited_for(server: WebServer, fetches: Fetches, tmp_path: Path) -> None:
    gate, source = gated(server, "/late"), web(server, "/late")
    look(resolver(tmp_path, fetches), source)  # it is still being asked
    patient = resolver(tmp_path, fetches, patience=None)
    opening = threading.Timer(0.3, gate.set)
    opening.start()
    assert read(patient, *look(patient, source)) == b"1"
    opening.join()


def test_an_end_lets_go_of_every_server(silent: SilentServer, tmp_path: Path) -> None:
    """No git and no thread of ours is left: this suite looks after each test."""
    with closing(Fetches()) as fetches:
        look(resolver(tmp_path, fetches), *hanging(silent, 2))
        wait_until(lambda: silent.waiting == OF_A_SERVER, "four fetches wait")
    wait_until(lambda: silent.waiting == 0, "nobody waits for it any more")
    met = silent.met
    (found,) = look(resolver(tmp_path, fetches, patience=None), HttpSource(url=f"http://{SILENT}:1/x", insecure=True))
    assert found == Unavailable(reason="the asking was given up")
    assert silent.met == met
