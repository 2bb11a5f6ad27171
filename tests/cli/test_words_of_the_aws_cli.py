"""Options and commands of the AWS CLI that are not here: each is told with what to write instead, and that is there."""

import re

import pytest
import typer

from reconciler.cli.aws_words import COMMANDS, OPTIONS, remedy
from reconciler.cli.program import app, run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("send-command", "--document-name", "A", "--output", "json"), "write --format json"),
        (("send-command", "--document-name", "A", "--query", "Command.CommandId"), "give it to jq"),
        (("send-command", "--document-name", "A", "--region=eu-west-1"), "leave it out"),
        (("list-commands", "--profile", "ops"), "leave it out"),
        (("ssm", "send-command"), "leave it out: reconciler send-command"),
        (("describe-instance-information",), "reconciler nodes"),
    ],
)
def test_who_types_what_the_aws_cli_takes_is_told_what_to_type(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(list(words)) == 64
    told = capsys.readouterr()
    assert told.out == ""
    hint = told.err.splitlines()[1]
    assert hint.startswith("instead of the AWS CLI's: ")
    assert said in hint


@pytest.mark.parametrize("complaint", ["No such option: --nope", "No such command 'plam'.", "Missing option '--a'", ""])
def test_nothing_is_said_of_other_words(complaint: str) -> None:
    assert remedy(complaint) is None


def test_what_is_named_instead_is_there_and_what_is_replaced_is_not() -> None:
    known = typer.main.get_command(app)
    assert isinstance(known, typer.core.TyperGroup)
    assert not set(COMMANDS) & set(known.commands)
    sent = {name for each in known.commands["send-command"].params for name in each.opts}
    assert not set(OPTIONS) & sent
    for text in (*OPTIONS.values(), *COMMANDS.values()):
        for name in re.findall(r"reconciler ([a-z-]+)", text):
            assert name in known.commands, text
        for option in re.findall(r"--[a-z0-9-]+", text):
            assert option in sent, text
