"""The schemas are what editors see and what decides: sound, complete, and one with their compiled form."""

import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.model.reading import schema
from reconciler.model.reading.explanation import explain
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema_compiler import KINDS, fits, load
from reconciler.model.reading.values import Value
from reconciler.model.reading.yaml_text import read_yaml
from tests.model.reading import ASSOCIATION, DOCUMENT, NODE

EVERYTHING = {
    "node": NODE + "Port: 22\nUser: ops\nIdentityFile: fleet\nGateway: b\nTransport: ssh\nBecome: sudo\nMode: warn\nFormerIds: [old]\n",
    "fleet": "Fleet: x\nBranch: main\nInterval: rate(10 minutes)\nPassWait: rate(1 hour)\nSsh: {User: ops, IdentityFile: k, "
    "MaxHandshakes: 20, KeepConnections: 0}\nReports: {Branch: c, Remote: origin}\nMaxChangedPerPass: 20%\nStopAfterFailures: 5\nMode: warn\n"
    "Suspend: false\nRequireReasons: true\n",
    "group": "Name: web\nDescription: x\nResourceQuery: {TagFilters: [{Key: Role, Values: [web]}]}\n",
    "association": ASSOCIATION + "DocumentVersion: 3\nScheduleExpression: rate(1 hour)\nMaxConcurrency: 10%\nMaxErrors: 0\n"
    "ComplianceSeverity: HIGH\nSyncCompliance: AUTO\nMode: warn\nDependsOn: [other]\nRunOnChange: true\nCheckAs: become\n"
    "CalendarNames: [x]\nDuration: 3\nAssociationId: x\nOverview: {Status: Failed}\nExpect:\n"
    "  Files: [{Path: /a, Content: b, Mode: '0644', Owner: root, Group: root, State: present}]\n"
    "  Packages: [{Name: a, Version: '>= 1'}]\n  Services: [{Name: a.service, State: running, Enabled: true}]\n"
    "  Users: [{Name: a, Uid: 900, Group: a, Groups: [b], Home: /a, Shell: /bin/sh}]\n  Groups: [{Name: a, Gid: 9, Members: [b]}]\n"
    "  Sysctls: {net.ipv4.ip_forward: '0'}\n  Mounts: [{Path: /a, Device: /dev/b, Type: ext4, Options: [noatime]}]\n"
    "  Ports: [{Port: 22, Protocol: tcp, Address: '*', State: closed}]\n  Kernel: {Running: newest}\n"
    "  Inventory: [{Type: 'Custom:Rack', Where: {Site: ams}, Count: '>= 1'}]\n  Checks: [test -e /a]\n",
    "document": DOCUMENT,
    "baseline": "Name: abc\nOperatingSystem: DEBIAN\nApprovalRules: {PatchRules: [{PatchFilterGroup: {PatchFilters: [{Key: PRODUCT, "
    "Values: ['*']}]}, ApproveAfterDays: 7, ComplianceLevel: HIGH}]}\nRejectedPatches: [a, {Id: b, Owner: c, Reason: d, Expires: '2030-01-01'}]\n",
    "window": "Name: abc\nSchedule: rate(1 day)\nDuration: 2\nCutoff: 1\nAllowUnassociatedTargets: false\nTargets: [{}]\nTasks: [{}]\n",
    "parameter": "Name: /a/b\nType: String\nValue: x\nDescription: y\n",
    "host": "{}\n",
    "ledger-seed": "Archive: A-b\nSource: snapshot\nVersions: [{Package: a, Version: 1-1, Arch: amd64, Checksum: 'sha256:0', Date: '2025-01-01'}]\n",
    "signer": "Name: ann\nSshKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ann\n"
    "Expires: '2030-01-31'\nRevoked: false\n",
}  # fmt: skip


def value_of(text: str) -> Value:
    mistakes = Mistakes("f")
    (value,) = read_yaml(text.encode(), mistakes)
    assert not mistakes.problems
    return value


