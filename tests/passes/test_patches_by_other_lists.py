"""Patch documents that bring a list of their own: BaselineOverride and InstallOverrideList, from git and over https, on a real node."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.ids import NodeId
from tests.support.nodes import start_fleet
from tests.support.patching import BASELINE, Patching, package, versions
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

WEB = NodeId("web-01")
SERVER = "127.0.0.5"
DAYS = timedelta(days=1)
AT_ONCE = [
    {
        "Name": "now",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {
            "PatchRules": [
                {
                    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
                    "ApproveAfterDays": 0,
                    "ComplianceLevel": "CRITICAL",
                }
            ]
        },
        "RejectedPatches": ["kept"],
        "Refresh": "never",
        "MetadataMaxAgeHours": 8760,
    },
    {"Name": "elsewhere", "OperatingSystem": "UBUNTU", "ApprovedPatches": ["*"]},
]


@pytest.fixture(scope="module")
def patching(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Patching]:
    folder = tmp_path_factory.mktemp("patching")
    with start_fleet(folder / "fleet", 1) as fleet:
        made = Patching(folder, fleet)
        names = ("first", "second", "kept", "third", "fourth")
        made.publish([package(name, "1.0") for name in names])
        fleet.nodes[0].run(["apt-get", "-qy", "install", *names])
        made.publish([package(name, "1.1") for name in names])
        made.site.commit({"baselines/now.yaml": f"{BASELINE}Refresh: never\nMetadataMaxAgeHours: 8760\n"})
        yield made


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with web_server(SERVER, tls=tmp_path_factory.mktemp("tls")) as started:
        monkeypatch.setenv("SSL_CERT_FILE", str(started.authority))
        yield started


@pytest.fixture
def allowed(patching: Patching) -> Iterator[None]:
    """Let the host settings allow the server, for one test."""
    before = patching.site.settings.read_text()
    patching.site.settings.write_text(f"{before}Downloads: {{Egress: [{SERVER}]}}\n")
    yield
    patching.site.settings.write_text(before)


def association(operation: str, override: str) -> str:
    parameters = {"Operation": [operation], "RebootOption": ["NoReboot"], "BaselineOverride": [override]}
    return (
        f"AssociationName: hotfix\nName: AWS-RunPatchBaseline\nParameters: {json.dumps(parameters)}\n"
        "Targets: [{Key: InstanceIds, Values: [web-01]}]\n"
    )


def told(result: PassResult) -> Mapping[str, Mapping[str, str]]:
    """Give by baseline what the report of a pass has of the node: title -> state."""
    return {one.baseline: {row.title: row.state.value for row in one.rows} for one in result.reports[WEB].every_patches}


def committed(patching: Patching) -> Mapping[str, Any]:
    names = patching.site.git("ls-tree", "-r", "--name-only", "compliance").split()
    (path,) = [name for name in names if name.startswith("nodes/") and name.endswith("/web-01.json")]
    found: dict[str, Any] = json.loads(patching.site.git("show", f"compliance:{path}"))
    return found


def test_an_association_goes_by_the_baseline_that_its_tags_choose(patching: Patching) -> None:
    """Judged apart from the node's own baseline, and by it where no other has the tag; a command goes by the same."""
    site, begin = patching.site, datetime.now(UTC).replace(microsecond=0)
    asked = {"Operation": "Scan", "BaselineTags": "Key=Environment,Values=Test,Production"}
    scan = {"AssociationName": "tagged", "Name": "AWS-RunPatchBaselineAssociation"}
    scan |= {"Parameters": {name: [value] for name, value in asked.items()}}
    scan |= {"Targets": [{"Key": "InstanceIds", "Values": ["web-01"]}]}
    tagged = {**AT_ONCE[0], "Name": "tagged", "Tags": [{"Key": "Environment", "Value": "Production"}]}
    site.commit({"state/associations/tagged.yaml": json.dumps(scan), "baselines/tagged.yaml": json.dumps(tagged)})
    missing = {f"{name}.all:1.1": "MISSING" for name in ("first", "second", "third", "fourth")}
    assert told(site.once(at=begin)) == {"now": {}, "tagged": missing}
    explained = site.command("patch", "explain", "web-01", "first", "--association", "tagged", check=0).stdout
    assert "tagged has the tag Environment: Test or Production" in explained
    sent = patching.command("AWS-RunPatchBaselineAssociation", asked)
    assert sent.stdout.split("\n")[:2] == ["baseline tagged", "MISSING first.all:1.1"]

    site.commit({"baselines/tagged.yaml": json.dumps({**tagged, "Tags": {"Environment": "Development"}})})
    assert told(site.once(at=begin + timedelta(seconds=1))) == {"now": {}}
    site.commit({"state/associations/tagged.yaml": None, "baselines/tagged.yaml": None})


