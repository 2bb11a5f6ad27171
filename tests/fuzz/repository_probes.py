"""What people write: files of every kind, whole repositories, known_hosts, schedules, addresses."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from reconciler.bundled import bundled_files
from reconciler.daemon.accepting import check_schedule
from reconciler.documents.error import RenderError
from reconciler.documents.render import render
from reconciler.drift.questions import questions
from reconciler.errors import SettingsError, UsageError
from reconciler.ids import NodeId
from reconciler.model.desired import DesiredState
from reconciler.model.read_state import read_state
from reconciler.model.reading.address import address_trouble
from reconciler.problem import Gravity, Problem
from reconciler.schedule.association import Past, due, parse_association_schedule
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.expression import parse as parse_schedule
from reconciler.schedule.next_run import preview
from reconciler.schedule.window import parse_window_schedule
from reconciler.settings import host_settings
from reconciler.source.address import branch_name, parse_address, parse_revision, remote_name
from reconciler.source.git_text import trailers
from reconciler.targets.resolve import resolve_targets
from reconciler.targets.selector import parse_selector
from reconciler.transport.known_hosts import parse as parse_known_hosts
from tests.fuzz.target import ROOT, Target, bound, outcome, unbound
from tests.support.cases import read_cases
from tests.transport.test_known_hosts import A, B, C, hashed

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
_EXAMPLE = re.compile(r"^```yaml\n# ((?:state|documents|baselines)/\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

MANIFEST = b"""{"schemaVersion": "2.0", "publisher": "ops", "version": "1.0",
"packages": {"debian": {"12": {"x86_64": {"file": "a.zip"}}, "_any": {"_any": {"file": "b.zip"}}}},
"files": {"a.zip": {"checksums": {"sha256": "%s"}}, "b.zip": {"checksums": {"sha256": "%s"}, "url": "https://x/b.zip"}}}
""" % (b"ab" * 32, b"cd" * 32)
JSON_DOCUMENT = b"""{"schemaVersion": "2.2", "description": "J\\u00e4", "parameters": {"text": {"type": "String",
"default": "a", "allowedPattern": "^[a-z]{0,9}$"}, "list": {"type": "StringList", "default": ["a"]}},
"mainSteps": [{"action": "aws:runShellScript", "name": "one", "inputs": {"runCommand": ["echo {{ text }}", 1.5e3]}}]}"""
OLD_DOCUMENT = b"""schemaVersion: '1.2'
parameters: {commands: {type: StringList}}
runtimeConfig:
  aws:runShellScript: {properties: [{id: 0.aws:runShellScript, runCommand: '{{ commands }}', timeoutSeconds: '30'}]}
