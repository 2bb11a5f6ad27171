"""A thousand documents that each break one rule: every one is refused, at the line where it is broken."""

import json
import random
from collections.abc import Callable

import pytest

from reconciler.ids import DocumentName
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.problem import Gravity

MUTANTS = 1000


def document(chance: random.Random) -> list[str]:
    """Write a document as lines: parameters, steps, every key on a line of its own, nothing wrong with it."""
    lines = ["schemaVersion: '2.2'", f"description: number {chance.randrange(1000)}", "parameters:"]
    for number in range(chance.randint(1, 4)):
        lines += [f"  param{number}:", f"    type: {chance.choice(['String', 'StringList', 'Integer'])}"]
        lines += ["    allowedPattern: '[0-9]*'"] * chance.randint(0, 1)
    lines.append("mainSteps:")
    for number in range(chance.randint(2, 5)):
        lines += ["- action: aws:runShellScript", f"  name: step{number}", "  inputs:", "    runCommand:"]
        lines += [f"    - echo {chance.randrange(100)}" for _ in range(chance.randint(1, 3))]
    return lines


def one_of(lines: list[str], chance: random.Random, begins: str) -> int:
    return chance.choice([at for at, line in enumerate(lines) if line.lstrip().startswith(begins)])


Mutation = Callable[[list[str], random.Random], int]
"""Breaks a document in place; gives the line (from 1) at which that is to be told."""


def unknown_schema(lines: list[str], chance: random.Random) -> int:
    lines[0] = f"schemaVersion: '{chance.choice(['1.1', '2.1', '3.0', '2.2.0', '', 'x', '0.4'])}'"
    return 1


def no_schema(lines: list[str], chance: random.Random) -> int:
    del lines[0]
    return 1


