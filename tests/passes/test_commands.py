"""send-command on real nodes: the same runs, rates, locks, pauses and books as a pass, with SSM's words for what came of it."""

import json
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.passes.sent import GO, HELD_UP, LOG, WEB, all_ended, details, let_go, marks, records, send, shell, told
from tests.support.nodes import Fleet
from tests.support.site import Site, nodes_yaml
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(400)]
NODES = 4


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", f"rm -rf /var/lib/reconciler /var/log/bodies {LOG} {GO} /etc/motd /etc/reconciler"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    return made


def test_a_command_runs_on_its_targets_is_told_and_recorded(site: Site, fleet: Fleet) -> None:
    done = site.command(
        "send-command",
        *WEB,
        *shell("echo out", "echo err >&2"),
        "--comment",
        "a try",
        "--repo",
        str(site.repo),
        check=0,
    )
    assert "on 4 nodes, at most 4 at a time; stops at the 1st failure" in done.stderr
    assert done.stderr.index("stops at the 1st failure") < done.stderr.index("web-01: InProgress")
    assert re.search(r"web-04: Success", done.stderr)
    assert "4 of 4 nodes succeeded" in done.stdout
    assert marks(fleet) == [1, 1, 1, 1]

    (path,), (record,) = zip(*records(site).items(), strict=True)
    command = record["Command"]
    assert re.fullmatch(r"commands/\d{4}-\d\d/[0-9a-f-]{36}\.json", path)
    assert (command["Status"], command["StatusDetails"], command["CompletedCount"]) == ("Success", "Success", 4)
    assert command["StateCommit"] == site.git("rev-parse", "main")
    assert command["Comment"] == "a try"
    assert command["RequestedBy"]
    assert command["Targets"] == [{"Key": "tag:Role", "Values": ["web"]}]
    assert len(command["DocumentHash"]) == 64
    assert "echo out" in command["Parameters"]["commands"]
    assert record["Invocations"]["web-03"]["ResponseCode"] == 0
    assert "err" not in json.dumps(record["Invocations"]), "what scripts write stays on the management host"

    told = json.loads(
        site.command(
            "get-command-invocation", "--command-id", command["CommandId"][:8], "--instance-id", "web-02",
            "--repo", str(site.repo), "--format", "json", check=0,
        ).stdout
    )  # fmt: skip
    assert (told["StandardOutputContent"], told["StandardErrorContent"]) == ("out\n", "err\n")
    listed = site.command("list-commands", "--repo", str(site.repo), "--status", "Success", check=0).stdout
    assert command["CommandId"] in listed
    for node in fleet.nodes:
        assert list((node.root / "var/lib/reconciler/runs").glob("[0-9a-f]*")) == []
        assert list((node.root / "var/lib/reconciler/markers").glob("*")) == []

    assert site.once().all_in_sync
    assert site.once().report_commit is None


def test_the_dispatch_stops_where_it_said(site: Site, fleet: Fleet) -> None:
    fails = "case $(cat /etc/hostname) in *) exit 3 ;; esac"
    done = site.command(
        "send-command", *WEB, *shell(fails), "--max-concurrency", "1", "--max-errors", "1", "--repo", str(site.repo),
        "--format", "json", check=2,
    )  # fmt: skip
    assert "stops at the 2nd failure: MaxErrors 1 tolerates 1 on 4 nodes" in done.stderr
    sent = json.loads(done.stdout)
    assert details(sent) == {"web-01": "Failed", "web-02": "Failed", "web-03": "Terminated", "web-04": "Terminated"}
    assert (sent["Command"]["ErrorCount"], sent["Command"]["StatusDetails"]) == (2, "Failed")
    assert marks(fleet) == [1, 1, 0, 0]
    assert sent["Invocations"][0]["ResponseCode"] == 3


