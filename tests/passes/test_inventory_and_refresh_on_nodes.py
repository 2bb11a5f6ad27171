"""aws:softwareInventory and aws:refreshAssociation on real nodes: what a step leaves there, and what the next pass makes of it."""

import json

import pytest

from tests.passes.applying import apply, results
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

COUNTING = """\
schemaVersion: '2.2'
parameters:
  name: {type: String}
mainSteps:
  - name: count
    action: aws:runShellScript
    inputs: {runCommand: ['echo x >> "/var/log/{{ name }}"']}
"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Site:
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    fleet.nodes[0].run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/counted-*"])
    return made


def custom(site: Site, kind: str) -> list[dict[str, str]]:
    """Give the committed entries of an inventory type, by SQL as people ask for them."""
    sql = f"SELECT entry, attribute, value FROM custom WHERE type = '{kind}' ORDER BY entry"  # noqa: S608  (the test's own words)
    told = json.loads(site.command("inventory", "query", sql, "--format", "json", check=0).stdout)
    entries: dict[int, dict[str, str]] = {}
    for row in told["rows"]:
        entry, attribute, value = (row[name] for name in told["columns"]) if isinstance(row, dict) else row
        entries.setdefault(entry, {})[attribute] = value
    return list(entries.values())


FILES = """\
[{"Path": "/srv/stock", "Pattern": ["*.conf", "a?b"], "Recursive": true},
 {"Path": "$HOME/etc", "Pattern": ["x"]}, {"Path": "/srv/none", "Pattern": ["*"]}]"""


def test_files_that_the_inputs_name_are_in_the_committed_inventory(site: Site, node: TestNode) -> None:
    node.run(
        [
            "sh",
            "-c",
            "mkdir -p /srv/stock/deep /srv/stock/d.conf /root/etc && cd /srv/stock && printf 12 >z.conf && : >deep/q.txt",
        ]
    )
    odd = node.root / "srv/stock" / 'a"b'
    odd.write_text("x")
    (node.root / "srv/stock/deep/a\\b").write_text("xy")
    (node.root / "srv/stock/new\nline.conf").write_text("x")
    (node.root / "root/etc/x").write_text("xyz")
    (node.root / "srv/stock/away.conf").symlink_to("nowhere")
    node.run(["touch", "-d", "2024-05-01T10:00:00Z", "/srv/stock/z.conf"])
    found = apply(site, "AWS-GatherSoftwareInventory", json.dumps({"files": [FILES], "windowsRegistry": ["[{}]"]}))
    assert results(found) == ["collectSoftwareInventoryItems Success 0"]
    said = found.steps[0].stdout.decode()
    assert "AWS:Application is section packages of the inventory\n" in said
    for windows in ("windowsRoles", "windowsUpdates", "billingInfo", "windowsRegistry"):
        assert f"{windows}: not on Linux, skipped\n" in said
    assert "files: 4\n" in said
    listed = custom(site, "AWS:File")
    assert [(entry["InstalledDir"], entry["Name"], entry["Size"]) for entry in listed] == [
        ("/root/etc", "x", "3"),
        ("/srv/stock", 'a"b', "1"),
        ("/srv/stock/deep", "a\\b", "2"),
        ("/srv/stock", "z.conf", "2"),
    ]
    assert listed[3]["ModificationTime"] == "2024-05-01T10:00:00Z"
    found = apply(site, "AWS-GatherSoftwareInventory")
    assert found.status.value == "Success"
    assert custom(site, "AWS:File") == []


MANY = """\
schemaVersion: '2.2'
mainSteps:
  - name: many
    action: aws:softwareInventory
    inputs:
      applications: Disabled
      customInventory: Enabled
      customInventoryDirectory: /srv/custom
      files: '[{"Path": "/srv/many", "Pattern": ["*"], "Recursive": true, "DirScanLimit": 3}, {"Path": "/srv/full", "Pattern": "f*"}]'
