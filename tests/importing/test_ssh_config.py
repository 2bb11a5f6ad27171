"""What `import ssh-config` takes from an ssh configuration, and what it tells instead of taking."""

import time
from pathlib import PurePosixPath

import pytest

from reconciler.importing.harvest import FoundNode, Harvest
from reconciler.importing.keys import KeyPlace
from reconciler.importing.ssh_config import nodes_of
from reconciler.model.reading.ssh_config import SshConfig, matches, read_ssh_config
from reconciler.problem import Gravity

KEYS = KeyPlace(directory=PurePosixPath("/home/me/.ssh"), home=PurePosixPath("/home/me"))


def read(text: str, included: dict[str, str] | None = None) -> SshConfig:
    """Read a configuration whose Includes are given by their argument."""
    files = included or {}
    return read_ssh_config(
        "config",
        text.encode(),
        lambda pattern: ((pattern, files[pattern].encode()),) if pattern in files else "it is not ours",
    )


def harvest(text: str, included: dict[str, str] | None = None) -> Harvest:
    """Give what is imported from a configuration."""
    return nodes_of(read(text, included), KEYS)


def nodes(text: str, included: dict[str, str] | None = None) -> dict[str, FoundNode]:
    """Give the imported nodes by id."""
    return {str(node.id): node for node in harvest(text, included).nodes}


def notes(text: str) -> str:
    """Give everything that was told, one a line."""
    return "\n".join(str(note) for note in harvest(text).notes)


def test_the_first_value_counts_and_wildcards_give_defaults() -> None:
    found = nodes(
        "User early\n"
        "Host web-*\n  Port 2222\n  IdentityFile ~/.ssh/fleet\n"
        "Host web-01\n  HostName=10.0.0.11\n  User late\n  Port 22\n"
        "Host db !web-01\n  hostname  'db.internal'\n"
    )
    assert list(found) == ["web-01", "db"]
    assert (found["web-01"].address, found["web-01"].port, found["web-01"].user) == ("10.0.0.11", 2222, "early")
    assert found["web-01"].identity_file == "fleet"
    assert found["web-01"].place == "config:5"


def test_a_name_without_hostname_is_its_own_address_and_percent_h_is_the_name() -> None:
    found = nodes("Host a.example.org\nHost b\n  HostName %h.example.org\n")
    assert [node.address for node in found.values()] == ["a.example.org", "b.example.org"]


def test_a_jump_becomes_a_gateway_hop_by_hop() -> None:
    found = nodes(
        "Host bastion\n  HostName 192.0.2.1\n  User jump\n"
        "Host inner\n  ProxyJump bastion\n"
        "Host deep\n  ProxyJump bastion,root@second:2200\n"
        "Host other\n  ProxyJump ssh://ops@[2001:db8::1]:2022\n"
    )
    assert found["inner"].gateway == "bastion"
    assert (found["deep"].gateway, found["second"].gateway) == ("second", "bastion")
    assert (found["second"].user, found["second"].port) == ("root", 2200)
    gateway = found[str(found["other"].gateway)]
    assert (gateway.address, gateway.port, gateway.user) == ("2001:db8::1", 2022, "ops")


def test_a_jump_through_itself_is_refused_with_its_place() -> None:
    assert "config:2 leads in a circle" in notes("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    assert nodes("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n") == {}


def test_match_and_proxy_command_are_told_and_not_followed() -> None:
    text = (
        "Host hid\n  ProxyCommand nc bastion %h %p\n  ProxyJump bastion\n"
        'Match exec "touch /tmp/owned"\n  User root\n  Host late\n'
    )
    assert nodes(text)["hid"].gateway is None, "the first of ProxyCommand and ProxyJump is the one ssh takes"
    assert "config:2: hid: ProxyCommand is not followed" in notes(text)
    assert "config:4: a Match block is not followed" in notes(text)
    assert nodes(text)["hid"].user is None


def test_a_key_is_named_only_where_it_lies_in_the_key_directory() -> None:
    text = "Host a\n  IdentityFile /etc/keys/a\n  IdentityFile %d/.ssh/b\n  IdentityFile ~/.ssh/../.ssh/c\n"
    assert nodes(text)["a"].identity_file == "b"
    assert "config:2: the key /etc/keys/a is left out" in notes(text)
    assert "config:4: a: a node has one IdentityFile, b; c is left out" in notes(text)
    assert nodes("Host a\n  IdentityFile ~/.ssh/sub/key\n")["a"].identity_file is None
    assert nodes("Host a\n  IdentityFile ~/.ssh/key.pub\n")["a"].identity_file is None


def test_an_include_holds_under_the_conditions_around_it() -> None:
    text = "Host web-*\n  Include more\nHost web-01 db\n  HostName 10.0.0.1\nInclude elsewhere\n"
    more = "User from-more\nHost db\n  Port 99\nHost web-01\n  Port 2222\n"
    found = nodes(text, {"more": more})
    assert (found["web-01"].user, found["web-01"].port) == ("from-more", 2222)
    assert [note.place for note in harvest(text, {"more": more}).notes if "Include" in note.what] == ["config:5"]
    assert nodes("Host db\n  HostName d\nHost web-*\n  Include more\n", {"more": more})["db"].port == 22


def test_includes_in_a_circle_end_with_an_error() -> None:
    config = read("Include me\n", {"me": "Include me\n"})
    assert [p.message for p in config.problems if p.gravity is Gravity.ERROR] == ["Include beyond 16 levels"]


def test_two_names_of_one_machine_become_one_node() -> None:
    text = "Host web web.example.org\n  HostName 10.0.0.1\n"
    assert list(nodes(text)) == ["web"]
    assert "skipped: config:1: web.example.org: the same address and port as web" in notes(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param('Host "open\n', "config:1:1", id="open quote"),
        pytest.param("Host a\n  Port 99999\n", "config:2:1", id="port"),
        pytest.param("Host a\n  Port $(id)\n", "config:2:1", id="port that is a command"),
        pytest.param("Host\n", "config:1:1", id="no name"),
        pytest.param("Host a\n= b\n", "config:2:1", id="no keyword"),
        pytest.param("Host a\n  User\n", "config:2:1", id="no value"),
        pytest.param("Host a\x00b\n", "config:1:7", id="a NUL"),
        pytest.param("Host " + "a" * 5000, "config:1:1", id="a long name"),
    ],
)
def test_what_does_not_read_is_told_with_its_place(text: str, place: str) -> None:
    wrong = [problem for problem in read(text).problems if problem.gravity is Gravity.ERROR]
    assert len(wrong) == 1
    assert str(wrong[0]).startswith(f"{place}: ")


def test_patterns_that_would_try_for_ever_do_not() -> None:
    assert not matches("a" * 200, ["*a" * 60 + "b"])
    assert matches("WEB-01", ["web-??", "!db*"])
    assert not matches("web-01", ["web-*", "!web-01"])


def test_thousands_of_hosts_under_thousands_of_blocks_are_read() -> None:
    text = "".join(f"Host n{number}\n  HostName 10.{number // 256}.{number % 256}.1\n" for number in range(8000))
    assert len(nodes(text + "Host n*\n  User ops\n")) == 8000
    many = "".join(f"Host *{number}*\n  User a\n" for number in range(1500))
    assert "more than 1000 Host blocks with wildcards" in str(read(many).problems)


def test_a_line_of_a_megabyte_is_read_in_one_go() -> None:
    before = time.process_time()
    read("User " + '"a":' * 250_000 + "\n")
    assert time.process_time() - before < 3, "seconds of CPU; going over the rest for each word takes a minute"