def unknown_type(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines[at] = f"    type: {chance.choice(['Strin', 'string', 'Number', 'List', 'Float', 'Map'])}"
    return at + 1


def no_type(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines[at] = "    description: no type here"
    return at + 1


def parameter_with_a_bad_name(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "param")
    if lines[at].startswith("parameters"):
        at += 1
    lines[at] = f"  {chance.choice(['my-name', 'my_name', 'my.name', 'näme', 'a b'])}:"
    return at + 1


def parameter_without_definition(lines: list[str], chance: random.Random) -> int:
    at = lines.index("parameters:") + 1
    lines.insert(at, "  extra: text")
    return at + 1


def parameters_as_a_list(lines: list[str], chance: random.Random) -> int:
    at = lines.index("parameters:")
    end = lines.index("mainSteps:")
    lines[at:end] = ["parameters:", "- param0"]
    return at + 2


def no_steps(lines: list[str], chance: random.Random) -> int:
    at = lines.index("mainSteps:")
    lines[at:] = [f"mainSteps: {chance.choice(['[]', 'text', '{}', '5'])}"]
    return at + 1


def steps_missing(lines: list[str], chance: random.Random) -> int:
    del lines[lines.index("mainSteps:") :]
    return 1


def step_without_action(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "- action: ")
    lines[at] = "- description: no action"
    return at + 1


def step_without_name(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "name: ")
    del lines[at]
    return at


def step_with_a_bad_name(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "name: ")
    lines[at] = f"  name: {chance.choice(['a b', 'a/b', 'ä', 'x' * 129, '../up'])}"
    return at + 1


def two_steps_of_one_name(lines: list[str], chance: random.Random) -> int:
    found = [at for at, line in enumerate(lines) if line.startswith("  name: ")]
    lines[found[-1]] = lines[found[0]]
    return found[-1] + 1


def step_that_is_text(lines: list[str], chance: random.Random) -> int:
    lines.append("- echo hello")
    return len(lines)


def inputs_that_are_text(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "inputs:")
    end = next((i for i in range(at + 1, len(lines)) if not lines[i].startswith("    ")), len(lines))
    lines[at:end] = ["  inputs: text"]
    return at + 1


def precondition_that_is_text(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "name: ")
    lines.insert(at, "  precondition: platformType")
    return at + 1


def key_twice(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, chance.choice(["name: ", "type: ", "description: "]))
    lines.insert(at + 1, lines[at])
    return at + 2


def tab(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines[at] = "\t" + lines[at].lstrip()
    return at + 1


def tag(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "runCommand:")
    lines[at + 1] = "    - !IncludeScript file.sh"
    return at + 2


def open_quote(lines: list[str], chance: random.Random) -> int:
    lines[-1] = "    - 'echo"
    return len(lines)


def text_between_keys(lines: list[str], chance: random.Random) -> int:
    at = lines.index("mainSteps:")
    lines.insert(at, "just words")
    return at + 1


def nul(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "runCommand:")
    lines[at + 1] = '    - "echo \\0"'
    return at + 2


def values_that_are_no_list(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines.insert(at + 1, "    allowedValues: text")
    return at + 2


def schema_that_is_no_text(lines: list[str], chance: random.Random) -> int:
    lines[0], lines[1] = lines[1], f"schemaVersion: {chance.choice(['null', '[2.2]', '{a: b}'])}"
    return 2


def action_that_is_no_text(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "- action: ")
    lines[at] = f"- action: {chance.choice(['5', 'true', '2.2', 'null', '[]'])}"
    return at + 1


def environment_where_there_is_none(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines[at : at + 1] = [
        "    type: StringList",
        f"    interpolationType: {chance.choice(['ENV_VAR', 'ENVVAR', 'env'])}",
    ]
    return at + 2


def limit_that_is_no_number(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    limit = chance.choice(["minChars", "maxChars", "minItems", "maxItems"])
    lines.insert(at + 1, f"    {limit}: {chance.choice(['many', '1.5', '[1]', 'true'])}")
    return at + 2


def pattern_that_is_none(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines[at : at + 1] = ["    type: String", f"    allowedPattern: '{chance.choice(['[a', '(a', 'a)', '*', 'a{x}'])}'"]
    if at + 2 < len(lines) and "allowedPattern" in lines[at + 2]:
        del lines[at + 2]
    return at + 2


def open_quote_before_others(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, chance.choice(["name: ", "type: "]))
    key, _, value = lines[at].partition(": ")
    lines[at] = f'{key}: "{value}'
    lines[-1] = f'    - "{chance.choice(["echo", "#!/bin/sh", "", "set -e"])}"'
    return at + 1


def open_bracket(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "type: ")
    lines.insert(at + 1, f"    {chance.choice(['allowedValues: [a, b', 'default: {a: b'])}")
    return at + 2


def line_that_left_its_block(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "runCommand:")
    left = chance.choice(["echo two", "if [ -e /x ]; then", "$HOME/x --y", "x=$(date)"])
    lines[at + 1] = "    - |\n      echo one\n" + left + "\n      echo: three x: y"
    return at + 4


def reference_without_quotes(lines: list[str], chance: random.Random) -> int:
    at = one_of(lines, chance, "runCommand:")
    lines[at + 1] = chance.choice(["    - {{ param0 }}", "    - {{param0}}/bin"])
    return at + 2


MUTATIONS: tuple[Mutation, ...] = (
    schema_that_is_no_text,
    action_that_is_no_text,
    environment_where_there_is_none,
    limit_that_is_no_number,
    pattern_that_is_none,
    open_quote_before_others,
    open_bracket,
    line_that_left_its_block,
    reference_without_quotes,
    unknown_schema,
    no_schema,
    unknown_type,
    no_type,
    parameter_with_a_bad_name,
    parameter_without_definition,
    parameters_as_a_list,
    no_steps,
    steps_missing,
    step_without_action,
    step_without_name,
    step_with_a_bad_name,
    two_steps_of_one_name,
    step_that_is_text,
    inputs_that_are_text,
    precondition_that_is_text,
    key_twice,
    tab,
    tag,
    open_quote,
    text_between_keys,
    nul,
    values_that_are_no_list,
)


def errors(text: str, path: str = "documents/Doc.yaml") -> list[tuple[int, str]]:
    mistakes = Mistakes(path)
    found = read_document_file(path, text.encode(), DocumentName("Doc"), "1", mistakes)
    wrong = [(p.line, str(p)) for p in mistakes.problems if p.gravity is Gravity.ERROR]
    assert (found is None) == bool(wrong)
    return wrong


def test_the_documents_are_right_before_they_are_broken() -> None:
    chance = random.Random(1)
    for _ in range(100):
        assert errors("\n".join(document(chance)) + "\n") == []


@pytest.mark.parametrize("mutation", [pytest.param(one, id=one.__name__) for one in MUTATIONS])
def test_a_broken_rule_is_told_at_its_line(mutation: Mutation) -> None:
    chance = random.Random(mutation.__name__)
    for _ in range(-(-MUTANTS // len(MUTATIONS))):
        lines = document(chance)
        line = mutation(lines, chance)
        text = "\n".join(lines) + "\n"
        found = errors(text)
        assert found, text
        assert line in {at for at, _ in found}, f"{found} is not at line {line} of\n{text}"


@pytest.mark.parametrize("schema", ["1.1", "9999.0", "2"])
def test_a_broken_rule_is_told_at_its_line_in_json(schema: str) -> None:
    value = {"description": "d", "schemaVersion": schema, "mainSteps": [{"name": "a", "action": "aws:x"}]}
    ((line, _),) = errors(json.dumps(value, indent=1), "documents/Doc.json")
    assert line == 3
