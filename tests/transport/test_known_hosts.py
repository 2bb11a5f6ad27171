"""Which keys known_hosts pins for a node."""

import base64
import hashlib
import hmac
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.daemon.accepting import read_folder
from reconciler.ids import NodeId
from reconciler.problem import Gravity
from reconciler.transport import known_hosts
from reconciler.transport.known_hosts import HostKey, KnownHosts, host_key_line, host_name, parse

WEB = NodeId("web-01")


def a_key(seed: int, kind: str = "ssh-ed25519") -> HostKey:
    body = hashlib.sha256(str(seed).encode()).digest()
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (kind.encode(), body))
    return HostKey(kind, base64.b64encode(blob).decode())


A, B, C = a_key(1), a_key(2), a_key(3)


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "address", "port", "is_pinned"),
    [
        pytest.param("web-01", "10.0.0.1", 22, True, id="by the node's id"),
        pytest.param("WEB-01", "10.0.0.1", 2222, True, id="by the node's id on any port, in any case"),
        pytest.param("web-02", "10.0.0.1", 22, False, id="another node's id"),
        pytest.param("10.0.0.1", "10.0.0.1", 22, True, id="by address"),
        pytest.param("web.example,10.0.0.1", "10.0.0.1", 22, True, id="in a list"),
        pytest.param("Web.Example", "web.example", 22, True, id="names ignore case"),
        pytest.param("[10.0.0.1]:2222", "10.0.0.1", 2222, True, id="by address and port"),
        pytest.param("[10.0.0.1]:2222", "10.0.0.1", 22, False, id="another port"),
        pytest.param("[10.0.0.1]:22", "10.0.0.1", 22, True, id="port 22 written out"),
        pytest.param("10.0.0.1", "10.0.0.1", 2222, True, id="the address alone, on another port"),
        pytest.param("2001:db8::1", "2001:db8::1", 22, True, id="IPv6"),
        pytest.param("2001:DB8:0:0::1", "2001:db8::1", 22, True, id="IPv6 in another spelling"),
        pytest.param("[2001:db8:0::1]:2222", "2001:db8::1", 2222, True, id="IPv6 and port"),
        pytest.param("10.0.0.*", "10.0.0.77", 22, True, id="wildcard"),
        pytest.param("10.0.0.?", "10.0.0.77", 22, False, id="one character"),
        pytest.param("10.0.*,!10.0.0.77", "10.0.0.77", 22, False, id="negated"),
        pytest.param("10.0.*,!10.0.0.77", "10.0.0.78", 22, True, id="not the negated one"),
        pytest.param("[10.0.0.*]:2222", "10.0.0.7", 2222, True, id="wildcard with port"),
        pytest.param(hashed("10.0.0.1"), "10.0.0.1", 22, True, id="hashed"),
        pytest.param(hashed("[10.0.0.1]:2222"), "10.0.0.1", 2222, True, id="hashed with port"),
        pytest.param(hashed("10.0.0.1"), "10.0.0.2", 22, False, id="another hashed"),
    ],
)
def test_which_lines_pin_a_node(line: str, address: str, port: int, is_pinned: bool) -> None:  # noqa: FBT001
    known = parse(f"{line} {A} a comment\n")
    assert known.problems == ()
    assert known.pins(WEB, address, port).keys == ((A,) if is_pinned else ())


def test_a_line_for_the_node_wins_over_lines_for_its_address() -> None:
    known = parse(f"10.0.0.1 {A}\nweb-01 {B}\n[10.0.0.1]:2222 {C}\n")
    assert known.pins(WEB, "10.0.0.1", 22).keys == (B,)
    assert known.pins(NodeId("web-02"), "10.0.0.1", 22).keys == (A,)
    assert known.pins(NodeId("web-02"), "10.0.0.1", 2222).keys == (C,)


def test_one_address_behind_two_gateways_is_two_nodes() -> None:
    known = parse(f"ams-web {A}\nfra-web {B}\n")
    assert known.pins(NodeId("ams-web"), "10.0.0.1", 22).keys == (A,)
    assert known.pins(NodeId("fra-web"), "10.0.0.1", 22).keys == (B,)


def test_a_node_may_have_several_keys() -> None:
    assert parse(f"web-01 {A}\nweb-01 {B}\nweb-01 {A}\n").pins(WEB, "10.0.0.1", 22).keys == (A, B)


