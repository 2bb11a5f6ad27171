"""send-command beside a daemon: handed to it over its socket, run on its connections, whatever becomes of the client."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.daemon.callers import caller, login_name
from tests.passes.sent import GO, HELD_UP, LOG, WEB, all_ended, details, let_go, marks, records, send, shell
from tests.passes.test_the_daemon import daemon_of, end, passes, wait_until
from tests.support.nodes import Fleet
from tests.support.site import MOTD, Background, Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", f"rm -rf /var/lib/reconciler /var/log/bodies {LOG} {GO} /etc/motd /etc/reconciler"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


@pytest.fixture
def daemon(site: Site) -> Iterator[Background]:
    started = daemon_of(site)
    try:
        wait_until(lambda: passes(site) > 0, "the daemon has made a pass")
        yield started
    finally:
        if started.poll() is None:
            assert end(started) == 0


def logins(fleet: Fleet) -> int:
    return sum(node.sshd_log().count("Accepted publickey") for node in fleet.nodes)


def only_record(site: Site) -> dict[str, Any]:
    (record,) = records(site).values()
    return record


def begun(site: Site, fleet: Fleet, *options: str) -> Background:
    """Start a sender in the background, and wait until its command runs on the first node."""
    sender = site.start("send-command", *options, "--repo", str(site.repo), log=site.folder / "sender.log")
    wait_until(lambda: marks(fleet)[0] == 1, "the command has begun")
    return sender


def test_it_runs_on_the_daemon_s_own_connections_and_says_beforehand_where_it_stops(
    site: Site, fleet: Fleet, daemon: Background
) -> None:
    done = site.command(
        "send-command", *WEB, *shell("echo out"), "--max-errors", "1", "--repo", str(site.repo), check=0
    )
    assert (
        "on 3 nodes, at most 3 at a time; stops at the 2nd failure: MaxErrors 1 tolerates 1 on 3 nodes" in done.stderr
    )
    assert done.stderr.index("stops at the 2nd failure") < done.stderr.index("web-01: InProgress")
    assert "web-03: Success" in done.stderr
    assert "3 of 3 nodes succeeded" in done.stdout
    record = only_record(site)
    assert record["Command"]["RequestedBy"] == caller()
    assert record["Command"]["StatusDetails"] == "Success"
    for node in fleet.nodes:
        folder = node.root / "var/lib/reconciler/runs"
        wait_until(lambda of=folder: not list(of.glob("[0-9a-f]*")), "it forgets its run, behind the answer")
    told = site.command(
        "get-command-invocation", "--command-id", record["Command"]["CommandId"], "--instance-id", "web-02",
        "--repo", str(site.repo), "--format", "json", check=0,
    )  # fmt: skip
    assert json.loads(told.stdout)["StandardOutputContent"] == "out\n"
    other = site.command(
        "send-command", *WEB, *shell(), "--repo", str(site.repo), check=1, state_dir=site.folder / "another"
    )
    assert "leads with epoch" in other.stderr
    assert (site.state_dir / "daemon.sock").stat().st_mode & 0o777 == 0o600
    for _ in range(5):  # where this machine stood still for long, connections count as lost, and are made anew: once
        before = logins(fleet)
        assert set(details(send(site, *WEB, *shell(), code=0)).values()) == {"Success"}
        if logins(fleet) == before:
            break
    else:
        pytest.fail("every command logged in anew")


def test_the_dispatch_stops_where_it_said_and_wrong_usage_stays_wrong(
    site: Site, fleet: Fleet, daemon: Background
) -> None:
    sent = send(site, *WEB, *shell("exit 3"), "--max-concurrency", "1", "--max-errors", "1", code=2)
    assert details(sent) == {"web-01": "Failed", "web-02": "Failed", "web-03": "Terminated"}
    for options, said in (
        (("--instance-ids", "web-09"), "InvalidInstanceId"),
        (("--instance-ids", "web-01", "--document-version", "9"), "InvalidDocumentVersion"),
    ):
        done = site.command("send-command", *shell(), *options, "--repo", str(site.repo), check=64)
        assert said in done.stderr
    elsewhere = site.folder / "another-repository"
    site.git("clone", "--quiet", str(site.repo), str(elsewhere))
    done = site.command("send-command", *shell(), *WEB, "--repo", str(elsewhere), check=64)
    assert "serves" in done.stderr
    assert marks(fleet) == [1, 1, 0]


def test_pauses_holds_and_the_policy_bind_it(site: Site, fleet: Fleet, daemon: Background) -> None:
    site.command("pause", "--node", "web-01", "--reason", "moving", check=0)
    fleet.nodes[1].run(["sh", "-c", "mkdir -p /etc/reconciler && echo 'why: mine' > /etc/reconciler/hold"])
    sent = send(site, *WEB, *shell(), code=2)
    assert details(sent) == {"web-01": "Cancelled", "web-02": "Cancelled", "web-03": "Success"}
    assert marks(fleet) == [0, 0, 1]
    assert end(daemon) == 0

    site.settings.write_text(
        f"{site.settings.read_text()}SendCommand: [{{Logins: [{login_name()}], Documents: [AWS-Noop]}}]\n"
    )
    before = passes(site)
    strict = daemon_of(site)
    try:
        wait_until(lambda: passes(site) > before, "the daemon has made a pass")
        done = site.command("send-command", *WEB, *shell(), "--repo", str(site.repo), check=64)
        assert "AccessDenied: " in done.stderr
        assert "may send AWS-Noop, not AWS-RunShellScript" in done.stderr
    finally:
        end(strict)
    assert marks(fleet) == [0, 0, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_leaves_or_dies_stops_nothing(
    site: Site, fleet: Fleet, daemon: Background, number: signal.Signals
) -> None:
    sender = begun(site, fleet, *WEB, *shell(HELD_UP), "--max-concurrency", "1")

    def told() -> str:
        return site.command("list-command-invocations", "--repo", str(site.repo), check=0).stdout

    wait_until(lambda: told().count("InProgress") == 1, "others are told")
    sender.send_signal(number)
    assert sender.wait(60) == (130 if number is signal.SIGINT else -signal.SIGKILL)
    assert told().count("InProgress") == 1
    let_go(fleet.nodes)
    wait_until(lambda: only_record(site)["Command"]["StatusDetails"] == "Success", "it is recorded as it ended")
    assert marks(fleet) == [1, 1, 1]
    if number is signal.SIGINT:
        assert "goes on: `reconciler list-commands` tells of it" in (site.folder / "sender.log").read_text()


def test_cancel_command_works_through_it(site: Site, fleet: Fleet, daemon: Background) -> None:
    sender = begun(site, fleet, *WEB, *shell("sleep 300 & echo $! > /var/log/child", "wait"), "--max-concurrency", "1")
    done = site.command(
        "cancel-command", "--command-id", only_record(site)["Command"]["CommandId"], "--repo", str(site.repo), check=0
    )
    assert "Cancelled, cancelled on 3 of 3 nodes" in done.stdout
    assert sender.wait(60) == 2
    assert only_record(site)["Command"]["StatusDetails"] == "Cancelled"
    assert marks(fleet) == [1, 0, 0]
    child = fleet.nodes[0].run(["sh", "-c", "kill -0 $(cat /var/log/child) 2>/dev/null || echo gone"])
    assert child.stdout == "gone\n"
    unknown = site.command("cancel-command", "--command-id", "ffff", "--repo", str(site.repo), check=64)
    assert "InvalidCommandId" in unknown.stderr


def test_a_pass_in_the_middle_leaves_its_runs_to_it(site: Site, fleet: Fleet, daemon: Background) -> None:
    sender = begun(site, fleet, "--instance-ids", "web-01", *shell("seq 20000", HELD_UP, "echo last"))
    before = passes(site)
    better = MOTD.replace("managed by git\\n", "better\\n") + "Parameters: {text: [better]}\n"
    site.commit({"state/associations/motd.yaml": better})
    wait_until(lambda: passes(site) > before, "a pass was made meanwhile")
    let_go(fleet.nodes)
    assert sender.wait(60) == 0
    record = only_record(site)
    assert record["Command"]["StatusDetails"] == "Success"
    kept = (site.state_dir / "runs" / record["Invocations"]["web-01"]["RunId"] / "1/stdout").read_text()
    assert kept == "".join(f"{number}\n" for number in range(1, 20001)) + "last\n"
    assert marks(fleet) == [1, 0, 0]
    assert "settled" not in (site.folder / "daemon.log").read_text()


def test_a_daemon_killed_in_the_middle_leaves_a_record_that_ends_true(
    site: Site, fleet: Fleet, daemon: Background
) -> None:
    sender = begun(site, fleet, *WEB, *shell(HELD_UP, f"echo done >> {LOG}"), "--max-concurrency", "1")
    end(daemon, signal.SIGKILL)
    assert sender.wait(60) == 1
    assert "the daemon is gone: command" in (site.folder / "sender.log").read_text()
    let_go(fleet.nodes)
    wait_until(
        lambda: marks(fleet)[0] == 2 and all_ended(fleet.nodes[0]), "it goes on to its end on the node that had begun"
    )
    assert set(details_of(only_record(site)).values()) == {"Pending"}
    again = daemon_of(site)
    try:
        wait_until(lambda: only_record(site)["Command"]["CompletedCount"] == 3, "the next pass completes the record")
        record = only_record(site)
        assert details_of(record) == {"web-01": "Success", "web-02": "Cancelled", "web-03": "Cancelled"}
        assert "its sender was ended before it was sent" in record["Invocations"]["web-02"]["StatusReason"]
        assert record["Command"]["StatusDetails"] == "Incomplete"
        assert marks(fleet) == [2, 0, 0]
        sent = send(site, *WEB, *shell(), code=0)
        assert set(details(sent).values()) == {"Success"}
    finally:
        end(again)


def test_a_daemon_that_is_told_to_end_records_how_far_it_came(site: Site, fleet: Fleet, daemon: Background) -> None:
    sender = begun(site, fleet, *WEB, *shell(HELD_UP, f"echo done >> {LOG}"), "--max-concurrency", "1")
    assert end(daemon) == 0
    assert sender.wait(60) == 2
    assert details_of(only_record(site)) == {"web-01": "InProgress", "web-02": "Cancelled", "web-03": "Cancelled"}
    let_go(fleet.nodes)
    wait_until(lambda: marks(fleet)[0] == 2 and all_ended(fleet.nodes[0]), "what had begun goes on")
    site.once()
    assert details_of(only_record(site))["web-01"] == "Success"
    assert marks(fleet) == [2, 0, 0]


FROM_A_FILE = """\
schemaVersion: '2.2'
parameters: {text: {type: String, default: none}}
mainSteps:
  - {name: first, action: 'aws:runShellScript', inputs: {runCommand: ['echo {{ text }}']}}
  - {name: second, action: 'aws:runShellScript', inputs: {runCommand: ['hostname >> LOG', 'exit 4']}}
