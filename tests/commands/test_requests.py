"""What send-command takes: SSM's limits, SSM's names of errors, and at which failure it says that it stops."""

import itertools
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from reconciler.commands.command import Command, prepare
from reconciler.commands.record import Invocation, begin_record, command_in, decode_record, encode_record
from reconciler.commands.request import Typed, looks_secret, ordinal, read_request, stop_in_words
from reconciler.commands.statuses import Detail
from reconciler.errors import UsageError
from reconciler.ids import CommitId, NodeId
from reconciler.model.association import Target
from reconciler.model.desired import DesiredState
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.progress import Ending, Ramp, Rollout
from tests.commands.three_nodes import three_nodes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = UUID("3f1c0000-0000-4000-8000-000000000001")

SECRET_DOCUMENT = """\
schemaVersion: '2.2'
parameters:
  dbPassword: {type: String, default: none}
  text: {type: String, default: x}
mainSteps:
  - {name: a, action: 'aws:runShellScript', inputs: {timeoutSeconds: '120', runCommand: ['echo {{ text }}']}}
  - {name: b, action: 'aws:runShellScript', inputs: {runCommand: ['true']}}
"""


def a_state(**files: str) -> DesiredState:
    given = {
        "documents/Secret.yaml": SECRET_DOCUMENT,
        "state/groups/web.yaml": "Name: web\nResourceQuery: {TagFilters: [{Key: Role, Values: [Web]}]}\n",
        **files,
    }
    return three_nodes(**{name: text.encode() for name, text in given.items()})


def typed(**fields: Any) -> Typed:
    wanted = {"document_name": "AWS-RunShellScript", "parameters": ["commands=id"]}
    if not {"targets", "instance_ids"} & set(fields):
        wanted["instance_ids"] = ["n1"]
    return Typed(**{**wanted, **fields})


def a_command(**fields: Any) -> Command:
    return prepare(read_request(typed(**fields)), a_state(), command=ID, login="ann", now=NOW)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"document_name": "a b"}, "--document-name"),
        ({"document_name": "a/b/Doc"}, "InvalidDocument: .* or a document's ARN"),
        ({"document_name": "Secret:1", "document_version": "2"}, "InvalidDocumentVersion: .* says version 1"),
        ({"document_version": "0"}, "InvalidDocumentVersion"),
        ({"document_version": "$NEWEST"}, "InvalidDocumentVersion"),
        ({"document_hash": "abc"}, "64 hexadecimal digits"),
        ({"max_concurrency": "0"}, "--max-concurrency"),
        ({"max_concurrency": "0%"}, "--max-concurrency"),
        ({"max_concurrency": "05%"}, "--max-concurrency"),
        ({"max_concurrency": "150%"}, "--max-concurrency"),
        ({"max_concurrency": "10 %"}, "--max-concurrency"),
        ({"max_concurrency": "12345678"}, "--max-concurrency"),
        ({"max_concurrency": "\u0661"}, "--max-concurrency"),
        ({"max_errors": "100.0%"}, "--max-errors"),
        ({"max_errors": "-1"}, "--max-errors"),
        ({"max_unreachable": "5 %"}, "--max-unreachable"),
        ({"max_errors": "01"}, "--max-errors"),
        ({"timeout_seconds": 29}, "--timeout-seconds"),
        ({"timeout_seconds": 2_592_001}, "--timeout-seconds"),
        ({"comment": "x" * 101}, "--comment"),
        ({"ramp": "linear"}, "--ramp"),
        ({"instance_ids": []}, "give one of"),
        ({"targets": ["Key=tag:Role,Values=Web"], "instance_ids": ["n1"]}, "give one of"),
        ({"instance_ids": ["n1,n2", "n1"]}, "DuplicateInstanceId: n1"),
        ({"instance_ids": [f"n{number}" for number in range(51)]}, "at most 50"),
        ({"instance_ids": ["n1,,n2"]}, "an id is missing"),
        ({"targets": ["Key=tag:Role"]}, "InvalidTarget"),
        ({"targets": ["Key=tag:,Values=x"]}, "InvalidTarget"),
        ({"targets": ["Key=Role,Values=x"]}, "InvalidTarget"),
        ({"targets": ["Key=tag:Role,Values=[Web"]}, "InvalidTarget: --targets, at character"),
        ({"targets": ['{"Key": "tag:Role", "Values": "Web"}']}, "InvalidTarget"),
        ({"targets": ['[{"Key": "tag:Role"']}, "InvalidTarget"),
        ({"targets": ["Key=resource-groups:Name,Values=a,b"]}, "exactly one group"),
        ({"targets": ["Key=tag:Role,Values=" + ",".join("x" * 51)]}, "1 to 50"),
        ({"targets": [f"Key=tag:T{number},Values=x" for number in range(6)]}, "at most 5"),
        ({"parameters": ["commands=[id"]}, "InvalidParameters"),
        ({"parameters": ['{"commands": ']}, "InvalidParameters"),
        ({"parameters": ['{"commands": null}']}, "InvalidParameters: .*commands is null"),
        ({"parameters": ['{"commands": ["id"], "commands": ["reboot"]}']}, "InvalidParameters: .*given twice"),
        ({"targets": ['{"Key": "tag:Role", "Values": ["Db"], "Values": ["Web"]}']}, "InvalidTarget: .*given twice"),
    ],
)
def test_what_ssm_refuses_is_refused_by_its_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("$", r"\$")):
        read_request(typed(**fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"document_name": "Nothing"}, "InvalidDocument: there is no document Nothing in documents/$"),
        ({"document_name": "AWS-RunShelScript"}, r"InvalidDocument: .*; did you mean AWS-RunShellScript\?"),
        ({"parameters": []}, "InvalidParameters: parameter commands has no default: give it a value"),
        ({"document_version": "7"}, r"InvalidDocumentVersion: .*\(there are: 1\)"),
        ({"document_hash": "0" * 64}, "InvalidDocument: .* nothing was sent"),
        ({"parameters": ["nonsense=1"]}, "InvalidParameters: .*nonsense"),
        ({"parameters": []}, "InvalidParameters: .*commands"),
        ({"parameters": [json.dumps({"commands": ["x" * 70_000]})]}, "MaxDocumentSizeExceeded"),
        ({"document_name": "aws-runshellscript"}, r"InvalidDocument: .*; did you mean AWS-RunShellScript\?"),
        ({"parameters": ["Commands=id"]}, r"InvalidParameters: .*; did you mean commands\?"),
        ({"instance_ids": ["n1", "N2"]}, r"InvalidInstanceId: no node is called N2; did you mean n2\?"),
        (
            {"instance_ids": ["n1", "other"]},
            "InvalidInstanceId: no node is called other; `reconciler nodes` lists them",
        ),
        ({"targets": ["Key=resource-groups:Name,Values=db"]}, "InvalidTarget: there is no group db"),
    ],
)
def test_what_the_state_does_not_hold_is_refused_by_its_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        a_command(**fields)