@pytest.mark.parametrize("host", ["web-01", "10.0.0.1", "*", hashed("10.0.0.1"), "another"])
def test_a_revoked_key_is_known_as_such_under_every_name(host: str) -> None:
    pins = parse(f"web-01 {A}\n@revoked {host} {A}\n").pins(WEB, "10.0.0.1", 22)
    assert pins.revoked == {A}


def test_an_authority_is_no_pinned_key() -> None:
    pins = parse(f"@cert-authority *.example {A}\n").pins(WEB, "web.example", 22)
    assert (pins.keys, pins.authorities) == ((), (A,))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("web-01", "holds a host, a key type and a key", id="host alone"),
        pytest.param("web-01 ssh-ed25519", "holds a host, a key type and a key", id="no key"),
        pytest.param("web-01 ssh-dss AAAA", "key type not supported", id="DSA"),
        pytest.param("web-01 1024 35 1234", "SSH 1", id="SSH 1"),
        pytest.param("web-01 ssh-ed25519 AAAA!", "not base64", id="no base64"),
        pytest.param(f"web-01 ssh-ed25519 {A.base64[:20]}", "does not hold what its type says", id="cut early"),
        pytest.param(f"web-01 ssh-ed25519 {A.base64[:-8]}", "the key is cut", id="cut late"),
        pytest.param(f"web-01 ssh-rsa {A.base64}", "does not hold what its type says", id="another type's"),
        pytest.param(f"@trusted web-01 {A}", "unknown marker", id="marker"),
        pytest.param(f"@revoked web-01 {A.type} {A.base64[:-8]}", "the key is cut", id="nothing revoked"),
        pytest.param(f"@cert-authority {hashed('web-01')} {A}", "host or a wildcard in clear", id="hashed authority"),
        pytest.param(f"|1|abc {A}", "SALT", id="half a hash"),
        pytest.param(f"|2|YQ==|YQ== {A}", "SALT", id="another kind of hash"),
        pytest.param(f"|1|YQ==|YQ== {A}", "20 bytes", id="short hash"),
        pytest.param(f"web-01,, {A}", "empty host", id="empty host"),
        pytest.param(f"!web-01 {A}", "only negated", id="only negated"),
    ],
)
def test_a_line_that_does_not_read_is_a_problem_with_its_place(line: str, words: str) -> None:
    known = parse(f"# comment\n\nweb-02 {B}\n{line}\nweb-03 {C}\n", file="state/known_hosts")
    (problem,) = known.problems
    assert problem.gravity is (Gravity.ERROR if line.startswith("@") else Gravity.LINT)
    assert (problem.file, problem.line) == ("state/known_hosts", 4)
    assert words in problem.message
    assert known.pins(NodeId("web-02"), None, 22).keys == (B,)
    assert known.pins(NodeId("web-03"), None, 22).keys == (C,)


@given(st.text(max_size=300))
def test_any_text_reads_or_is_refused_line_by_line(text: str) -> None:
    known = parse(text)
    known.pins(WEB, "10.0.0.1", 22)
    assert all(problem.line >= 1 for problem in known.problems)


@pytest.mark.timeout(300)  # a match that backtracks would need years
def test_many_stars_do_not_take_for_ever() -> None:
    known = parse("*a" * 2000 + f"b {A}\n" + "*a" * 2000 + f"* {B}\n")
    assert known.pins(WEB, "a" * 4000, 22).keys == (B,)


