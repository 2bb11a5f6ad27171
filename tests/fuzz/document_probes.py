"""Documents and parameters: what people and other services write, read and rendered without a node."""

from dataclasses import replace
from pathlib import Path

from reconciler.commands.request import Typed, read_request
from reconciler.documents.error import RenderError
from reconciler.documents.given import given_parameters
from reconciler.documents.parameters import parameter_values
from reconciler.documents.render import MOST_BYTES, render
from reconciler.errors import UsageError
from reconciler.ids import DocumentName
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.problem import Gravity
from tests.fuzz.target import ROOT, Target, bound, outcome, unbound

STORED = {
    "a": StoredParameter(name="a", type="String", values=("x", "y")),
    "l": StoredParameter(name="l", type="StringList", values=("x,y",)),
}
NAME = DocumentName("Fuzzed")

JSON_DOCUMENT = b"""{"schemaVersion": "2.2", "parameters": {"commands": {"type": "StringList", "default": []},
 "m": {"type": "StringMap", "default": {"k": ["v"]}}, "n": {"type": "Integer", "default": 5, "allowedValues": [5, 6]},
 "p": {"type": "String", "allowedPattern": "^([\\\\w-.]|a{1,3})*$", "default": "", "interpolationType": "ENV_VAR", "minChars": "0"}},
 "mainSteps": [{"action": "aws:runShellScript", "name": "one", "precondition": {"StringEquals": ["platformType", "Linux"]},
 "inputs": {"runCommand": ["{{ commands }}", "echo {{ m }} {{{ n }}} {{ssm:a:1}} $$"], "TimeoutSeconds": "{{ n }}", "onFailure": "exit"}},
 {"action": "aws:runDocument", "name": "two", "inputs": {"documentType": "SSMDocument", "documentPath": "AWS-Noop",
 "documentParameters": "{}"}}]}"""
OLD_DOCUMENT = b"""---
schemaVersion: "1.2"
parameters: {commands: {type: StringList, minItems: 1}, workingDirectory: {type: String, default: "", maxChars: 4096}}
runtimeConfig:
  "aws:runShellScript":
    properties:
    - {id: "0.aws:runShellScript", runCommand: "{{ commands }}", workingDirectory: "{{ workingDirectory }}"}
"""
RUNBOOK = b"""schemaVersion: '0.3'
assumeRole: "{{ r }}"
parameters: {r: {type: "AWS::IAM::Role::Arn"}}
mainSteps:
- {name: a, action: 'aws:sleep', onFailure: 'step:b', inputs: {Duration: PT1M}, isEnd: true}
"""


def _documents() -> list[bytes]:
    paths = sorted((ROOT / "documents").rglob("*.yaml"))
    return [JSON_DOCUMENT, OLD_DOCUMENT, RUNBOOK, *(Path(path).read_bytes() for path in paths)]


def documents(data: bytes) -> str:
    """Read one document and render it as it stands: refused with line and column, or a list of steps."""
    mistakes = Mistakes("documents/Fuzzed.yaml")
    document = read_document_file("documents/Fuzzed.yaml", data, NAME, "1", mistakes)
    lines = len(data.decode("utf-8", "replace").splitlines()) + 2
    for problem in mistakes.problems:
        assert 0 <= problem.line <= lines, problem
        assert str(problem)
    errors = [problem for problem in mistakes.problems if problem.gravity is Gravity.ERROR]
    assert bool(errors) == (document is None), "refused without a reason, or taken with one"
    if document is None:
        return outcome("refused", errors[0].message)
    return _rendered(document, {})


def _renderings() -> list[bytes]:
    """Documents with something for what they require: without it, most are refused before anything is pasted."""
    large = b"x" * 2000
    return [
        bound({"document": JSON_DOCUMENT, "text": b"a-b", "stored": b"x,y"}),
        bound({"document": OLD_DOCUMENT, "text": b"echo {{ commands }} $$ {{ssm:a}}", "stored": large}),
        bound(
            {"document": OLD_DOCUMENT.replace(b"commands }}", b"commands }}" + b"{{ commands }}" * 200), "text": large}
        ),
        *(bound({"document": data, "text": b"6", "stored": b"x"}) for data in _documents()[3:]),
    ]


