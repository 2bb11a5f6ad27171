"""aws:configurePackage on a real node: packages of the state repository, installed, updated, rolled back and taken away."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.model.outcome import RunRecord
from tests.passes.applying import apply, results
from tests.support.nodes import Fleet, TestNode
from tests.support.signing import ssh_signer
from tests.support.site import Site
from tests.support.web_server import WebServer, web_server

SERVER = "127.0.0.6"

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Site:
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    fleet.nodes[0].run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/tool /srv/*"])
    return made


def script(word: str, rest: str = "") -> bytes:
    """A script of a package: says in a log of the node that it ran."""
    return f'echo "{word} $(cat version) $SSM_greeting" >>/var/log/tool\n{rest}\n'.encode()


def publish(site: Site, version: str, *, path: str = "debian/12/_any", **more: bytes | str) -> None:
    """Write one version of package `tool`; further scripts by name, as what they do besides saying that they ran."""
    scripts = {"install": "", "uninstall": "", **more}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("version", version)
        for name, rest in scripts.items():
            archive.writestr(f"{name}.sh", script(name, str(rest)))
    folder = site.repo / "packages/tool" / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tool.zip").write_bytes(made.getvalue())
    platform, release, architecture = path.split("/")
    manifest = {
        "schemaVersion": "2.0",
        "version": version,
        "packages": {platform: {release: {architecture: {"file": "tool.zip"}}}},
        "files": {"tool.zip": {"checksums": {"sha256": hashlib.sha256(made.getvalue()).hexdigest()}}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def configure(site: Site, action: str, version: str = "", **parameters: str) -> RunRecord:
    given = {"action": [action], "name": ["tool"], "version": [version], **{k: [v] for k, v in parameters.items()}}
    return apply(site, "AWS-ConfigureAWSPackage", json.dumps(given))


def logged(node: TestNode) -> list[str]:
    """What scripts said since the last time."""
    log = node.root / "var/log/tool"
    if not log.exists():
        return []
    lines = [line.strip() for line in log.read_text().splitlines()]
    log.unlink()
    return lines


def states(node: TestNode) -> Mapping[str, str]:
    """What the node's inventory says of packages."""
    told = json.loads((node.root / "var/lib/reconciler/inventory/packages.json").read_text())
    return {entry["Name"]: f"{entry['Version']} {entry['State']}" for entry in told["Content"]}


OK = ["configurePackage Success 0"]
FAILED = ["configurePackage Failed 1"]
IN_PLACE = {"installationType": "In-place update"}


def test_a_package_is_installed_updated_and_taken_away(site: Site, node: TestNode) -> None:
    publish(site, "1.0", validate="")
    publish(site, "2.0", update="")
    site.write({"packages/tool/package.yaml": "default: '1.0'\n"})
    found = configure(site, "Install", additionalArguments='{"SSM_greeting": "good day"}')
    assert results(found) == OK, found.steps[0].stderr
    assert logged(node) == ["install 1.0 good day", "validate 1.0 good day"]
    # Known from the report branch, so that an expectation can rest on it.
    row = site.command("inventory", "query", "SELECT value FROM custom WHERE attribute = 'Version'", check=0).stdout
    assert "1.0" in row
    assert results(configure(site, "Install", "1.0")) == OK
    assert logged(node) == ["validate 1.0"]
    assert results(configure(site, "Install", "2.0")) == OK
    assert logged(node) == ["uninstall 1.0", "install 2.0"]
    assert states(node) == {"tool": "2.0 Installed"}
    assert results(configure(site, "Uninstall", "1.0")) == OK
    assert logged(node) == []
    assert results(configure(site, "Install", "1.0")) == OK
    assert results(configure(site, "Install", "2.0", **IN_PLACE)) == OK
    assert logged(node) == ["uninstall 2.0", "install 1.0", "validate 1.0", "update 2.0"]
    assert results(configure(site, "Uninstall")) == OK
    assert logged(node) == ["uninstall 2.0"]
    assert states(node) == {"tool": "2.0 Uninstalled"}
    assert [path.name for path in (node.root / "var/lib/reconciler/packages/tool").iterdir()] == ["state"]
    assert results(configure(site, "Uninstall")) == OK
    assert logged(node) == []


