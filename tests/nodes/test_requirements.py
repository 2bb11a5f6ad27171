"""Where the nodes' root comes from, and what is said where nodes cannot be had."""

from pathlib import Path

import pytest

from tests.support import node_root
from tests.support.node_root import Archive, NodesUnavailable, configured_archive, ensure_root
from tests.support.requirements import skip_or_fail

DEB822 = """\
# comment
Types: deb deb-src
URIs: http://security.example/debian-security
Suites: trixie-security
Components: main

Types: deb
URIs: http://mirror.example/debian http://other.example/debian
Suites: trixie trixie-updates
Components: main non-free
"""


@pytest.mark.parametrize(
    ("name", "text", "suite"),
    [
        pytest.param("sources.list.d/debian.sources", DEB822, "trixie", id="deb822"),
        pytest.param(
            "sources.list", "deb http://mirror.example/debian bookworm main # us\n", "bookworm", id="one line"
        ),
        pytest.param(
            "sources.list",
            "deb http://x.example/debian-security bookworm-security main\n"
            "deb-src http://x.example/debian bookworm main\n"
            "deb [arch=amd64 trusted=yes] http://mirror.example/debian bookworm contrib main\n",
            "bookworm",
            id="after security and sources, with options",
        ),
    ],
)
def test_the_archive_is_the_one_this_machine_uses(tmp_path: Path, name: str, text: str, suite: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text, encoding="ascii")
    assert configured_archive(tmp_path) == Archive(mirror="http://mirror.example/debian", suite=suite)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("deb http://x.example/debian bookworm-updates main\n", id="updates only"),
        pytest.param("# deb http://x.example/debian bookworm main\n", id="commented out"),
        pytest.param("deb http://x.example/tools stable-tools contrib\n", id="somebody else's"),
    ],
)
def test_without_a_distribution_archive_nodes_are_unavailable(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text, encoding="ascii")
    with pytest.raises(NodesUnavailable, match="no distribution archive"):
        configured_archive(tmp_path)


def test_a_keyring_is_taken_over_if_it_is_there(tmp_path: Path) -> None:
    keyring = tmp_path / "keyring.gpg"
    text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\nSigned-By: {}\n"
    (tmp_path / "sources.list.d").mkdir()
    sources = tmp_path / "sources.list.d/debian.sources"
    sources.write_text(text.format(keyring), encoding="ascii")
    assert configured_archive(tmp_path).keyring is None
    keyring.touch()
    assert configured_archive(tmp_path).keyring == str(keyring)


def test_without_root_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NodesUnavailable, match="need root"):
        ensure_root(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_bootstrap_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin/mmdebstrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'E: no route to the mirror'\nexit 1\n", encoding="ascii")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    archive = Archive(mirror="http://mirror.example/debian", suite="trixie")
    with pytest.raises(NodesUnavailable, match="no route to the mirror"):
        node_root._build(archive, tmp_path / "cache" / "root")  # ensure_root would stop earlier without root
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_missing_is_a_skip_and_under_require_nodes_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_NODES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no sshd"):
        skip_or_fail("no sshd")
    monkeypatch.setenv("REQUIRE_NODES", "1")
    with pytest.raises(pytest.fail.Exception, match="no sshd"):
        skip_or_fail("no sshd")
