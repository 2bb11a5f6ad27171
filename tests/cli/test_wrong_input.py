"""Whatever is typed wrong gets a sentence on stderr, nothing on stdout, and an exit code that says whose turn it is."""

from pathlib import Path

import pytest

from tests.cli.commands import HOSTILE, OBEYED, Host

USAGE = (
    ((), "Usage: reconciler"),
    (("inventory",), "Usage: reconciler inventory"),
    (("no-such-command",), "No such command"),
    (("plan", "fleet", "--format", "xml"), "xml"),
    (("plan", "fleet", "more"), "more"),
    (("plan", "-fleet"), "No such option"),
    (("plan", "--", "-fleet"), "starts with a dash; for such a folder write ./-fleet"),
    (("plan", ""), "the repository's address is empty"),
    (("plan", "ext::sh -c x"), "transport helper"),
    (("plan", "http://example.org/fleet"), "http:// is not allowed"),
    (("plan", "fleet", "--limit", "nope"), "no node of this fleet is meant by nope"),
    (("plan", "fleet", "--limit", "tag:"), "not a selector"),
    (("plan", "fleet", "--limit", ""), "not a selector"),
    (("plan", "fleet", "--at", "yesterday", "--inventory", "HEAD"), "not an instant"),
    (("plan", "fleet", "--at", "0001-01-01T00:00:00+14:00", "--inventory", "HEAD"), "a year from 1970"),
    (("plan", "fleet", "--at", "9999-12-31T23:59:59-12:00", "--inventory", "HEAD"), "a year from 1970"),
    (("plan", "fleet", "--at", "2026-01-31"), "--at needs --inventory or --base"),
    (("plan", "fleet", "--base", "HEAD"), "go together"),
    (("plan", "fleet", "--base", "HEAD", "--head", "HEAD", "--limit", "x"), "no --limit"),
    (("plan", "fleet", "--base", "HEAD", "--head", "-x"), "no revision"),
    (("plan", "fleet", "--inventory", "HEAD"), "holds no report"),
    (("apply", "nope", "--repo", "fleet"), "no association is named"),
    (("apply", "message-of-the-day", "--repo", "fleet"), "means none of these nodes"),
    (("apply", "message-of-the-day", "--node", "nope", "--repo", "fleet"), "no node of this fleet"),
    (("explain", "nope", "--repo", "fleet"), "no node is named"),
    (("explain", "this-machine", "nope", "--repo", "fleet"), "does not mean node this-machine; these do: none"),
    (("inventory", "show", "nope", "--repo", "fleet"), "no facts of a node"),
    (("inventory", "show", "nope", "--live", "--repo", "fleet"), "no node of this fleet"),
    (("inventory", "query", "SELEC", "--repo", "fleet"), "syntax error"),
    (("inventory", "query", "DROP TABLE packages", "--repo", "fleet"), "not authorized"),
    (("inventory", "query", "SELECT 1; SELECT 2", "--repo", "fleet"), "one statement"),
    (("inventory", "query", "ATTACH '/tmp/x' AS x", "--repo", "fleet"), "only one SELECT"),
    (("inventory", "query", "", "--repo", "fleet"), "there is no question"),
    (("inventory", "query", "SELECT \udcff", "--repo", "fleet"), "is not UTF-8"),
    (("pause", "--until", "soon"), "write 90m, 2h, 3d"),
    (("pause", "--until", "99999d99999d"), "write 90m, 2h, 3d"),
    (("pause", "--until", "2020-01-01T00:00:00Z"), "over already"),
    (("resume", "--all", "--node", "x"), "--all ends every pause"),
    (("locks", "release", "--repo", "fleet"), "say which one"),
    (("locks", "release", "--lease", "--clone", "--repo", "fleet"), "say which one"),
    (("locks", "release", "--node", "nope", "--repo", "fleet"), "no node is named"),
    (("runs", "show", "abc", "--repo", "fleet"), "no run 'abc' is known"),
    (("runs", "output", "", "--repo", "fleet"), "no run '' is known"),
    (("runs", "cancel", "abc", "--repo", "fleet"), "no node has a run 'abc'"),
    (("schedule", "next", "tomorrow"), "a schedule is cron(...)"),
    (("schedule", "next", "rate(1 day)", "--timezone", "Mars/North"), "not an IANA time zone"),
    (("schedule", "next", "rate(36500 days)", "--count", "1000"), "the calendar ends"),
    (("schedule", "next", "rate(1 day)", "--count", "0"), "--count"),
    (("node", "add", "this-machine", "127.0.0.1", "--repo", "fleet"), "is there already"),
    (("node", "add", "../../../x", "127.0.0.1", "--repo", "fleet"), "is no node id"),
    (("node", "add", "x", "127.0.0.1", "--repo", "nope"), "is no state repository"),
    (("node", "add", "x", "127.0.0.1", "--tag", "Role", "--repo", "fleet"), "write NAME=VALUE"),
    (("init", "fleet"), "is there and not empty"),
)