def test_a_script_of_a_package_ends_when_its_time_is_over(site: Site, node: TestNode) -> None:
    publish(site, "1", install="sleep 600")
    inputs = {"name": "tool", "action": "Install", "timeoutSeconds": 20}
    step = {"name": "slow", "action": "aws:configurePackage", "inputs": inputs}
    found = apply(site, "Slow", Slow=json.dumps({"schemaVersion": "2.2", "mainSteps": [step]}))
    assert results(found) == ["slow TimedOut 137"]
    assert logged(node) == ["install 1"]


def test_what_fails_is_rolled_back_and_has_failed_all_the_same(site: Site, node: TestNode) -> None:
    publish(site, "1")
    publish(site, "2", install="exit 5")
    publish(site, "3", validate="exit 1", update="")
    assert results(configure(site, "Install", "2")) == FAILED
    assert (logged(node), states(node)) == (["install 2"], {"tool": "2 Failed"})
    assert results(configure(site, "Install", "1")) == OK
    assert logged(node) == ["install 1"]
    found = configure(site, "Install", "2")
    assert results(found) == FAILED
    assert b"install.sh of tool 2 ended with 5\n" in found.steps[0].stderr
    assert b"tool 2 could not be installed: rolled back to 1\n" in found.steps[0].stderr
    assert logged(node) == ["uninstall 1", "install 2", "uninstall 2", "install 1"]
    assert states(node) == {"tool": "1 Installed"}
    assert results(configure(site, "Install", "3", **IN_PLACE)) == FAILED
    assert logged(node) == ["update 3", "validate 3", "uninstall 3", "install 1"]
    found = configure(site, "Install", "2", **IN_PLACE)
    assert results(found) == FAILED
    assert b"tool 2 has no update.sh: it cannot be updated in place" in found.steps[0].stderr
    assert (logged(node), states(node)) == ([], {"tool": "1 Installed"})


def test_a_changed_package_of_the_same_version_is_a_change_and_is_installed_anew(site: Site, node: TestNode) -> None:
    publish(site, "1", validate="")
    assert results(configure(site, "Install", "1")) == OK
    logged(node)
    publish(site, "1", validate="", install="touch /srv/anew")
    site.commit({})
    done = site.once().outcomes
    assert [one.record.status.value for one in done if one.record is not None] == ["Success"]
    assert logged(node) == ["uninstall 1", "install 1", "validate 1"]
    assert (node.root / "srv/anew").exists()


def test_a_package_that_somebody_takes_away_has_drifted_and_comes_back(site: Site, node: TestNode) -> None:
    publish(site, "1.0")
    text = (
        "AssociationName: kept\nName: AWS-ConfigureAWSPackage\nParameters: {action: [Install], name: [tool]}\n"
        "Targets: [{Key: 'tag:Role', Values: [web]}]\n"
        "Expect: {Inventory: [{Type: 'Custom:DistributorPackage', Where: {Name: tool, Version: '1.0', State: Installed}}]}\n"
    )
    site.commit({"state/associations/kept.yaml": text})
    assert [one.record.cause for one in site.once().outcomes if one.record] == ["Pending"]
    assert site.once().outcomes == ()
    target = ("--instance-ids", "web-01", "--repo", str(site.repo), "--document-name", "AWS-ConfigureAWSPackage")
    site.command("send-command", *target, "--parameters", "action=Uninstall,name=tool", check=0)
    assert [one.record.cause for one in site.once().outcomes if one.record] == ["Drifted"]
    assert logged(node) == ["install 1.0", "uninstall 1.0", "install 1.0"]