"""


def test_what_is_too_much_is_cut_or_left_out_and_said(site: Site, node: TestNode) -> None:
    node.run(
        [
            "sh",
            "-c",
            "mkdir -p /srv/many/1 /srv/many/2 /srv/many/3 /srv/full /srv/custom; cd /srv/full; touch $(seq -f f%04g 501)",
        ]
    )
    (node.root / "srv/custom/rack.json").write_text(
        '{"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Rack": "B12"}}'
    )
    found = apply(site, "Many", Many=MANY)
    assert results(found) == ["many Failed 1"]
    told = found.steps[0].stderr.decode()
    assert "files: /srv/many holds more than 3 folders (DirScanLimit): left out\n" in told
    assert "files: only the first 500 by path are kept\n" in told
    listed = custom(site, "AWS:File")
    assert (len(listed), listed[0]["Name"], listed[-1]["Name"]) == (500, "f0001", "f0500")
    assert listed[-1]["Truncated"] == "500 of 501"
    assert custom(site, "Custom:Rack") == [{"Rack": "B12"}]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ("not json", "the input files must be the JSON text of a list of filters"),
        ('[{"Path": "etc", "Pattern": ["*"]}]', "Path must be an absolute path of one line, not 'etc'"),
        ('[{"Path": "/etc"}]', "'/etc' has no Pattern"),
    ],
)
def test_files_that_say_nothing_fail_the_step(site: Site, files: str, why: str) -> None:
    found = apply(site, "AWS-GatherSoftwareInventory", json.dumps({"files": [files]}))
    assert results(found) == ["collectSoftwareInventoryItems Failed 1"]
    assert why in found.steps[0].stderr.decode()


def association(name: str, document: str, parameters: str) -> dict[str, str]:
    text = (
        f"AssociationName: {name}\nName: {document}\nParameters: {parameters}\n"
        "Targets: [{Key: 'tag:Role', Values: [web]}]\nScheduleExpression: rate(7 days)\n"
    )
    return {f"state/associations/{name}.yaml": text}


def counted(node: TestNode) -> dict[str, int]:
    """How often each document ran."""
    return {path.name: len(path.read_text().split()) for path in (node.root / "var/log").glob("counted-*")}


def test_associations_are_run_once_by_the_next_pass_when_a_step_asks_for_them(site: Site, node: TestNode) -> None:
    site.commit(
        {
            "documents/Count.yaml": COUNTING,
            **association("one", "Count", "{name: [counted-one]}"),
            **association("two", "Count", "{name: [counted-two]}"),
            **association("quiet", "Count", "{name: [counted-quiet]}"),
        }
    )
    site.once()
    assert counted(node) == {"counted-one": 1, "counted-two": 1, "counted-quiet": 1}
    target = ("--instance-ids", "web-01", "--repo", str(site.repo))
    site.command(
        "send-command",
        "--document-name",
        "AWS-RefreshAssociation",
        *target,
        "--parameters",
        "associationIds=one,absent",
        check=0,
    )
    assert [(one.association, one.reason.partition(";")[0]) for one in site.once().outcomes] == [
        ("one", "asked for by aws:refreshAssociation")
    ]
    assert [one.association for one in site.once().outcomes] == []
    assert counted(node) == {"counted-one": 2, "counted-two": 1, "counted-quiet": 1}
    # Another one asks for all; itself and what asks as well are not among them, or they would never end.
    quiet = association("quiet", "Count", "{name: [counted-quiet]}")["state/associations/quiet.yaml"]
    site.commit(
        {
            **association("all", "AWS-RefreshAssociation", "{}"),
            **association("also-all", "AWS-RefreshAssociation", "{associationIds: ['']}"),
            "state/associations/quiet.yaml": quiet + "Mode: warn\n",
        }
    )
    assert [one.association for one in site.once().outcomes] == ["all", "also-all"]
    assert [one.association for one in site.once().outcomes] == ["one", "two"]
    last = site.once()
    assert [one.association for one in last.outcomes] == []
    assert last.all_in_sync
    assert counted(node) == {"counted-one": 3, "counted-two": 2, "counted-quiet": 1}