NO_ANSWER = (
    (("plan", "missing"), "is no folder"),
    (("plan", "a-file"), "is no folder"),
    (("plan", "plain"), "is no git repository"),
    (("plan", "no-commit"), "nothing is in force"),
    (("once", "no-commit"), "nothing is in force"),
    (("plan", "something-else"), "this is no state repository"),
    (("once", "something-else"), "this is no state repository"),
    (("status", "broken"), "state/fleet.yaml:1:1: "),
    (("once", "broken", "--format", "json"), "state/fleet.yaml:1:1: "),
    (("plan", "fleet", "--base", "nope", "--head", "HEAD"), "has no revision 'nope'"),
    (("plan", "fleet", "--inventory", "nope"), "has no revision 'nope'"),
    (("validate", "missing"), "there is no such folder"),
    (("node", "add", "x", "127.0.0.1", "--port", "1", "--repo", "fleet"), "refused"),
    (("node", "add", "a b", "127.0.0.1", "--repo", "fleet"), "not a node id"),
    (("init", "a-file/x"), "cannot be written"),
    (("init", "new", "--fleet", "a b"), "not a fleet's id"),
    (("status", "fleet", "--state-dir", "a-file"), "no folder to keep state in"),
    (("status", "fleet", "--state-dir", "a-file/x"), "no folder to keep state in"),
    (("status", "fleet", "--state-dir", "/proc/nope"), "no folder to keep state in"),
    (("status", "fleet", "--host-settings", "missing"), "cannot be read"),
    (("status", "fleet", "--host-settings", "plain"), "cannot be read"),
    (("status", "fleet", "--host-settings", "broken.yaml"), "broken.yaml:1:1"),
    (("once", "fleet", "--host-settings", "other-fleet.yaml"), "this host serves other alone"),
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("host"))
    host.run("init", "fleet", code=0)
    host.commit({"README": "of something else\n"}, "something-else")
    host.commit({"state/fleet.yaml": "Flet: x\n"}, "broken")
    (host.folder / "plain").mkdir()
    (host.folder / "no-commit").mkdir()
    host.git("init", "--quiet", repo="no-commit")
    (host.folder / "a-file").write_text("x")
    (host.folder / "broken.yaml").write_text("Flet: x\n")
    (host.folder / "other-fleet.yaml").write_text("Fleet: other\n")
    return host


@pytest.mark.parametrize(("command", "words"), USAGE, ids=[repr(" ".join(case[0])) for case in USAGE])
def test_what_cannot_be_meant_is_usage(host: Host, command: tuple[str, ...], words: str) -> None:
    answer = host.run(*command, code=64)
    assert words in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(("command", "words"), NO_ANSWER, ids=[" ".join(case[0]) for case in NO_ANSWER])
def test_what_cannot_be_answered_says_why(host: Host, command: tuple[str, ...], words: str) -> None:
    answer = host.run(*command, code=1)
    assert words in answer.err
    assert answer.out == ""
    assert not (host.folder / "x.yaml").exists()


def test_a_wrong_command_leaves_the_repository_as_it_was(host: Host) -> None:
    host.run("node", "add", "../../../x", "127.0.0.1", "--repo", "fleet", code=64)
    host.run("node", "add", "x", "127.0.0.1", "--port", "1", "--repo", "fleet", code=1)
    host.run("once", "something-else", code=1)
    assert host.git("status", "--porcelain") == ""
    assert host.git("branch", "--list", "compliance", repo="something-else") == ""


@pytest.mark.parametrize(("folder", "mistakes"), [("plain", 1), ("something-else", 1), ("no-commit", 1), ("broken", 1)])
def test_validate_says_no_for_what_is_no_state_repository(host: Host, folder: str, mistakes: int) -> None:
    assert f"not valid: {mistakes} errors" in host.run("validate", folder, code=1).out
    assert host.run("validate", folder, "--format", "json", code=1).document()["valid"] is False
    assert host.run("validate", folder, "--format", "github", code=1).out.startswith("::error file=state")


def test_validate_reads_neither_huge_files_nor_links(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    with (tmp_path / "fleet/state/nodes/huge.yaml").open("wb") as huge:
        huge.truncate(40 * 2**30)
    (tmp_path / "fleet/state/nodes/link.yaml").symlink_to("/dev/zero")
    out = host.run("validate", "fleet", code=1).out
    assert "huge.yaml:0:0: this file is larger than" in out
    assert "link.yaml:0:0: this is a symbolic link" in out


@pytest.mark.parametrize(
    "command",
    [
        (HOSTILE,),
        ("plan", HOSTILE),
        ("validate", HOSTILE),
        ("plan", "fleet", "--limit", HOSTILE),
        ("plan", "fleet", "--format", HOSTILE),
        ("plan", "fleet", "--at", HOSTILE, "--inventory", "HEAD"),
        ("plan", "fleet", "--base", HOSTILE, "--head", "HEAD"),
        ("apply", HOSTILE, "--repo", "fleet"),
        ("explain", HOSTILE, "--repo", "fleet"),
        ("inventory", "show", HOSTILE, "--repo", "fleet"),
        ("inventory", "query", HOSTILE, "--repo", "fleet"),
        ("runs", "show", HOSTILE, "--repo", "fleet"),
        ("schedule", "next", f"rate({HOSTILE})"),
        ("schedule", "next", "rate(1 day)", "--timezone", HOSTILE),
        ("node", "add", HOSTILE, "127.0.0.1", "--repo", "fleet"),
        ("node", "add", "x", HOSTILE, "--repo", "fleet"),
        ("node", "add", "x", "127.0.0.1", "--tag", HOSTILE, "--repo", "fleet"),
        ("init", HOSTILE),
        ("status", "fleet", "--state-dir", f"/proc/{HOSTILE}"),
        ("status", "fleet", "--host-settings", HOSTILE),
    ],
    ids=lambda command: " ".join(command).replace(HOSTILE, "(hostile)"),
)
def test_what_was_typed_never_reaches_the_terminal_raw(host: Host, command: tuple[str, ...]) -> None:
    answer = host.run(*command)
    assert answer.code in {1, 64}
    assert answer.err
    assert not OBEYED & set(answer.out + answer.err)
