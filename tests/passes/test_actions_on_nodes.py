"""Actions of SSM documents on real nodes: what a whole pass makes of a document in git."""

import threading
import time
from collections.abc import Iterator

import pytest

from reconciler.daemon.passing import PassResult
from tests.passes.applying import apply, results
from tests.support.nodes import TestNode
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


POWERSHELL = """\
schemaVersion: '2.2'
parameters:
  word: {type: String, default: hello}
mainSteps:
  - name: power
    action: aws:runPowerShellScript
    precondition: {StringEquals: [platformType, Linux]}
    inputs:
      timeoutSeconds: 60
      runCommand: ['Write-Output "{{ word }}"', 'exit 3']
  - name: next
    action: aws:runShellScript
    inputs: {runCommand: ['echo next']}
"""

FAKE_PWSH = """\
#!/bin/sh
# Tells how it was called, in the place of a PowerShell.
echo "called as ${0##*/} $1 ${2##*/}; HOME=$HOME TERM=${TERM-unset} in $PWD"
cat "$2"
exit 3
"""


@pytest.fixture(params=["pwsh", "powershell"])
def powershell(node: TestNode, request: pytest.FixtureRequest) -> Iterator[str]:
    program = node.root / "usr/local/bin" / request.param
    program.write_text(FAKE_PWSH)
    program.chmod(0o755)
    yield request.param
    program.unlink()


def test_powershell_gets_the_script_as_from_ssms_agent(site: Site, powershell: str) -> None:
    found = apply(site, "Power", Power=POWERSHELL)
    assert results(found) == ["power Failed 3", "next Success 0"]
    assert found.steps[0].stdout.decode().splitlines() == [
        f"called as {powershell} -f _script.ps1; HOME=/ TERM=unset in /",
        'Write-Output "hello"',
        "exit 3",
    ]
    assert found.steps[0].stderr == b"failed to run commands: exit status 3\n"


def test_a_node_without_powershell_fails_that_step_and_says_why(site: Site) -> None:
    found = apply(site, "Power", Power=POWERSHELL)
    assert results(found) == ["power Failed 1", "next Success 0"]
    assert b"aws:runPowerShellScript: the node has no powershell and no pwsh: install one\n" in found.steps[0].stderr


UPDATE_AGENT = """\
schemaVersion: '2.2'
mainSteps:
  - name: update
    action: aws:updateSsmAgent
    inputs: {agentName: amazon-ssm-agent}
"""


def test_there_is_no_agent_to_update_and_the_step_says_so(site: Site) -> None:
    found = apply(site, "Agent", Agent=UPDATE_AGENT)
    assert results(found) == ["update Skipped 0"]
    assert found.status.value == "Success"
    assert found.steps[0].stdout == b"aws:updateSsmAgent: there is no agent here to update\n"


BUNDLED_POWERSHELL = "{commands: ['Write-Output hi'], workingDirectory: /usr, executionTimeout: '60'}"


def test_the_bundled_powershell_document_runs_what_its_caller_writes(site: Site, powershell: str) -> None:
    found = apply(site, "AWS-RunPowerShellScript", BUNDLED_POWERSHELL)
    assert results(found) == ["0.aws:runPowerShellScript Failed 3"]
    assert found.steps[0].stdout.decode().splitlines()[0].endswith(" in /usr"), powershell
    assert found.steps[0].stdout.decode().splitlines()[1:] == ["Write-Output hi"]


@pytest.mark.parametrize("parameters", ["{}", "{version: ['3.3.0.0'], allowDowngrade: ['true']}"])
def test_the_bundled_document_for_the_agent_is_a_no_op_that_says_why(site: Site, parameters: str) -> None:
    found = apply(site, "AWS-UpdateSSMAgent", parameters)
    assert (found.status.value, found.exit_code) == ("Success", 0)
    assert b"there is no agent here to update" in found.steps[0].stdout


