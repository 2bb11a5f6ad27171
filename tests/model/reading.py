"""A repository in a few words, for tests: its files as text, read at once."""

import hashlib
from collections.abc import Mapping

from reconciler.model.desired import DesiredState
from reconciler.model.read_state import desired_state, read_state
from reconciler.problem import Gravity, Problem

NODE = "Id: web-01\nAddress: 10.0.0.11\nTags: {Role: web}\n"
DOCUMENT = """schemaVersion: '2.2'
parameters:
  text: {type: String, allowedPattern: '[a-z]*'}
  words: {type: StringList, default: [], allowedValues: [a, b]}
mainSteps:
  - {action: 'aws:runShellScript', name: say, inputs: {runCommand: ['echo {{ text }}']}}
"""
DIGEST = hashlib.sha256(DOCUMENT.encode()).hexdigest()
ASSOCIATION = """AssociationName: motd
Name: Motd
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {text: [hello]}
"""
FILES = {
    "state/nodes/web.yaml": NODE,
    "documents/Motd.yaml": DOCUMENT,
    "state/associations/motd.yaml": ASSOCIATION,
}


def as_bytes(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}


def reads(files: Mapping[str, str | bytes]) -> DesiredState:
    return desired_state(as_bytes(files))


def problems(files: Mapping[str, str | bytes]) -> tuple[Problem, ...]:
    return read_state(as_bytes(files))[1]


def errors(files: Mapping[str, str | bytes]) -> list[Problem]:
    """Every error; that there is none exactly where a state is given is checked on the way."""
    desired, found = read_state(as_bytes(files))
    wrong = [problem for problem in found if problem.gravity is Gravity.ERROR]
    assert (desired is None) == bool(wrong)
    return wrong


def lints(files: Mapping[str, str | bytes]) -> list[Problem]:
    return [problem for problem in problems(files) if problem.gravity is Gravity.LINT]


def told(problem: Problem) -> str:
    return str(problem)