def test_a_pull_request_with_another_version_is_planned_from_git_alone(site: Site, node: TestNode) -> None:
    publish(site, "1.0")
    site.write({"packages/tool/package.yaml": "default: '1.0'\n"})
    assert results(configure(site, "Install")) == OK
    base = site.git("rev-parse", "HEAD")
    publish(site, "2.0")
    head = site.commit({"packages/tool/package.yaml": "default: '2.0'\n"})
    done = site.command("plan", "--base", base, "--head", head)
    assert "AWS-ConfigureAWSPackage" in done.stdout, done
    assert "packages/tool/2.0/tool.zip: sha256 " in done.stdout
    assert logged(node) == ["install 1.0"]


REBOOTS = "[ -e /srv/went-down ] || { touch /srv/went-down; exit 194; }"


def test_a_reboot_in_the_middle_enters_the_action_again(site: Site, node: TestNode) -> None:
    publish(site, "1", uninstall=REBOOTS)
    publish(site, "2", install=REBOOTS.replace("went-down", "again"), validate="")
    assert results(configure(site, "Install", "1")) == OK
    boots = node.boots
    assert results(configure(site, "Install", "2")) == OK
    assert node.boots == boots + 2
    assert logged(node) == ["install 1", "uninstall 1", "uninstall 1", "install 2", "install 2", "validate 2"]
    assert states(node) == {"tool": "2 Installed"}


def test_validate_decides_after_a_power_cut(site: Site, node: TestNode) -> None:
    publish(site, "1", validate="[ -e /srv/works ]")
    home = node.root / "var/lib/reconciler/packages/tool"
    assert results(configure(site, "Install", "1")) == FAILED
    assert logged(node) == ["install 1", "validate 1"]
    (node.root / "srv/works").touch()
    state = home / "state"
    state.write_text(state.read_text().replace("Failed", "Installing"))
    assert results(configure(site, "Install", "1")) == OK
    assert logged(node) == ["validate 1"]


def test_what_is_not_there_or_not_for_the_node_fails_and_says_so(site: Site, node: TestNode) -> None:
    found = configure(site, "Install")
    assert results(found) == FAILED
    assert b"there is no package tool: write packages/tool/VERSION/manifest.json" in found.steps[0].stderr
    publish(site, "1", path="rocky/9.*/_any")
    found = configure(site, "Install", "1")
    assert results(found) == FAILED
    assert b"tool 1 has no file for debian 12 x86_64 (it has rocky/9.*/_any)" in found.steps[0].stderr
    found = configure(site, "Install", "4")
    assert b"tool has no version 4 (there are: 1)" in found.steps[0].stderr
    found = configure(site, "Install", "1", additionalArguments='{"PATH": "/tmp"}')
    assert b"'PATH' must begin with SSM_" in found.steps[0].stderr
    assert logged(node) == []


def test_a_zip_that_is_not_what_its_manifest_says_is_waited_for(site: Site, node: TestNode) -> None:
    publish(site, "1")
    (site.repo / "packages/tool/1/tool.zip").write_bytes(b"something else")
    text = "AssociationName: wrong\nName: AWS-ConfigureAWSPackage\nParameters: {action: [Install], name: [tool]}\n"
    site.commit({"state/associations/wrong.yaml": f"{text}Targets: [{{Key: 'tag:Role', Values: [web]}}]\n"})
    result = site.once()
    assert result.outcomes == ()
    (why,) = [found.finding.reason for found in result.reports[next(iter(result.reports))].findings]
    assert "packages/tool/1/tool.zip has SHA-256 " in why
    assert "and its manifest says" in why
    assert logged(node) == []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with web_server(SERVER, tls=tmp_path / "tls") as opened:
        monkeypatch.setenv("SSL_CERT_FILE", str(opened.authority))
        yield opened


def move_away(site: Site, server: WebServer, version: str) -> Path:
    """Put the zip of a version on a web server; gives the manifest."""
    zipped = site.repo / "packages/tool" / version / "tool.zip"
    server.files[f"/{version}/tool.zip"] = zipped.read_bytes()
    zipped.unlink()
    path = zipped.with_name("manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"]["tool.zip"]["url"] = f"{server.url}/{version}/tool.zip"
    path.write_text(json.dumps(manifest))
    return path