@pytest.mark.parametrize(
    ("targets", "meant"),
    [
        (["Key=tag:Env,Values=Dev"], ["n1", "n3"]),
        (["Key=tag:Env,Values=Dev,Test"], ["n1", "n2", "n3"]),
        (["Key=tag:Env,Values=[Dev, Test]"], ["n1", "n2", "n3"]),
        (["Key=tag:Env,Values=Dev", "Key=tag:Role,Values=Web"], ["n1"]),
        (['[{"Key": "tag:Env", "Values": ["Dev"]}, {"Key": "tag:Role", "Values": ["Web"]}]'], ["n1"]),
        (["Key=tag-key,Values=Role"], ["n1", "n2", "n3"]),
        (["Key=tag:env,Values=Dev"], []),
        (["Key=InstanceIds,Values=*"], ["n1", "n2", "n3"]),
        (["Key=instanceids,Values=n3,n1"], ["n1", "n3"]),
        (["Key=resource-groups:Name,Values=web"], ["n1", "n2"]),
    ],
)
def test_targets_as_the_aws_cli_takes_them(targets: list[str], meant: list[str]) -> None:
    assert list(a_command(targets=targets).nodes) == meant


def test_document_and_parameters_share_their_limit() -> None:
    filler = "# " + "x" * 40_000 + "\n"
    state = a_state(**{"documents/Secret.yaml": filler + SECRET_DOCUMENT})
    fits, too_much = (
        read_request(typed(document_name="Secret", parameters=[json.dumps({"text": "x" * size})]))
        for size in (20_000, 26_000)
    )
    assert prepare(fits, state, command=ID, login="ann", now=NOW).nodes
    with pytest.raises(UsageError, match=r"MaxDocumentSizeExceeded: the document holds 40\d+ bytes"):
        prepare(too_much, state, command=ID, login="ann", now=NOW)


@pytest.mark.parametrize(
    "ids", [["n1", "n3"], ["n1,n3"], ["n1, n3"], ["n1 n3"], ['["n1", "n3"]'], ['["n1"]', "n3"], ["n1\n", "n3"]]
)
def test_ids_as_the_aws_cli_takes_them(ids: list[str]) -> None:
    assert a_command(instance_ids=ids).nodes == ("n1", "n3")