"""

_BREAKS = (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
"""What ends a line in YAML."""


@cache
def _examples() -> Mapping[str, bytes]:
    """Give the example files of the reference: a repository with everything in it."""
    text = (ROOT / "docs/state-repository.md").read_text(encoding="utf-8")
    return {path: body.encode() for path, body in _EXAMPLE.findall(text)}


def _sample() -> Mapping[str, bytes]:
    paths = (path for folder in ("state", "documents", "baselines") for path in sorted((ROOT / folder).rglob("*")))
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths if path.is_file()}


def _one_file_each() -> list[bytes]:
    files = {**_sample(), **_examples(), "documents/Json.json": JSON_DOCUMENT, "documents/Old.yaml": OLD_DOCUMENT}
    files["host.yaml"] = (
        b"Fleet: example\nRemote: /srv/state.git\nBranch: main\nKeyDirectory: /etc/keys\nLocalChanges: true\n"
    )
    return [bound({path: data}) for path, data in files.items() if not path.endswith(".md")]


def files(data: bytes) -> str:
    """Read the first file by itself, as the kind that its path makes it."""
    parts = unbound(data)
    if not parts:
        return "nothing"
    path, text = next(iter(parts.items()))
    if path == "host.yaml":
        try:
            host_settings(text, path)
        except SettingsError as error:
            assert str(error).startswith("host.yaml:"), error
            return outcome("settings", str(error))
        return "settings read"
    _, problems = read_state({path: text}, check_schedule=check_schedule)
    return _judged(problems, {path: text})


def _judged(problems: Iterable[Problem], texts: Mapping[str, bytes]) -> str:
    """Every problem names a file of ours and a place in it, says something, and is short."""
    words = set()
    last = {path: sum(map(text.count, _BREAKS)) + 2 for path, text in texts.items()}
    for problem in problems:
        assert problem.file in texts or problem.file == "state", problem
        assert 0 <= problem.line <= last.get(problem.file, 0), problem
        assert problem.column >= 0, problem
        assert problem.message, problem
        assert len(str(problem)) < len(problem.file) + 5000, problem
        str(problem).encode("utf-8", "surrogateescape")
        words.add(outcome(problem.gravity.value, problem.message))
    return "; ".join(sorted(words)[:3]) or "read"


def _trees() -> list[bytes]:
    hosts = f"web-01 {A}\n10.0.0.* {B}\n".encode()
    return [
        bound(_sample()),
        bound({**_examples(), "state/known_hosts": hosts}),
        bound(
            {
                **_examples(),
                "documents/Json.json": JSON_DOCUMENT,
                "documents/Old/1.yaml": OLD_DOCUMENT,
                "documents/Old/default": b"1\n",
                "packages/tool/1.0/manifest.json": MANIFEST,
                "packages/tool/2.0/manifest.json": MANIFEST.replace(b"1.0", b"2.0"),
                "packages/tool/package.yaml": b"default: '1.0'\n",
            }
        ),
    ]


def trees(data: bytes) -> str:
    """Read a whole repository; what is accepted must go through every pure stage before the nodes are asked."""
    tree = unbound(data)
    desired, problems = read_state(tree, bundled=bundled_files(), check_schedule=check_schedule)
    said = _judged(problems, {**bundled_files(), **tree})
    errors = any(problem.gravity is Gravity.ERROR for problem in problems)
    assert errors == (desired is None), "no tree, and no reason"
    if desired is not None:
        _goes_on(desired)
    return f"{'refused' if errors else 'accepted'} {said}"


def _goes_on(desired: DesiredState) -> None:
    targets = resolve_targets(desired)
    asked = questions(desired, targets)
    assert set(asked) == set(desired.nodes)
    for name in desired.associations:
        [each.why for each in targets.by_association[name]]
    hosts = parse_known_hosts(desired.known_hosts)
    for node in desired.nodes.values():
        hosts.pins(node.id, node.address, node.port)
    for association in desired.associations.values():
        versions = desired.documents.get(association.document)
        for document in () if versions is None else versions.versions.values():
            try:
                render(document, association.parameters, stored=desired.parameters, packages=desired.packages)
            except RenderError as error:
                assert str(error)


def _hosts() -> list[bytes]:
    lines = [
        f"web-01 {A}",
        f"10.0.0.1,web.example.org {B} a comment",
        f"[10.0.0.1]:2222,[2001:db8::1]:2222 {C}",
        f"@revoked * {A}",
        f"@cert-authority *.example.org,!bad.example.org {B}",
        f"{hashed('10.0.0.1')} {C}",
        f"{hashed('[10.0.0.1]:2222')} {A}",
        "# a comment",
        "",
        "old.example.org 2048 35 1234567890",
        f"2001:DB8:0:0::1%eth0 {A}",
    ]
    return ["\n".join(lines).encode(), *(line.encode() for line in lines)]


def known_hosts(data: bytes) -> str:
    """Read a known_hosts and look nodes up in it."""
    text = data.decode("utf-8", "replace")
    hosts = parse_known_hosts(text)
    said = _judged(hosts.problems, {"state/known_hosts": data})
    found = []
    for node, address, port in (
        ("web-01", "10.0.0.1", 22),
        ("b", "2001:db8::1", 2222),
        ("c", "web.example.org", 22),
        ("d", None, 22),
    ):
        pins = hosts.pins(NodeId(node), address, port)
        for key in (*pins.keys, *pins.revoked, *pins.authorities):
            assert key.fingerprint.startswith("SHA256:")
        found.append(f"{len(pins.keys) > 0:d}{len(pins.revoked) > 0:d}{len(pins.authorities) > 0:d}")
    return " ".join((*found, said))


def _schedules() -> list[bytes]:
    found: list[str] = ["tag:Role=web", "name:web-01", "group:web"]
    for path in sorted((ROOT / "tests/schedule/cases").glob("*.yaml")):
        for case in read_cases(path):
            found += (
                [value for value in case.values() if isinstance(value, str)] if isinstance(case, dict) else [str(case)]
            )
    return [text.encode() for text in found]


def schedules(data: bytes) -> str:
    """Read an expression, and ask it when it runs."""
    text = data.decode("utf-8", "replace")
    words = []
    for read in (parse_association_schedule, parse_window_schedule):
        try:
            read(text)
        except ScheduleError as error:
            words.append(outcome("refused", str(error)))
    try:
        expression = parse_schedule(text)
    except ScheduleError as error:
        assert 0 <= error.offset <= len(text), error
        return outcome("refused", error.problem)
    for now in (NOW, datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, tzinfo=UTC)):
        for zone in ("UTC", "Europe/Berlin", "Pacific/Apia"):
            preview(expression, count=3, now=now, timezone=zone)
        due(expression, Past(definition_changed=now - timedelta(days=400)), now=now)
    return outcome(type(expression).__name__, " ".join(words))


def _addresses() -> list[bytes]:
    texts = (
        *(
            "/srv/state.git",
            "./state",
            "file:///srv/a%20b",
            "ssh://git@host.example:2222/~/state.git",
            "git@host:state.git",
        ),
        *(
            "https://user:secret@host.example/state.git",
            "https://[2001:db8::1]/x",
            "--upload-pack=id",
            "ext::sh -c id",
            "host:-x",
        ),
        *(
            "10.0.0.1",
            "2001:db8::1%eth0",
            "web-01.example.org.",
            "user@host",
            "[::1]:22",
            "main~2^1",
            "refs/heads/main",
            "origin",
        ),
    )
    return [text.encode() for text in texts]


def addresses(data: bytes) -> str:
    """Read a text as each thing that names a place."""
    text = data.decode("utf-8", "surrogateescape")
    words = []
    readers: Mapping[str, Callable[[str], object]] = {
        "repository": lambda text: parse_address(text, cwd=Path("/srv")),
        "branch": branch_name,
        "remote": remote_name,
        "revision": parse_revision,
        "selector": parse_selector,
    }
    for name, read in readers.items():
        try:
            read(text)
        except UsageError as error:
            assert str(error)
            words.append(outcome(name, str(error)))
        else:
            words.append(f"{name} taken")
    trouble = address_trouble(text)
    if trouble is None:
        assert re.fullmatch(r"[A-Za-z0-9_.:%-]+", text), text
        assert not text.startswith("-"), text
    trailers(text)
    return "; ".join((words[0], outcome("node", trouble[0] if trouble else "taken")))


REPOSITORY_TARGETS = {
    "yaml": Target(
        seeds=_one_file_each,
        probe=files,
        words=(
            b"#### state/nodes/a.yaml\n",
            b"Id: ",
            b"Targets: ",
            b"Expect:\n",
            b"Expires: ",
            b"schemaVersion: '2.2'\n",
            b"<<: ",
            b"Tags: ",
        ),
    ),
    "state": Target(
        seeds=_trees,
        probe=trees,
        words=(
            b"#### state/nodes/",
            b"#### documents/",
            b"#### state/fleet.yaml\n",
            b"../",
            b"DependsOn: ",
            b"Gateway: ",
            b"{{ssm:/a}}",
        ),
    ),
    "known_hosts": Target(
        seeds=_hosts,
        probe=known_hosts,
        words=(
            b"@revoked ",
            b"@cert-authority ",
            b"|1|",
            b"ssh-ed25519 ",
            b"ssh-rsa ",
            b"*",
            b"?",
            b"!",
            b",",
            b"[",
            b"]:22",
            b"AAAA",
            b"%",
        ),
    ),
    "schedules": Target(
        seeds=_schedules,
        probe=schedules,
        words=(
            b"cron(",
            b"rate(",
            b"at(",
            b")",
            b"?",
            b"*",
            b"/",
            b"#5",
            b"L",
            b"15W",
            b"MON-FRI",
            b"1970-2199",
            b" days)",
            b"0/15",
        ),
    ),
    "addresses": Target(
        seeds=_addresses,
        probe=addresses,
        words=(
            b"://",
            b"ssh://",
            b"https://",
            b"file://",
            b"@",
            b":",
            b"::",
            b"%0a",
            b"%00",
            b"-",
            b"..",
            b"@{",
            b".lock",
            b"~",
            b"[::1]",
            b"%zz",
        ),
    ),
}