def test_too_long_is_an_error_and_a_failure_is_incomplete_where_more_are_tolerated(site: Site, fleet: Fleet) -> None:
    options = ("--document-name", "AWS-RunShellScript", "--instance-ids", "web-01,web-02", "--max-errors", "2")
    script = f"hostname >> {LOG}; [ $(wc -l < {LOG}) = 2 ] || sleep 60"
    (fleet.nodes[1].root / LOG.removeprefix("/")).write_text("already\n")
    sent = send(site, *options, "--parameters", json.dumps({"commands": [script], "executionTimeout": ["20"]}), code=2)
    assert details(sent) == {"web-01": "ExecutionTimedOut", "web-02": "Success"}
    assert sent["Command"]["StatusDetails"] == "Incomplete"


def test_a_node_that_is_away_is_waited_for_until_the_deadline(site: Site, fleet: Fleet) -> None:
    away = nodes_yaml(fleet.nodes[:2]).split("---\n")[1].replace(f"Port: {fleet.nodes[1].port}\n", "Port: 9\n")
    key = fleet.nodes[1].host_key_line.split(maxsplit=1)[1]
    site.commit(
        {
            "state/nodes/web.yaml": f"{nodes_yaml(fleet.nodes[:1])}---\n{away}",
            "state/known_hosts": f"{fleet.known_hosts}[{fleet.nodes[1].address}]:9 {key}",
        }
    )
    began = time.monotonic()
    sent = send(site, *WEB, *shell(), "--timeout-seconds", "30", code=2)
    assert details(sent) == {"web-01": "Success", "web-02": "DeliveryTimedOut"}
    assert (sent["Command"]["StatusDetails"], sent["Command"]["Status"]) == ("DeliveryTimedOut", "TimedOut")
    assert sent["Command"]["DeliveryTimedOutCount"] == 1
    assert time.monotonic() - began >= 30


def test_a_node_with_another_key_is_undeliverable_and_stops_nothing(site: Site, fleet: Fleet) -> None:
    lines = fleet.known_hosts.splitlines(keepends=True)
    known = "".join(
        line for line in lines if not line.startswith((fleet.nodes[0].address, f"[{fleet.nodes[0].address}]"))
    )
    site.commit({"state/known_hosts": known})
    sent = send(site, *WEB, *shell(), "--max-concurrency", "1", code=0)
    assert details(sent) == dict.fromkeys(("web-02", "web-03", "web-04"), "Success") | {"web-01": "Undeliverable"}
    assert marks(fleet) == [0, 1, 1, 1]


def test_pauses_holds_and_modes_bind_it(site: Site, fleet: Fleet) -> None:
    nodes = nodes_yaml(fleet.nodes).split("---\n")
    nodes[3] += "Mode: warn\n"
    site.commit({"state/nodes/web.yaml": "---\n".join(nodes)})
    site.command("pause", "--node", "web-01", "--reason", "moving", check=0)
    fleet.nodes[1].run(["sh", "-c", "mkdir -p /etc/reconciler && echo 'why: mine' > /etc/reconciler/hold"])
    sent = send(site, *WEB, *shell(), code=2)
    assert details(sent) == {
        "web-01": "Cancelled",
        "web-02": "Cancelled",
        "web-03": "Success",
        "web-04": "AccessDenied",
    }
    why = {each["InstanceId"]: each["StatusReason"] for each in sent["Invocations"]}
    assert "paused by" in why["web-01"]
    assert "held by" in why["web-02"]
    assert "Mode: warn" in why["web-04"]
    assert sent["Command"]["StatusDetails"] == "Incomplete"
    assert marks(fleet) == [0, 0, 1, 0]