@pytest.mark.parametrize("ids", [['["n1"'], ["[1]"], ['["n1", null]'], ['["n1", ""]'], ['["n1", "n1"]']])
def test_a_list_of_ids_that_is_none_is_refused(ids: list[str]) -> None:
    with pytest.raises(UsageError, match="nstance"):
        a_command(instance_ids=ids)


@pytest.mark.parametrize(
    "name",
    [
        "Secret",
        "Secret:1",
        "Secret:$DEFAULT",
        "arn:aws:ssm:eu-central-1:123456789012:document/Secret",
        "arn:aws-cn:ssm:cn-north-1:123456789012:document/Secret:1",
    ],
)
def test_a_document_goes_by_its_name_or_its_arn(name: str) -> None:
    wanted = typed(document_name=name, parameters=[])
    if "$" in name:
        with pytest.raises(UsageError, match="--document-name"):
            read_request(wanted)
    else:
        command = prepare(read_request(wanted), a_state(), command=ID, login="ann", now=NOW)
        assert (command.document.name, command.document.version) == ("Secret", "1")


def test_targets_are_kept_as_they_were_written() -> None:
    request = read_request(typed(targets=["Key=tag:Environment,Values=Production,Staging"]))
    assert request.targets == (Target(key="tag:Environment", values=("Production", "Staging")),)


def test_it_expires_after_its_delivery_and_all_its_steps() -> None:
    command = a_command(document_name="Secret", parameters=[], timeout_seconds=600)
    assert command.deliver_until == NOW + timedelta(seconds=600)
    assert command.expires == NOW + timedelta(seconds=600 + 120 + 3600)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"state/fleet.yaml": "Fleet: example\nSuspend: true\n"}, "suspended"),
        ({"state/fleet.yaml": "Fleet: example\nMode: observe\n"}, "Mode: observe"),
    ],
)
def test_where_the_state_allows_no_changes_nobody_is_touched(files: dict[str, str], why: str) -> None:
    command = prepare(read_request(typed()), a_state(**files), command=ID, login="ann", now=NOW)
    assert why in command.denied[NodeId("n1")]
    record = begin_record(command, None)
    assert [each.detail for each in record.invocations] == [Detail.ACCESS_DENIED]
    assert record.verdict.detail is Detail.FAILED


@pytest.mark.parametrize(
    ("targets", "expression", "words"),
    [
        (50, "10%", "stops at the 6th failure: MaxErrors 10% tolerates 5 on 50 nodes"),
        (9, "0", "stops at the 1st failure: MaxErrors 0 tolerates 0 on 9 nodes"),
        (9, "3", "stops at the 4th failure"),
        (5, "10%", "stops at the 1st failure"),
        (20, "100%", "does not stop at failures: MaxErrors 100% tolerates 20 on 20 nodes"),
        (4, "10", "does not stop at failures"),
    ],
)
def test_it_says_beforehand_at_which_failure_it_stops(targets: int, expression: str, words: str) -> None:
    assert stop_in_words(error_threshold(expression, targets), targets, expression).startswith(words)


@pytest.mark.parametrize(
    ("concurrency", "timeout", "execution", "words"),
    [
        ("1", 30, 10, ""),
        ("1", 30, 15, "; if each takes as long as it may (15 s), only 2 of 3 start within --timeout-seconds 30"),
        (
            "1",
            3600,
            3600,
            "; if each takes as long as it may (3600 s), only 1 of 3 start within --timeout-seconds 3600",
        ),
        ("2", 30, 30, "; if each takes as long as it may (30 s), only 2 of 3 start within --timeout-seconds 30"),
        ("3", 30, 3600, ""),
        ("1", 2_592_000, 3600, ""),
    ],
)
def test_it_says_beforehand_where_not_all_may_start_in_time(
    concurrency: str, timeout: int, execution: int, words: str
) -> None:
    command = a_command(
        targets=["Key=InstanceIds,Values=*"],
        parameters=["commands=id", f"executionTimeout={execution}"],
        max_concurrency=concurrency,
        timeout_seconds=timeout,
    )
    assert command.in_words.rpartition("on 3 nodes")[2] == words


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ("", ""),
        ("0", "; stops, too, when 1 node is out of reach"),
        ("50%", "; stops, too, when 2 nodes are out of reach"),
        ("3", ""),
    ],
)
def test_it_says_beforehand_at_how_many_nodes_out_of_reach_it_stops(most: str, words: str) -> None:
    command = a_command(targets=["Key=InstanceIds,Values=*"], max_unreachable=most, max_concurrency="3")
    assert command.in_words.rpartition("on 3 nodes")[2] == words
    record = begin_record(command, None)
    assert (decode_record(encode_record(record)), record.max_unreachable) == (record, most or None)
    assert (b"MaxUnreachable" in encode_record(record)) is bool(most)


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        (["Key=tag:env,Values=Dev"], "no node has a tag env; there are: Env, Role"),
        (["Key=tag:Env,Values=dev,prod"], "no node's tag Env is dev or prod; there are: Dev, Test"),
        (["Key=tag:Role,Values=Db", "Key=tag:Env,Values=Test"], "the targets fit no node together"),
        (["Key=tag-key,Values=env"], "the targets fit no node together"),
    ],
)
def test_who_means_nobody_is_told_why(targets: list[str], why: str) -> None:
    assert a_command(targets=targets).in_words == f"AWS-RunShellScript, version 1, on no node: {why}"


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st", "111th",
    ]  # fmt: skip