def test_an_association_with_a_baseline_of_its_own_is_judged_by_it_and_kept_apart_from_the_nodes_own(
    patching: Patching,
) -> None:
    """From a file of the state repository: scanned, planned with its checksum, installed, and reported by name and checksum."""
    site, node, begin = patching.site, patching.fleet.nodes[0], datetime.now(UTC).replace(microsecond=0)
    override = {"overrides/now.json": json.dumps(AT_ONCE)}
    site.commit({"state/associations/hotfix.yaml": association("Scan", "overrides/now.json"), **override})
    first = site.once(at=begin)
    (name,) = (one.baseline for one in first.reports[WEB].overrides)
    titles = ("first", "second", "third", "fourth")
    assert name.startswith("now@")
    assert told(first) == {"now": {}, name: {f"{title}.all:1.1": "MISSING" for title in titles}}
    (finding,) = first.reports[WEB].findings
    assert (finding.finding.state.value, "4 approved patches are missing" in finding.finding.reason) == ("InSync", True)
    stored = committed(patching)
    assert (stored["status"], stored["baselines"]["now"]["status"]) == ("NON_COMPLIANT", "COMPLIANT")
    assert (stored["baselines"][name]["level"], stored["baselines"][name]["overriding"]) == ("CRITICAL", True)
    assert set(stored["upcoming"]) == {f"now/{title}.all:1.1" for title in (*titles, "kept")}
    reports = site.reports()
    assert site.once(at=begin + timedelta(seconds=1)).reports[WEB].every_patches == first.reports[WEB].every_patches
    assert site.reports() == reports
    explained = site.command("patch", "explain", "web-01", "first", "--association", "hotfix", check=0).stdout
    assert f"BaselineOverride {name}" in explained
    assert "rule 1 approves it on" in site.command("patch", "explain", "web-01", "first", check=0).stdout
    rows = json.loads(site.command("patch", "report", "--format", "json", check=2).stdout)["nodes"]
    assert [row["Patch baseline"] for row in rows] == ["now", name]

    site.commit({"state/associations/hotfix.yaml": association("Install", "overrides/now.json")})
    with site.controller(at=begin + timedelta(minutes=1)) as controller:
        (item,) = controller.plan(limit=()).plan.items
    (fetch,) = item.fetches
    assert (fetch.source, fetch.mutable, fetch.pin.removeprefix("sha256 ")[:12]) == (
        "overrides/now.json",
        False,
        name.removeprefix("now@"),
    )
    assert item.patches is not None
    assert [pin.name for pin in item.patches.pins] == sorted(titles)
    done = site.once(at=begin + timedelta(minutes=1))
    (outcome,) = done.outcomes
    assert outcome.record is not None, outcome.reason
    assert versions(node, *titles, "kept") == {**dict.fromkeys(titles, "1.1"), "kept": "1.0"}
    waiting = {f"{title}.all:1.1": "INSTALLED_PENDING_REBOOT" for title in titles}
    assert told(done) == {"now": waiting, name: waiting}
    assert site.once(at=begin + timedelta(minutes=2)).outcomes == ()

    # Another content is another baseline, and another definition: what is not approved any more is nobody's business.
    other = [{**AT_ONCE[0], "RejectedPatches": []}]
    site.commit({"overrides/now.json": json.dumps(other)})
    done = site.once(at=begin + timedelta(minutes=3))
    assert versions(node, "kept") == {"kept": "1.1"}
    assert name not in told(done)
    assert len(told(done)) == 2
    site.commit({"state/associations/hotfix.yaml": None, "overrides/now.json": None})
    assert set(told(site.once(at=begin + timedelta(minutes=4)))) == {"now"}


