"""Inputs and types of parameters that no other test on a node looks at: each reaches what it is for."""

import json
from pathlib import Path

import pytest

from reconciler.documents.actions import LEFT_OUT, NOT_ON_LINUX
from reconciler.model.outcome import RunRecord
from tests.passes.applying import apply, results
from tests.support.nodes import TestNode
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


def install(node: TestNode, name: str, text: str) -> Path:
    """Put a program first on the path of what runs on the node."""
    program = node.root / "usr/local/sbin" / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def steps(*actions: tuple[str, dict[str, object]]) -> str:
    """A document with one step after the other; JSON is YAML."""
    made = [
        {"name": f"s{number}", "action": action, "inputs": inputs} for number, (action, inputs) in enumerate(actions, 1)
    ]
    return json.dumps({"schemaVersion": "2.2", "mainSteps": made})


def said(record: RunRecord) -> list[str]:
    return [step.stdout.decode() for step in record.steps]


def test_actions_that_this_node_cannot_do_are_skipped(site: Site) -> None:
    """Those of Windows, and those whose subject does not exist here."""
    actions = sorted({*NOT_ON_LINUX, *LEFT_OUT})
    found = apply(site, "Foreign", Foreign=steps(*((action, {}) for action in actions)))
    assert results(found) == [f"s{number} Skipped 0" for number in range(1, len(actions) + 1)]
    assert (found.status.value, found.exit_code) == ("Success", 0)
    for action, told in zip(actions, said(found), strict=True):
        assert LEFT_OUT.get(action, "") in told, action


def test_the_environment_input_reaches_scripts_as_it_is(site: Site, node: TestNode) -> None:
    pwsh = install(node, "pwsh", 'echo "$WORD"')
    word = "two  words, $(id) and 'quotes'"
    found = apply(
        site,
        "Environment",
        Environment=steps(
            ("aws:runShellScript", {"runCommand": ['echo "$WORD"'], "environment": {"WORD": word}}),
            ("aws:runPowerShellScript", {"runCommand": ["x"], "environment": {"WORD": word}}),
            ("aws:runShellScript", {"runCommand": ['echo "${WORD-none}"']}),
        ),
    )
    pwsh.unlink()
    assert said(found) == [f"{word}\n", f"{word}\n", "none\n"]


TYPES = """\
schemaVersion: '2.2'
parameters:
  flag: {type: Boolean, default: false}
  number: {type: Integer, default: 1}
  map: {type: StringMap, default: {}}
  maps: {type: MapList, default: []}
  id: {type: 'AWS::EC2::Instance::Id', default: i-0}
  ids: {type: 'List<AWS::EC2::Instance::Id>', default: [i-0]}
mainSteps:
  - name: say
    action: aws:runShellScript
    inputs:
      runCommand:
        - printf '%s\\n' '{{ flag }}' '{{ number }}' '{{ map }}' '{{ maps }}' '{{ id }}' '{{ ids }}'
"""
DEFAULTS = ["false", "1", "{}", "[]", "i-0", '["i-0"]']
GIVEN = ["true", "5", '{"k":"v w"}', '[{"a":1},{"b":"c"}]', "i-0abc", '["i-1","i-2"]']


def test_every_type_of_parameter_is_what_its_caller_gave(site: Site) -> None:
    assert said(apply(site, "Types", Types=TYPES)) == ["\n".join(DEFAULTS) + "\n"]
    names = ("flag", "number", "map", "maps", "id")
    as_on_ssm = {**{name: [text] for name, text in zip(names, GIVEN, strict=False)}, "ids": ["i-1", "i-2"]}
    assert said(apply(site, "Types", json.dumps(as_on_ssm))) == ["\n".join(GIVEN) + "\n"]
    native = {**{name: json.loads(text) for name, text in zip(names[:4], GIVEN, strict=False)}, "id": "i-0abc"}
    assert said(apply(site, "Types", json.dumps({**native, "ids": ["i-1", "i-2"]}))) == ["\n".join(GIVEN) + "\n"]


def test_the_docker_client_hears_every_input_where_it_belongs(site: Site, node: TestNode) -> None:
    """What becomes of memory and shares takes cgroups, which a node in namespaces has not: the client is a stand-in."""
    docker = install(node, "docker", 'echo "$PWD: $*"; [ "$1" != logs ] || sleep 60')
    limits = {"memory": "64m", "cpuShares": "512", "publish": "127.0.0.1:8080:80", "workingDirectory": "/srv"}
    found = apply(
        site,
        "Docker",
        Docker=steps(
            ("aws:runDockerAction", {"action": "Run", "image": "img:1", "cmd": "sleep 1", **limits}),
            ("aws:runDockerAction", {"action": "Logs", "container": "one", "timeoutSeconds": 5}),
        ),
    )
    docker.unlink()
    assert results(found) == ["s1 Success 0", "s2 TimedOut 137"]
    assert said(found)[0] == "/srv: run -d --memory 64m --cpu-shares 512 --publish 127.0.0.1:8080:80 img:1 sleep 1\n"


def test_the_installation_of_docker_ends_when_its_time_is_over(site: Site, node: TestNode) -> None:
    apt = install(node, "apt-get", "sleep 60")
    found = apply(site, "Slow", Slow=steps(("aws:configureDocker", {"action": "Install", "timeoutSeconds": "5"})))
    apt.unlink()
    assert results(found) == ["s1 TimedOut 137"]


def test_a_document_that_only_the_node_has_does_not_run(site: Site, node: TestNode) -> None:
    """LocalPath is what an earlier step of the run brought: nobody has reviewed the rest, and no plan could show it."""
    (node.root / "root/doc.json").write_text(steps(("aws:runShellScript", {"runCommand": ["touch /var/log/never"]})))
    local = {"documentType": "LocalPath", "documentPath": "/root/doc.json"}
    found = apply(site, "Local", Local=steps(("aws:runDocument", local)))
    assert results(found) == ["s1 Failed 1"]
    assert b"no earlier step of the document downloads /root/doc.json" in found.steps[0].stderr
    assert not (node.root / "var/log/never").exists()


def test_a_script_that_a_signal_ends_fails_and_the_next_step_runs(site: Site) -> None:
    scripts = (["echo before; kill -TERM $$; echo after"], ["echo still here"])
    found = apply(site, "Signal", Signal=steps(*(("aws:runShellScript", {"runCommand": script}) for script in scripts)))
    assert (results(found), said(found)) == (["s1 Failed 143", "s2 Success 0"], ["before\n", "still here\n"])


def test_a_precondition_in_schema_1_2_fails_its_plugin(site: Site, node: TestNode) -> None:
    plugin = {
        "precondition": {"StringEquals": ["platformType", "Linux"]},
        "properties": [{"id": "one", "runCommand": ["touch /var/log/never"]}],
    }
    found = apply(
        site, "Old", Old=json.dumps({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": plugin}})
    )
    assert (found.status.value, [step.status for step in found.steps]) == ("Failed", ["Failed"])
    assert b"schema 1.2 has no preconditions" in found.steps[0].stderr
    assert not (node.root / "var/log/never").exists()
