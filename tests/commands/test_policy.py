"""Who may send what: the rules of the host settings, each refusal with its reason."""

import getpass
from pathlib import Path
from typing import Any

import pytest

from reconciler.commands.command import prepare
from reconciler.commands.policy import why_not
from reconciler.commands.request import read_request
from reconciler.daemon.callers import login_name
from reconciler.errors import SettingsError
from reconciler.model.command_rule import CommandRule
from tests.cli.commands import Host
from tests.commands.test_requests import ID, NOW, a_state, typed
from tests.commands.three_nodes import NODES


def refusal(login: str, *rules: CommandRule, **fields: Any) -> str | None:
    state = a_state()
    command = prepare(read_request(typed(**fields)), state, command=ID, login=login, now=NOW)
    return why_not(rules, login, command, state)


ANN = CommandRule(logins=("ann",), documents=("AWS-RunShellScript",), targets=("tag:Role=Web", "n3"), max_nodes=2)


@pytest.mark.parametrize(
    ("login", "rules", "fields", "said"),
    [
        pytest.param("bo", (), {}, None, id="no rules"),
        pytest.param("ann", (ANN,), {}, None, id="all of it"),
        pytest.param("ann", (ANN,), {"instance_ids": ["n1", "n3"]}, None, id="each node by another selector"),
        pytest.param("bo", (ANN,), {}, "no rule of SendCommand in the host settings names bo", id="another login"),
        pytest.param("Ann", (ANN,), {}, "names Ann", id="logins are exact"),
        pytest.param(
            "ann",
            (ANN,),
            {"document_name": "Secret", "parameters": []},
            "may send AWS-RunShellScript, not Secret",
            id="another document",
        ),
        pytest.param("ann", (ANN,), {"instance_ids": ["n1,n2,n3"]}, "2 nodes at most, not to 3", id="too many"),
        pytest.param(
            "ann",
            (CommandRule(logins=("ann",), targets=("tag:Role=Db",)),),
            {"instance_ids": ["n1,n2,n3"]},
            "not to n1 and 1 more",
            id="other nodes",
        ),
        pytest.param(
            "ann",
            (ANN, CommandRule(logins=("ann", "bo"))),
            {"instance_ids": ["n1,n2,n3"]},
            None,
            id="one rule is enough",
        ),
    ],
)
def test_a_rule_lets_it_or_says_why_not(
    login: str, rules: tuple[CommandRule, ...], fields: dict[str, Any], said: str | None
) -> None:
    found = refusal(login, *rules, **fields)
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_selector_that_is_none_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="SendCommand, Targets"):
        refusal("ann", CommandRule(logins=("ann",), targets=("Role=web=",)))


def test_who_is_not_named_sends_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, "SendCommand: [{Logins: [somebody-else]}]\n")
    host.commit({"state/fleet.yaml": "Fleet: example\n", "state/nodes/all.yaml": NODES})
    options = ("--document-name", "AWS-Noop", "--targets", "Key=tag:Role,Values=nobody", "--repo", "fleet")
    answer = host.run("send-command", *options, code=64)
    assert f"AccessDenied: no rule of SendCommand in the host settings names {login_name()}" in answer.err
    assert host.git("branch", "--list", "compliance") == ""
    host.settings.write_text(f"SendCommand: [{{Logins: [{login_name()}], Documents: [AWS-Noop]}}]\n")
    assert "NoInstancesInTag" in host.run("send-command", *options, code=2).out
    assert login_name() == getpass.getuser() or Path("/proc/self/loginuid").read_text() != "4294967295"