"""


def test_a_document_from_a_file_is_run_on_one_node_with_or_without_a_daemon(
    site: Site, fleet: Fleet, daemon: Background
) -> None:
    file = site.folder / "Mine.yaml"
    file.write_text(FROM_A_FILE.replace("LOG", LOG))
    run = ("document", "run", str(file), "--node", "web-02", "--parameters", "text=mine", "--repo", str(site.repo))
    through = site.command(*run, check=2)
    assert end(daemon) == 0
    alone = site.command(*run, check=2)
    for done in (through, alone):
        lines = done.stdout.splitlines()
        assert lines[:4] == ["step first", "  | mine", "step first: Success, exit 0", "step second"]
        assert lines[-2:-1] == ["step second: Failed, exit 4"]
        assert lines[-1].startswith("web-02: Failed, ")
    assert marks(fleet) == [0, 2, 0]
    found = records(site).values()
    assert {(each["Command"]["DocumentName"], each["Command"]["DocumentVersion"]) for each in found} == {
        ("Mine", "file")
    }

    site.settings.write_text(
        f"{site.settings.read_text()}SendCommand: [{{Logins: [{login_name()}], Documents: [Mine]}}]\n"
    )
    refused = site.command(*run, check=64)
    assert "and no document from a file" in refused.stderr


def details_of(record: dict[str, Any]) -> dict[str, str]:
    return {node: str(each["StatusDetails"]) for node, each in record["Invocations"].items()}