def rendering(data: bytes) -> str:
    """Fill every parameter of a document in, from the bytes alone: steps within bounds, or refused in words."""
    parts = unbound(data)
    document = read_document_file("a.yaml", parts.get("document", b""), NAME, "1", Mistakes("a.yaml"))
    if document is None:
        return "refused"
    text = parts.get("text", b"").decode("utf-8", "replace")
    stored = parts.get("stored", b"").decode("utf-8", "replace")[:8192]
    given = {name: [text] for name in document.parameters}
    try:
        rendered = render(
            document,
            given,
            stored={name: replace(each, values=(stored, stored)) for name, each in STORED.items()},
        )
    except RenderError as error:
        assert str(error)
        return outcome("not rendered", str(error))
    assert sum(len(step.script or b"") for step in rendered.steps) <= MOST_BYTES
    return outcome("steps", " ".join(sorted({step.action for step in rendered.steps})))


def _rendered(document: Document, given: dict[str, list[str]]) -> str:
    try:
        rendered = render(document, given, stored=STORED)
    except RenderError as error:
        assert str(error)
        return outcome("not rendered", str(error))
    moves = sorted({"skip" if step.skip else "fail" if step.fail else "run" for step in rendered.steps})
    return outcome("steps", " ".join(moves))


def _given() -> list[bytes]:
    texts = (
        "commands=id",
        'commands=["id","uptime"]',
        "commands=[id,'a b',\"c\"],n=5",
        '{"commands": ["id"], "n": ["6"]}',
        "m={k=v},p=a-b",
        '{"m": ["{\\"k\\": \\"v\\"}"]}',
        "Key=tag:Role,Values=web,db",
        '[{"Key": "tag:Role", "Values": ["web"]}]',
    )
    return [
        bound({"document": JSON_DOCUMENT, "given": text.encode(), "targets": texts[-2].encode(), "rate": b"10%"})
        for text in texts
    ]


def parameters(data: bytes) -> str:
    """Read what a command line gives, and hold it against a document's parameters; rates and targets as well."""
    parts = {name: text.decode("utf-8", "replace") for name, text in unbound(data).items()}
    words: list[str] = []
    document = read_document_file("a.json", parts.get("document", "").encode(), NAME, "1", Mistakes("a.json"))
    declared = {} if document is None else document.parameters
    try:
        given = given_parameters((parts.get("given", ""),))
        words.append(
            " ".join(sorted(type(value).__name__ for value in parameter_values(declared, given, STORED).values()))
        )
    except RenderError as error:
        assert str(error)
        words.append(outcome("refused", str(error)))
    try:
        read_request(
            Typed(
                document_name="AWS-Noop",
                targets=(parts.get("targets", ""),),
                parameters=(parts.get("given", ""),),
                max_concurrency=parts.get("rate", ""),
                max_errors=parts.get("rate", ""),
                output_s3_bucket_name=parts.get("bucket", ""),
                output_s3_key_prefix=parts.get("prefix", ""),
            )
        )
        words.append("taken")
    except UsageError as error:
        assert str(error)
        words.append(outcome("refused", str(error)))
    return "; ".join(words)


DOCUMENT_TARGETS = {
    "documents": Target(
        seeds=_documents,
        probe=documents,
        words=(
            b"schemaVersion: '2.2'\n",
            b'"mainSteps": [',
            b"runtimeConfig:",
            b"{{ commands }}",
            b"{{{",
            b"{{ssm:a}}",
            b"allowedPattern: '",
            b"(?<=a)",
            b"StringEquals",
            b"platformType",
            b"\xef\xbb\xbf",
            b"\r\n",
            b"\\ud800",
            b"!!binary ",
            b"&a [*a]",
        ),
    ),
    "rendering": Target(
        seeds=_renderings,
        probe=rendering,
        words=(
            b"#### text\n",
            b"#### stored\n",
            b"{{ commands }}",
            b"{{commands}}{{commands}}",
            b"{{ssm:a}}",
            b"{{ssm:l}}",
            b"$$",
            b"precondition: {StringEquals: ['{{ commands }}', a]}",
            b"allowedPattern: '",
            b"{1000}",
            b"type: MapList",
            b"aws:runDocument",
        ),
    ),
    "parameters": Target(
        seeds=_given,
        probe=parameters,
        words=(
            b"#### given\n",
            b"#### targets\n",
            b"commands=",
            b"Key=",
            b",Values=",
            b"tag-key",
            b"[[",
            b"{{ssm:l}}",
            b'\\"',
            b"'",
            b"100%",
            b"\\u0000",
        ),
    ),
}