def mistakes_in(kind: str, value: Value) -> Mistakes:
    mistakes = Mistakes("f")
    explain(kind, value, mistakes)
    return mistakes


def test_every_kind_has_a_schema_and_every_schema_is_used() -> None:
    folder = resources.files("reconciler.model") / "schemas"
    assert {file.name for file in folder.iterdir()} == {f"{kind}.schema.json" for kind in KINDS}
    assert EVERYTHING.keys() == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_a_schema(kind: str) -> None:
    Draft202012Validator.check_schema(load(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_an_editor_takes_what_we_take(kind: str) -> None:
    """Editors read by YAML's core schema and know nothing of text as written."""
    assert fits(kind, value_of(EVERYTHING[kind]))
    Draft202012Validator(load(kind)).validate(json.loads(json.dumps(yaml.safe_load(EVERYTHING[kind]))))


def inner_schemas(whole: Any) -> Iterator[dict[str, Any]]:
    if isinstance(whole, dict):
        yield whole
        for one in whole.values():
            yield from inner_schemas(one)
    elif isinstance(whole, list):
        for one in whole:
            yield from inner_schemas(one)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_is_whole_and_says_what_it_stands_for(kind: str) -> None:
    for inner in inner_schemas(load(kind)):
        if isinstance(inner.get("pattern"), str):
            assert inner["pattern"].startswith("^")
            assert inner["pattern"].endswith("$")
            assert inner.get("x-is"), inner["pattern"]
            re.compile(inner["pattern"])


KEYS = sorted({key for kind in KINDS for key in load(kind).get("properties", {})} | {"Key", "Values", "Path", "State"})
leaves = st.sampled_from(
    [
        "a", "web", "0", "1", "22", "70000", "1.5", "true", "yes", "null", "''", "'22'", "'a b'", "10%", "rate(1 hour)", "ssh",
        "HIGH", "/a", "/a\\n", '"a\\n"', "'0644'", "0644", "tag:Role", "'>= 1'", "-x", "2.2", "'*'", "String", "warn",
    ]
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from([*KEYS, "text", "a b", "a_b"]), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"'{key}': {item}" for key, item in table.items()) + "}"
        ),
    ),
    max_leaves=8,
)


@given(kind=st.sampled_from(KINDS), tree=trees)
@settings(max_examples=250)
def test_the_compiled_schema_and_jsonschema_agree_on_anything(kind: str, tree: str) -> None:
    value = value_of(tree)
    assert fits(kind, value) == (not mistakes_in(kind, value).problems)


@st.composite
def altered(draw: st.DrawFn) -> tuple[str, str]:
    """A file with every key of its kind, one value of which is another one."""
    kind = draw(st.sampled_from(sorted(EVERYTHING)))
    whole = yaml.load(EVERYTHING[kind], Loader=yaml.BaseLoader)  # noqa: S506  # text only, and ours
    at: Any = whole
    while isinstance(at, (dict, list)) and at:
        keys = sorted(at) if isinstance(at, dict) else range(len(at))
        key: Any = draw(st.sampled_from(keys))
        if not isinstance(at[key], (dict, list)) or not at[key] or draw(st.booleans()):
            at[key] = "CHANGED"
            break
        at = at[key]
    text = yaml.safe_dump(whole, width=10_000, default_style='"')
    return kind, text.replace('"CHANGED"', draw(trees))


@given(case=altered())
@settings(max_examples=250)
def test_the_compiled_schema_and_jsonschema_agree_on_altered_files(case: tuple[str, str]) -> None:
    kind, text = case
    value = value_of(text)
    assert fits(kind, value) == (not mistakes_in(kind, value).problems)


def test_what_jsonschema_does_not_see_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the two ever differ, the file is refused with a word, not in silence."""
    monkeypatch.setattr(schema, "fits", lambda *_: False)
    mistakes = Mistakes("f")
    assert not schema.check("node", value_of(NODE), mistakes)
    assert ["does not fit" in problem.message for problem in mistakes.problems] == [True]