def associate(site: Site, name: str) -> str:
    text = f"AssociationName: {name}\nName: AWS-ConfigureAWSPackage\nParameters: {{action: [Install], name: [tool]}}\n"
    return site.commit({f"state/associations/{name}.yaml": f"{text}Targets: [{{Key: 'tag:Role', Values: [web]}}]\n"})


def statuses(site: Site) -> list[str]:
    return [one.record.status.value for one in site.once().outcomes if one.record]


def test_a_zip_elsewhere_is_fetched_once_where_egress_lets_it(site: Site, node: TestNode, server: WebServer) -> None:
    publish(site, "1")
    move_away(site, server, "1")
    associate(site, "url")
    refused = site.once()
    assert (refused.outcomes, server.asked) == ((), [])
    with site.settings.open("a") as settings:
        settings.write(f"Downloads: {{Egress: [{SERVER}]}}\n")
    assert statuses(site) == ["Success"]
    site.once()
    assert server.asked == ["GET /1/tool.zip"]
    assert logged(node) == ["install 1"]


def test_what_comes_from_outside_must_be_signed_where_the_host_names_signers(
    site: Site, node: TestNode, server: WebServer, tmp_path: Path
) -> None:
    ann, eve = ssh_signer(tmp_path / "keys", "ann"), ssh_signer(tmp_path / "keys", "eve")
    with site.settings.open("a") as settings:
        settings.write(f"Downloads: {{Egress: [{SERVER}]}}\nPackageSigners:\n{ann.entry()}")
    publish(site, "1")
    # What lies in git was reviewed with the commit: it needs no other signature.
    associate(site, "signed")
    assert statuses(site) == ["Success"]
    assert logged(node) == ["install 1"]
    publish(site, "2")
    manifest = move_away(site, server, "2")
    site.commit({"packages/tool/package.yaml": "default: '2'\n"})
    sending = ("send-command", "--document-name", "AWS-ConfigureAWSPackage", "--instance-ids", "web-01", "--repo")
    sent = (*sending, str(site.repo), "--parameters", "action=Install,name=tool")
    for signer, why in ((None, "it is not signed"), (eve, "which is no trusted signer's")):
        if signer is not None:
            signer.sign(manifest, "reconciler-package")
            site.commit({})
        planned = site.command("plan", check=None).stdout
        assert why in planned
        assert f"ssh-keygen -Y sign -n reconciler-package -f KEY {manifest.relative_to(site.repo)}" in planned
        assert statuses(site) == []
        assert why in site.command(*sent, check=1).stderr
    assert server.asked == []
    ann.sign(manifest, "reconciler-package")
    base = site.commit({})
    assert "packages/tool/2/manifest.json: signed by ann (SHA256:" in site.command("plan", check=None).stdout
    assert statuses(site) == ["Success"]
    assert logged(node) == ["uninstall 1", "install 2"]
    # What is checked is what is used: another manifest beside the same signature is not signed.
    manifest.write_text(f"{manifest.read_text()}\n")
    head = site.commit({})
    offline = site.command("plan", "--base", base, "--head", head, check=None).stdout
    assert "packages/tool/2/manifest.json: its ssh signature does not hold" in offline
    (why,) = [one.finding.reason for one in next(iter(site.once().reports.values())).findings]
    assert "its ssh signature does not hold" in why
    assert logged(node) == []
    # Taking away brings nothing along.
    assert results(configure(site, "Uninstall")) == OK
    assert logged(node) == ["uninstall 2"]


def test_send_command_installs_a_package_too(site: Site, node: TestNode) -> None:
    publish(site, "1")
    site.commit({})
    target = ("--instance-ids", "web-01", "--repo", str(site.repo))
    site.command(
        "send-command",
        "--document-name",
        "AWS-ConfigureAWSPackage",
        *target,
        "--parameters",
        "action=Install,name=tool",
        check=0,
    )
    assert logged(node) == ["install 1"]