def test_a_cancel_ends_what_runs_and_what_waits(site: Site, fleet: Fleet) -> None:
    answer: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: answer.append(
            send(site, *WEB, *shell("sleep 300 & echo $! > /var/log/child", "wait"), "--max-concurrency", "2")
        )
    )
    thread.start()
    try:
        wait_until(lambda: marks(fleet)[:2] == [1, 1], "two nodes have begun")
        (record,) = records(site).values()
        assert record["Command"]["StatusDetails"] == "Pending"
        assert record["Command"]["Parameters"]["commands"][1].startswith("sleep 300")
        wait_until(lambda: told(site, record).count("InProgress") == 2, "others are told what has begun")
        assert told(site, record).count("it is being sent from this host, and has not begun on this node yet") == 2
        site.command(
            "cancel-command", "--command-id", record["Command"]["CommandId"], "--repo", str(site.repo), check=0
        )
    finally:
        thread.join(200)
    (sent,) = answer
    assert set(details(sent).values()) == {"Cancelled"}
    assert sent["Command"]["StatusDetails"] == "Cancelled"
    assert marks(fleet) == [1, 1, 0, 0]
    for node in fleet.nodes[:2]:
        child = (node.root / "var/log/child").read_text().strip()
        assert (
            node.run(["sh", "-c", f"kill -0 {child} 2>/dev/null && echo alive || echo gone"]).stdout.strip() == "gone"
        )
    again = site.command(
        "cancel-command", "--command-id", sent["Command"]["CommandId"], "--repo", str(site.repo), check=0
    )
    assert "has ended already: Cancelled" in again.stdout


TWO_STEPS = f"""\
schemaVersion: '2.2'
mainSteps:
- {{name: first, action: 'aws:runShellScript', inputs: {{runCommand: [echo one]}}}}
- {{name: second, action: 'aws:runShellScript', inputs: {{runCommand: [echo so far, '{HELD_UP}', echo end]}}}}
"""


def asked(site: Site, *words: str) -> dict[str, Any]:
    """What somebody else is told meanwhile."""
    found: dict[str, Any] = json.loads(site.command(*words, "--repo", str(site.repo), "--format", "json").stdout)
    return found


def only_command(site: Site) -> dict[str, Any]:
    (command,) = asked(site, "list-commands")["Commands"]
    found: dict[str, Any] = command
    return found


def invocations(site: Site, command: str) -> dict[str, dict[str, Any]]:
    found = asked(site, "list-command-invocations", "--command-id", command, "--details")["CommandInvocations"]
    return {each["InstanceId"]: each for each in found}