@pytest.mark.parametrize(
    ("files", "override", "words"),
    [
        ({}, "overrides/gone.json", "overrides/gone.json is not in the state repository"),
        ({"overrides/no.json": '{"Name": "now"}'}, "overrides/no.json", "it must be a JSON array of baselines"),
        ({"overrides/no.json": json.dumps(AT_ONCE[1:])}, "overrides/no.json", "has none for DEBIAN"),
    ],
    ids=["not there", "no array", "of another system"],
)
def test_an_override_that_cannot_be_followed_installs_nothing_and_says_why(
    patching: Patching, files: Mapping[str, str], override: str, words: str
) -> None:
    site = patching.site
    site.commit({"state/associations/hotfix.yaml": association("Install", override), **files})
    result = site.once()
    (finding,) = result.reports[WEB].findings
    assert words in finding.finding.reason
    assert finding.finding.state.value in {"Unknown", "Failed", "Waiting"}
    assert not any(outcome.record for outcome in result.outcomes)
    site.commit({"state/associations/hotfix.yaml": None, **dict.fromkeys(files)})


def test_an_association_follows_an_override_over_https_where_the_host_settings_allow_its_server(
    patching: Patching, server: WebServer
) -> None:
    site, node = patching.site, patching.fleet.nodes[0]
    patching.publish([package("first", "1.2")])
    server.files["/now.json"] = json.dumps(AT_ONCE).encode()
    url = f"{server.url}/now.json"
    site.commit({"state/associations/hotfix.yaml": association("Install", url)})
    refused = site.once()
    (finding,) = refused.reports[WEB].findings
    assert finding.finding.state.value == "Waiting"
    assert "no public address: the host settings may allow it" in finding.finding.reason
    assert server.asked == []
    before = site.settings.read_text()
    site.settings.write_text(f"{before}Downloads: {{Egress: [{SERVER}]}}\n")
    try:
        done = site.once()
        (outcome,) = done.outcomes
        assert outcome.record is not None, outcome.reason
        assert versions(node, "first") == {"first": "1.2"}
        assert [one.mutable for item in done.plan.items for one in item.fetches] == [True]
    finally:
        site.settings.write_text(before)
        site.commit({"state/associations/hotfix.yaml": None})


@pytest.mark.usefixtures("allowed")
def test_a_command_follows_a_baseline_override_over_https(patching: Patching, server: WebServer) -> None:
    node = patching.fleet.nodes[0]
    patching.publish([package("second", "1.2"), package("third", "1.2")])
    only_second = [{**AT_ONCE[0], "RejectedPatches": ["third"]}]
    server.files["/second.json"] = json.dumps(only_second).encode()
    url = f"{server.url}/second.json"
    patching.site.once()  # a command dates nothing: what no pass has seen is approved by no rule
    scanned = patching.send("Scan", BaselineOverride=url)
    assert (scanned.status, "MISSING second.all:1.2" in scanned.stdout) == ("Success", True), scanned
    assert "baseline now@" in scanned.stdout
    assert "MISSING" not in patching.send("Scan").stdout
    done = patching.send(BaselineOverride=url)
    assert (done.status, done.installed) == ("Success", {"second.all": "1.2"}), done
    assert versions(node, "second", "third") == {"second": "1.2", "third": "1.1"}


@pytest.mark.usefixtures("allowed")
def test_a_command_installs_what_a_list_over_https_names_and_nothing_else(
    patching: Patching, server: WebServer
) -> None:
    """SSM: whatever the baseline says of it; both globs of an entry must match, and only what is installed is upgraded."""
    node = patching.fleet.nodes[0]
    packages = [package("third", "1.3"), package("third", "1.4"), package("fourth", "1.3"), package("unknown", "1")]
    patching.publish(packages)
    server.files["/list.yaml"] = (
        b"patches:\n- {id: 'thi*', title: '*:1.3'}\n- {id: unknown}\n- {id: fourth, title: '9*'}\n"
    )
    done = patching.send(InstallOverrideList=f"{server.url}/list.yaml")
    assert (done.status, done.installed) == ("Success", {"third.all": "1.3"}), done
    assert versions(node, "third", "fourth", "unknown") == {"third": "1.3", "fourth": "1.1"}
    assert "GET /list.yaml" in server.asked