def test_a_record_reads_back_and_hides_what_its_name_calls_secret() -> None:
    command = a_command(document_name="Secret", parameters=["dbPassword=hunter2,text=plain"], comment="why not")
    record = begin_record(command, CommitId("a" * 40)).with_invocations(
        [Invocation(node=NodeId("n1"), detail=Detail.FAILED, exit_code=3, started=NOW, ended=NOW)], cancelled=True
    )
    content = encode_record(record)
    assert b"hunter2" not in content
    assert record.parameters == {"dbPassword": ("[masked]",), "text": ("plain",)}
    assert decode_record(content) == record
    assert encode_record(decode_record(content)) == content
    assert record.path == f"commands/2026-03/{ID}.json"
    assert command_in(record.path) == ID
    later = record.with_invocations([Invocation(node=NodeId("n1"), detail=Detail.SUCCESS)])
    assert later.invocations == record.invocations, "what has ended never changes"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"Version": 1}', b'{"Version": 1, "Command": 3}'])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode_record(content)


def play(size: int, limit: int, threshold: int, chance: random.Random, failing: float) -> int:
    """Play one dispatch to its end; gives how many were started. Asserts on the way."""
    waiting = tuple(NodeId(f"n{number:03}") for number in range(size))
    rollout = Rollout(limit=limit, threshold=threshold, ramp=chance.choice(list(Ramp)), waiting=waiting)
    started: list[NodeId] = []
    errors = 0
    while True:
        before = rollout
        rollout, chosen = rollout.release(frozenset(rollout.waiting))
        started += chosen
        assert len(rollout.in_flight) <= limit
        assert not (chosen and errors > threshold), "started after the stop"
        if not rollout.in_flight:
            break
        node = chance.choice(sorted(rollout.in_flight))
        if chance.random() < 0.3:
            rollout = rollout.acknowledged(node)
            continue
        ending = Ending.ERROR if chance.random() < failing else chance.choice([Ending.SUCCESS, Ending.NEITHER])
        errors += ending is Ending.ERROR
        rollout = rollout.ended(node, ending)
        assert (rollout.stopped is not None) == (errors > threshold)
    assert len(started) == len(set(started))
    assert errors > threshold or not before.waiting, "every node has its turn unless it stops"
    return len(started)


def test_five_thousand_dispatches_never_exceed_their_limits() -> None:
    combinations = list(
        itertools.product(
            (0, 1, 2, 5, 10, 12, 20, 50),
            ("1", "3", "50", "1%", "10%", "25%", "100%"),
            ("0", "1", "3", "0%", "10%", "100%"),
            (0.0, 0.05, 0.3, 0.7, 1.0),
            range(3),
        )
    )
    assert len(combinations) >= 5000
    chance = random.Random(4)
    for size, concurrency, tolerated, failing, _ in combinations:
        limit, threshold = in_flight_limit(concurrency, size), error_threshold(tolerated, size)
        started = play(size, limit, threshold, chance, failing)
        if failing == 1.0:
            assert started <= min(size, threshold + limit), "those in flight at the stop, and no more"


def test_a_hash_of_the_right_document_is_taken() -> None:
    document = a_state().documents[read_request(typed()).document].get("$DEFAULT")
    assert document is not None
    command = prepare(replace(read_request(typed()), hash=document.digest), a_state(), command=ID, login="ann", now=NOW)
    assert command.document == document


@pytest.mark.parametrize(
    "name",
    [
        "dbPassword",
        "dbPassword2",
        "adminPasswordOld",
        "userPwd",
        "pwd",
        "sshKey",
        "ssh_key",
        "dbPass",
        "dbpass",
        "PASS",
        "passphrase",
        "apiKey",
        "accessKeyId",
        "authToken2",
        "clientSecret",
        "privateKey",
        "credentials",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["bypass", "compass", "passive", "passenger", "keyName", "hostKeys", "commands"])
def test_names_that_only_sound_like_secrets_are_none(name: str) -> None:
    assert not looks_secret(name)