def test_others_are_told_how_far_a_command_is_and_nothing_that_is_not_known(site: Site, fleet: Fleet) -> None:
    site.commit({"documents/Slow.yaml": TWO_STEPS})
    away = nodes_yaml(fleet.nodes).split("---\n")[3].replace(f"Port: {fleet.nodes[3].port}\n", "Port: 9\n")
    key = fleet.nodes[3].host_key_line.split(maxsplit=1)[1]
    known = f"{fleet.known_hosts}[{fleet.nodes[3].address}]:9 {key}"
    site.commit({"state/nodes/web.yaml": f"{nodes_yaml(fleet.nodes[:3])}---\n{away}", "state/known_hosts": known})
    sender = site.start(
        "send-command", *WEB, "--document-name", "Slow", "--max-concurrency", "3", "--repo", str(site.repo)
    )
    try:
        wait_until(lambda: bool(asked(site, "list-commands")["Commands"]), "it is recorded")
        command = only_command(site)["CommandId"]

        def states() -> list[str]:
            return [each["StatusDetails"] for _, each in sorted(invocations(site, command).items())]

        wait_until(lambda: states() == ["InProgress"] * 3 + ["Pending"], "three have begun")
        assert only_command(site)["StatusDetails"] == "InProgress"

        def steps() -> list[str]:
            return [each["StatusDetails"] for each in invocations(site, command)["web-01"]["CommandPlugins"]]

        wait_until(lambda: steps() == ["Success", "InProgress"], "its steps are seen")
        one = invocations(site, command)["web-01"]
        assert [each["ResponseCode"] for each in one["CommandPlugins"]] == [0, -1]
        assert (one["ResponseCode"], one["ExecutionEndDateTime"]) == (-1, None)
        assert one["ExecutionStartDateTime"] is not None
        step = ("get-command-invocation", "--command-id", command, "--instance-id", "web-01", "--plugin-name")
        assert asked(site, *step, "first")["StandardOutputContent"] == "one\n"
        wait_until(
            lambda: asked(site, *step, "second")["StandardOutputContent"] == "so far\n", "what it wrote is there"
        )
        found = asked(site, *step, "second")
        assert (found["Status"], found["InvocationStatus"]) == ("InProgress", "InProgress")
        # What has ended is told before all have; the slot that it leaves goes to a node that is away.
        let_go(fleet.nodes[1:2])
        wait_until(lambda: states() == ["InProgress", "Success", "InProgress", "Delayed"], "one has ended, one is away")
        assert only_command(site)["StatusReason"] == "running on 2 nodes; 1 of 4 have ended"
        assert invocations(site, command)["web-04"]["ExecutionStartDateTime"] is None
        # From another state folder nothing of it is known, and nothing is made up.
        other = site.command(
            "list-command-invocations",
            "--command-id",
            command,
            "--repo",
            str(site.repo),
            state_dir=site.folder / "other",
        )
        assert other.stdout.count("Pending") == 4
        assert "from another host, or its sender is gone" in other.stdout
        assert len(records(site)) == 1
        assert site.git("rev-list", "--count", "compliance") == "1"
        # A sender that is killed leaves what was known last.
        sender.kill()
        assert sender.wait() == -signal.SIGKILL
        wait_until(lambda: states() == ["InProgress", "Success", "InProgress", "Delayed"], "it is known still")
        reason = invocations(site, command)["web-01"]["StatusReason"]
        assert (
            reason
            == "running, at second; this was known last; its sender is gone, and the next pass completes the record"
        )
    finally:
        sender.kill()
        sender.wait()
        let_go(fleet.nodes)


SLOW_PACKAGE = """\
set -e
rm -rf /tmp/slow /var/log/configured /var/log/configuring /var/log/go
mkdir -p /tmp/slow/DEBIAN
printf 'Package: slow-one\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@example.org>\\nDescription: slow\\n' >/tmp/slow/DEBIAN/control
printf '#!/bin/sh\\nset -e\\n: >/var/log/configuring\\nuntil [ -e /var/log/go ]; do sleep 0.1; done\\n: >/var/log/configured\\n' >/tmp/slow/DEBIAN/postinst
chmod 755 /tmp/slow/DEBIAN/postinst
dpkg-deb --build /tmp/slow /tmp/slow.deb >/dev/null
"""


def test_a_package_transaction_that_has_begun_is_waited_for(site: Site, fleet: Fleet) -> None:
    node = fleet.nodes[0]
    node.run(["sh", "-c", SLOW_PACKAGE])
    commands = ["dpkg -i /tmp/slow.deb", "sleep 300", f"echo after >> {LOG}"]
    sender = site.start(
        "send-command", "--instance-ids", "web-01", "--document-name", "AWS-RunShellScript",
        "--parameters", json.dumps({"commands": commands}), "--repo", str(site.repo), log=site.folder / "sender.log",
    )  # fmt: skip
    wait_until((node.root / "var/log/configuring").exists, "the package is being configured")
    (record,) = records(site).values()
    canceller = site.start("cancel-command", "--command-id", record["Command"]["CommandId"], "--repo", str(site.repo))
    waits = re.compile(r"web-01: Cancelling  cancelling, waiting for dpkg \(pid \d+, since \d\d:\d\d:\d\dZ\)")
    wait_until(lambda: waits.search((site.folder / "sender.log").read_text()) is not None, "it says what it waits for")
    (node.root / "var/log/go").touch()
    assert sender.wait(60) == 2
    assert canceller.wait(60) == 0
    assert (node.root / "var/log/configured").exists()
    assert node.run(["dpkg-query", "-W", "-f", "${Status}", "slow-one"]).stdout == "install ok installed"
    (record,) = records(site).values()
    assert record["Command"]["StatusDetails"] == "Cancelled"
    assert marks(fleet)[0] == 0
    node.run(["dpkg", "--purge", "slow-one"])