OUTER = """\
schemaVersion: '2.2'
parameters:
  hook: {type: String, default: Hook}
  given: {type: String, default: '{"word": "given", "reboot": }'}
mainSteps:
  - name: before
    action: aws:runDocument
    inputs: {documentType: SSMDocument, documentPath: AWS-Noop}
  - name: hook
    action: aws:runDocument
    inputs: {documentType: SSMDocument, documentPath: '{{ hook }}', documentParameters: '{{ given }}'}
  - name: after
    action: aws:runShellScript
    inputs: {runCommand: ['echo after']}
"""

HOOK = """\
schemaVersion: '2.2'
parameters:
  word: {type: String, default: default}
  reboot: {type: String, default: default, interpolationType: ENV_VAR}
mainSteps:
  - name: speak
    action: aws:runShellScript
    inputs: {runCommand: ['echo "{{ word }} $SSM_reboot"', 'exit 168']}
  - name: never
    action: aws:runShellScript
    inputs: {runCommand: ['echo never']}
"""

GOES_DOWN = """\
schemaVersion: '2.2'
mainSteps:
  - name: down
    action: aws:runShellScript
    inputs: {runCommand: ['exit 194']}
"""

LONG = """\
schemaVersion: '2.2'
mainSteps:
  - name: long
    action: aws:runShellScript
    inputs: {runCommand: ['touch /var/log/long', 'sleep 300']}
  - name: next
    action: aws:runShellScript
    inputs: {runCommand: ['touch /var/log/never']}
"""


def test_a_document_runs_another_of_the_repository(site: Site) -> None:
    found = apply(site, "Outer", Outer=OUTER, Hook=HOOK)
    assert results(found) == ["before Success 0", "hook/speak Success 168", "hook/never Skipped 0", "after Success 0"]
    assert found.steps[1].stdout.startswith(b"given default\n")
    assert (found.status.value, found.exit_code) == ("Success", 0)


def test_a_command_runs_documents_within_documents_too(site: Site) -> None:
    site.commit({"documents/Outer.yaml": OUTER, "documents/Hook.yaml": HOOK})
    target = ("--targets", "Key=tag:Role,Values=web", "--repo", str(site.repo))
    site.command("send-command", "--document-name", "Outer", *target, check=0)


def test_another_version_of_an_inner_document_is_a_change_of_what_runs_it(site: Site) -> None:
    apply(site, "Outer", Outer=OUTER, Hook=HOOK)
    site.commit({"documents/Hook.yaml": HOOK.replace("echo never", "echo changed")})
    assert {one.record.cause for one in site.once().outcomes if one.record is not None} == {"Pending"}


def test_an_inner_document_cannot_reboot_its_node(site: Site, node: TestNode) -> None:
    boots = node.boots
    found = apply(site, "Outer", "{hook: [Down], given: ['']}", Outer=OUTER, Down=GOES_DOWN)
    assert results(found) == ["before Success 0", "hook/down Failed 194", "after Success 0"]
    assert b"a document that another one runs cannot ask for a reboot" in found.steps[1].stderr
    assert node.boots == boots


def test_a_cancel_reaches_the_inner_document(site: Site, node: TestNode) -> None:
    site.commit(
        {
            "documents/Outer.yaml": OUTER,
            "documents/Long.yaml": LONG,
            "state/associations/cancel.yaml": "AssociationName: cancel\nName: Outer\nParameters: {hook: [Long], given: ['']}\n"
            "Targets: [{Key: 'tag:Role', Values: [web]}]\n",
        }
    )
    done: list[PassResult] = []
    working = threading.Thread(target=lambda: done.append(site.once()))
    working.start()
    ends = time.monotonic() + 120
    while not (node.root / "var/log/long").exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
    (run,) = [
        path
        for path in (node.root / "var/lib/reconciler/runs").iterdir()
        if "cancel" in (path / "manifest").read_text()
    ]
    site.command("runs", "cancel", run.name)
    working.join(120)
    (record,) = [one.record for one in done[0].outcomes if one.association == "cancel"]
    assert record is not None
    assert results(record) == [
        "before Success 0",
        "hook/long Cancelled 137",
        "hook/next Cancelled 1",
        "after Cancelled 1",
    ]
    assert record.status.value == "Cancelled"
    assert not (node.root / "var/log/never").exists()
