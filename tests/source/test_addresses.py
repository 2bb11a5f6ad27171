"""Only addresses that can be nothing but addresses reach git."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.source.address import branch_name, parse_address, parse_revision, remote_name

CWD = Path("/srv/here")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        pytest.param(".", "/srv/here", id="the current folder"),
        pytest.param("fleet", "/srv/here/fleet", id="a folder below"),
        pytest.param("../x/./y", "/srv/x/y", id="a folder beside"),
        pytest.param("/a/b c", "/a/b c", id="an absolute path with a space"),
        pytest.param("./-x", "/srv/here/-x", id="a dash where it is harmless"),
        pytest.param("./a:b", "/srv/here/a:b", id="a colon behind a slash"),
        pytest.param("file:///srv/f%20g", "/srv/f g", id="a file URL"),
        pytest.param("file://localhost/srv/f", "/srv/f", id="a file URL with localhost"),
    ],
)
def test_local_repository_becomes_an_absolute_path(text: str, given: str) -> None:
    address = parse_address(text, cwd=CWD)
    assert (address.text, address.path) == (given, Path(given))


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@example.org/fleet.git",
        "ssh://git@example.org:2222/fleet.git",
        "ssh://[2001:db8::1]:22/fleet.git",
        "git@example.org:team/fleet.git",
        "example.org:fleet",
        "https://example.org/fleet.git",
    ],
)
def test_other_hosts_are_kept_as_written(text: str) -> None:
    address = parse_address(text, cwd=CWD)
    assert (address.text, address.shown, address.path) == (text, text, None)


def test_password_in_a_url_is_never_shown() -> None:
    address = parse_address("https://bot:hunter2@example.org/fleet.git", cwd=CWD)
    assert "hunter2" in address.text
    assert "hunter2" not in repr(address)
    assert address.shown == "https://example.org/fleet.git"


HOSTILE = (
    "",
    "--upload-pack=touch x",
    "-oProxyCommand=touch x",
    "ext::sh -c touch% x",
    "::",
    "fd::3",
    "a::b",
    "git://example.org/x",
    "http://example.org/x",
    "ftp://example.org/x",
    "ext://x",
    "ssh://-oProxyCommand=touch/x",
    "ssh://git@-oProxyCommand=x/y",
    "ssh://-l@example.org/x",
    "ssh://example.org/-x",
    "ssh://example.org/%2dx",
    "ssh://git:pw@example.org/x",
    "ssh://example.org",
    "ssh://exa mple.org/x",
    "ssh://example.org:0/x",
    "ssh://example.org:99999/x",
    "ssh:///x",
    "https://example.org/x?service=y",
    "https://example.org/x#y",
    "https://example.org/a%0ab",
    "https://$(id)/x",
    "-host:path",
    "a b:path",
    "user@-host:path",
    "host:-path",
    "host:",
    "$(id):x",
    "file://other/x",
    "file:///",
    "file:///a%00b",
    "a\nb",
    "a\x00b",
    "/srv/a\x1b[31m",
    "x" * 3000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_hostile_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text, cwd=CWD)


@given(st.text(max_size=80))
def test_any_text_is_refused_or_cannot_be_an_option(text: str) -> None:
    try:
        address = parse_address(text, cwd=CWD)
    except UsageError:
        return
    assert not address.text.startswith("-")
    assert "\n" not in address.text
    assert "\x00" not in address.text
    assert address.path is not None or "::" not in address.text.split("[", 1)[0]


@pytest.mark.parametrize("name", ["main", "team/main", "v1.2", "ünïcode", "a-b_c", "x@y"])
def test_branch_names_of_people_are_taken(name: str) -> None:
    assert branch_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a", "a/.b"),
        *(
            "a.lock",
            "a.lock/b",
            "a.",
            "@",
            "a@{0}",
            "HEAD",
            "refs/heads/a",
            "a\x7f",
            "a\n",
            "a/-b",
            "é" * 101,
            "\udc80",
        ),
    ],
)
def test_names_git_would_refuse_or_misread_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        branch_name(name)


@pytest.mark.parametrize("text", ["main", "main~2", "HEAD^", "v1~1^2", "abc123", "a" * 40])
def test_revisions_people_write_are_taken(text: str) -> None:
    revision = parse_revision(text)
    assert revision.name + revision.steps == text


@pytest.mark.parametrize(
    "text", ["", "--help", "~1", "main..x", "main:state", ":/x", "main@{1}", "^main", "a b", "x^{/y}"]
)
def test_other_revisions_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_revision(text)


@pytest.mark.parametrize("name", ["", "-x", "a.b/c", "a..b", "x\ny", "a" * 101])
def test_odd_remote_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        remote_name(name)