def _fits(pattern: str, name: str) -> bool:
    """What a star means, in the plainest words."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return _fits(pattern[1:], name) or (bool(name) and _fits(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and _fits(pattern[1:], name[1:])


@given(st.text("ab.*?", min_size=1, max_size=8), st.text("ab.", min_size=1, max_size=8))
def test_wildcards_mean_what_they_mean_in_ssh(pattern: str, name: str) -> None:
    assert bool(parse(f"{pattern} {A}\n").pins(WEB, name, 22).keys) == _fits(pattern, name)


def test_what_is_written_reads_back() -> None:
    lines = "\n".join(
        [
            host_key_line("web-01", A),
            host_key_line(host_name("10.0.0.9", 2222), B),
            host_key_line(host_name("2001:db8::9", 22), C),
        ]
    )
    known = parse(lines)
    assert known.problems == ()
    assert known.pins(WEB, None, 22).keys == (A,)
    assert known.pins(NodeId("x"), "10.0.0.9", 2222).keys == (B,)
    assert known.pins(NodeId("x"), "2001:db8::9", 22).keys == (C,)


@pytest.mark.parametrize("host", ["", "a b", "a\nb", "a,b", "*", "!a", "@revoked", "|1|x", "#a"])
def test_a_host_that_would_mean_something_else_is_not_written(host: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        host_key_line(host, A)


def test_a_fingerprint_is_written_as_ssh_keygen_does() -> None:
    digest = hashlib.sha256(base64.b64decode(A.base64)).digest()
    assert A.fingerprint == "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def test_ten_thousand_lines_are_no_trouble() -> None:
    text = "".join(f"node-{n},10.1.{n // 250}.{n % 250} {a_key(n)}\n" for n in range(10_000))
    took = []
    for _ in range(5):
        began = time.process_time()
        known = parse(text)
        took.append(time.process_time() - began)
    assert min(took) < 0.2, "seconds of processor time, for the whole index"
    assert isinstance(known, KnownHosts)
    assert known.problems == ()
    assert known.pins(NodeId("node-9999"), None, 22).keys == (a_key(9999),)


def test_hashed_lines_are_asked_only_for_what_no_line_in_clear_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    digest = hmac.digest

    def counted(key: bytes, message: bytes, name: str) -> bytes:
        tried.append(message)
        return digest(key, message, name)

    monkeypatch.setattr(known_hosts.hmac, "digest", counted)
    known = parse("".join(f"{hashed(f'10.0.0.{n}')} {a_key(n)}\n" for n in range(200)) + f"web-01 {A}\n")
    assert known.pins(WEB, "10.0.0.7", 22).keys == (A,)
    assert tried == [], "a node that is pinned in clear costs no HMAC"
    assert known.pins(NodeId("web-02"), "10.0.0.7", 2222).keys == (a_key(7),)
    assert len(tried) == 400
    assert known.pins(NodeId("web-02"), "10.0.0.7", 2222).keys == (a_key(7),)
    assert len(tried) == 400, "what was told is remembered"
    assert known.pins(NodeId("web-03"), "10.0.0.8", 22).keys == (a_key(8),)
    assert len(tried) == 599, "a line that told its name is not asked again"


def test_more_lines_than_can_be_tried_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hosts, "HASHED_LIMIT", 3)
    monkeypatch.setattr(known_hosts, "WILD_LIMIT", 2)
    text = "".join(f"{hashed(f'10.0.0.{n}')} {a_key(n)}\n10.{n}.* {a_key(n)}\n" for n in range(5))
    known = parse(text, file="limits")
    assert [(problem.line, problem.message.split(":")[0]) for problem in known.problems] == [
        (6, "more than 2 lines with wildcards"),
        (7, "more than 3 hashed lines"),
        (8, "more than 2 lines with wildcards"),
        (9, "more than 3 hashed lines"),
        (10, "more than 2 lines with wildcards"),
    ]


def test_a_file_that_is_none_of_host_keys_is_read_no_further() -> None:
    known = parse(f"web-01 {A}\n" + "1\n" * 600_000 + f"@revoked * {A}\n")
    assert known.pins(WEB, "10.0.0.7", 22).keys == (A,)
    assert len(known.problems) == 1001
    last = known.problems[-1]
    assert (last.line, last.gravity) == (1002, Gravity.ERROR), "a revoked key may stand behind it"
    assert last.message == "more than 1000 lines do not read: nothing from here on was read"


def test_a_line_that_should_revoke_and_does_not_read_keeps_a_commit_out(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "fleet.yaml").write_text("Fleet: example\n")
    (tmp_path / "state" / "known_hosts").write_text(f"web-01 cut\n@revoked * {A.type} {A.base64[:-8]}\n")
    _, problems = read_folder(tmp_path)
    assert [(problem.line, problem.gravity) for problem in problems] == [(1, Gravity.LINT), (2, Gravity.ERROR)]


def test_the_same_text_is_read_once() -> None:
    assert parse(f"web-01 {A}\n") is parse(f"web-01 {A}\n")