def test_a_transaction_is_waited_for_though_nobody_asks_again(site: Site, fleet: Fleet) -> None:
    node = fleet.nodes[0]
    node.run(["sh", "-c", SLOW_PACKAGE])
    script = shell("dpkg -i /tmp/slow.deb", "sleep 300 & echo $! > /var/log/child", "wait")
    sender = site.start("send-command", "--instance-ids", "web-01", *script, "--repo", str(site.repo))
    wait_until((node.root / "var/log/configuring").exists, "the package is being configured")
    sender.kill()
    sender.wait(60)
    (record,) = records(site).values()
    done = site.command(
        "cancel-command", "--command-id", record["Command"]["CommandId"], "--repo", str(site.repo), check=0
    )
    assert "web-01: cancelling, waiting for dpkg (pid " in done.stdout
    (node.root / "var/log/go").touch()
    wait_until(lambda: all_ended(node), "the run has ended by itself")
    assert (node.root / "var/log/configured").exists()
    site.once()
    (after,) = records(site).values()
    assert after["Invocations"]["web-01"]["StatusDetails"] == "Cancelled"
    node.run(["dpkg", "--purge", "slow-one"])


def test_a_sender_that_was_killed_loses_nothing(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    sender = site.start(
        "send-command", "--instance-ids", "web-01", *shell(HELD_UP, f"echo done >> {LOG}"), "--repo", str(site.repo)
    )
    wait_until(lambda: marks(fleet)[0] == 1, "it has begun")
    wait_until(lambda: any(site.state_dir.glob("commands/*.progress")), "its sender has told how far it is")
    sender.kill()
    sender.wait(60)
    (before,) = records(site).values()
    assert before["Invocations"]["web-01"]["StatusDetails"] == "Pending"
    listed = site.command(
        "list-command-invocations", "--instance-id", "web-01", "--repo", str(site.repo), check=0
    ).stdout
    assert before["Command"]["CommandId"] in listed
    assert "InProgress" in listed
    assert "this was known last; its sender is gone, and the next pass completes the record" in listed
    let_go(fleet.nodes)
    wait_until(lambda: marks(fleet)[0] == 2 and all_ended(fleet.nodes[0]), "it goes on to its end")

    result = site.once()
    assert result.all_in_sync
    assert result.plan.removals == ()
    (after,) = records(site).values()
    assert after["Invocations"]["web-01"]["StatusDetails"] == "Success"
    assert after["Command"]["StatusDetails"] == "Success"
    assert list((fleet.nodes[0].root / "var/lib/reconciler/runs").glob("[0-9a-f]*")) == []
    assert [path.name for path in (fleet.nodes[0].root / "var/lib/reconciler/markers").iterdir()] == ["example@motd"]
    assert site.once().report_commit is None
    assert marks(fleet)[0] == 2


def test_a_command_whose_sender_is_gone_is_cancelled_on_its_nodes(site: Site, fleet: Fleet) -> None:
    sender = site.start("send-command", "--instance-ids", "web-01", *shell("sleep 300"), "--repo", str(site.repo))
    wait_until(lambda: marks(fleet)[0] == 1, "it has begun")
    sender.kill()
    sender.wait(60)
    done = site.command(
        "cancel-command", "--command-id", next(iter(records(site)))[-41:-5], "--repo", str(site.repo), check=0
    )
    assert "web-01: Cancelled" in done.stdout
    site.once()
    (after,) = records(site).values()
    assert after["Invocations"]["web-01"]["StatusDetails"] == "Cancelled"


def test_reports_that_are_lost_keep_it_from_sending(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    site.git("update-ref", "-d", "refs/heads/compliance")
    done = site.command("send-command", *WEB, *shell(), "--repo", str(site.repo), check=1)
    assert "nothing was sent, for it could not be recorded" in done.stderr
    elsewhere = site.command(
        "send-command", *WEB, *shell(), "--repo", str(site.repo), check=1, state_dir=site.folder / "another"
    )
    assert "nothing was sent: there is no report here" in elsewhere.stderr
    assert marks(fleet) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--instance-ids", "web-09"), "InvalidInstanceId"),
        (("--instance-ids", "web-01", "--max-concurrency", "0"), "--max-concurrency"),
        (("--instance-ids", "web-01", "--document-version", "9"), "InvalidDocumentVersion"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_leaves_nothing(site: Site, options: tuple[str, ...], said: str) -> None:
    done = site.command("send-command", *shell(), *options, "--repo", str(site.repo), check=64)
    assert said in done.stderr
    assert site.git("branch", "--list", "compliance") == ""


def test_the_whole_output_goes_into_a_folder_as_s3_has_it(site: Site, fleet: Fleet) -> None:
    folder = site.folder / "results"
    folder.mkdir()
    script = shell("seq 10000", "test $(cat /etc/hostname) = x || echo err >&2")
    sent = send(
        site, "--instance-ids", "web-01,web-02", *script,
        "--output-s3-bucket-name", "../results", "--output-s3-key-prefix", "logs/today", code=0,
    )  # fmt: skip
    command = sent["Command"]
    assert command["OutputS3KeyPrefix"] == "logs/today"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    below = f"logs/today/{command['CommandId']}"
    step = "awsrunShellScript/0.awsrunShellScript"
    assert found == {f"{below}/{node}/{step}/{name}" for node in ("web-01", "web-02") for name in ("stdout", "stderr")}
    kept = (folder / below / "web-02" / step / "stdout").read_text()
    assert kept == "".join(f"{number}\n" for number in range(1, 10_001)), "all of it, beyond SSM's 24,000 bytes"
    away = site.command(
        "send-command", *WEB, *shell(), "--output-s3-bucket-name", "./no-such", "--repo", str(site.repo), check=64
    )
    assert "InvalidOutputFolder" in away.stderr
    assert marks(fleet)[2:] == [0, 0]


def test_targets_that_mean_nobody_end_at_once(site: Site) -> None:
    sent = send(site, "--targets", "Key=tag:Role,Values=Web", *shell(), code=2)
    assert (sent["Command"]["StatusDetails"], sent["Invocations"]) == ("NoInstancesInTag", [])


def test_many_nodes_are_confirmed(site: Site, fleet: Fleet) -> None:
    more = "".join(f"---\nId: spare-{number}\nAddress: 127.0.0.1\nTags: {{Role: web}}\n" for number in range(8))
    site.commit({"state/nodes/web.yaml": nodes_yaml(fleet.nodes) + more})
    done = site.command("send-command", *WEB, *shell(), "--repo", str(site.repo), check=64)
    assert "12 nodes are meant: add --yes" in done.stderr
    assert marks(fleet) == [0, 0, 0, 0]
    done = site.command("send-command", *WEB, *shell(), "--yes", "--repo", str(site.repo), check=0)
    (record,) = records(site).values()
    assert (record["Command"]["TargetCount"], record["Command"]["StatusDetails"]) == (12, "Success")
    assert [each["StatusDetails"] for each in record["Invocations"].values()].count("Undeliverable") == 8
    assert f"--command-id {record['Command']['CommandId']} --details --repo {site.repo}\n" in done.stderr
    guarded = ("--yes", "--max-concurrency", "1", "--max-unreachable", "1")
    done = site.command("send-command", *WEB, *shell(), *guarded, "--repo", str(site.repo), check=2)
    assert "; stops, too, when 2 nodes are out of reach" in done.stderr
    assert "Incomplete, 0 of 12 nodes succeeded; 10 were not sent" in done.stdout
    assert "2 nodes are out of reach, --max-unreachable allows 1" in done.stdout
    assert marks(fleet) == [1, 1, 1, 1]
