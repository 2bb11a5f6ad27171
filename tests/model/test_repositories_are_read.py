"""Whole repositories: what the records hold, what the bundled library adds, and reading again."""

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.bundled import bundled_files
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.model.association import Association, Severity, Target
from reconciler.model.baseline import OperatingSystem
from reconciler.model.fleet import Fleet
from reconciler.model.node import Become, Mode, Transport
from reconciler.model.read_state import Readings, desired_state, read_state
from reconciler.problem import Gravity
from tests.model.reading import ASSOCIATION, DIGEST, DOCUMENT, FILES, NODE, as_bytes, lints, problems, reads

ROOT = Path(__file__).parents[2]


def association(more: str) -> Association:
    return reads(FILES | {"state/associations/motd.yaml": ASSOCIATION + more}).associations[AssociationName("motd")]


@pytest.mark.parametrize("written", [DIGEST, DIGEST.upper(), f"'{DIGEST}'\nDocumentHashType: Sha256"])
def test_a_document_that_is_what_is_pinned_is_taken(written: str) -> None:
    assert association(f"DocumentHash: {written}\n").document == "Motd"


def test_an_empty_repository_is_valid() -> None:
    state = reads({})
    assert (state.commit, state.fleet.id, state.fleet.interval) == (None, "fleet", timedelta(minutes=10))
    assert not state.nodes


def test_a_node_takes_from_the_fleet_what_it_does_not_say() -> None:
    fleet = "Ssh: {User: ops, IdentityFile: fleet}\nMode: warn\n"
    nodes = (
        "Id: plain\nAddress: 10.0.0.1\n---\nId: full\nAddress: 'fe80::1%eth0'\nPort: 2222\nUser: me\nIdentityFile: own\n"
        "Gateway: plain\nBecome: sudo\nMode: observe\nTags: {a: b}\nFormerIds: [old]\n---\nId: bold\nAddress: h\nMode: enforce\n"
        "---\nId: here\nTransport: local\n"
    )
    found = reads({"state/fleet.yaml": fleet, "state/nodes/all.yml": nodes}).nodes
    plain, full, bold, here = (found[NodeId(name)] for name in ("plain", "full", "bold", "here"))
    assert (plain.user, plain.identity_file, plain.port, plain.mode) == ("ops", "fleet", 22, Mode.WARN)
    assert (plain.become, plain.transport, plain.file) == (Become.NONE, Transport.SSH, "state/nodes/all.yml:1")
    assert (full.user, full.identity_file, full.port, full.mode) == ("me", "own", 2222, Mode.OBSERVE)
    assert (full.address, full.gateway, full.become) == ("fe80::1%eth0", "plain", Become.SUDO)
    assert (full.tags, full.former_ids) == ({"a": "b"}, ("old",))
    assert bold.mode is Mode.WARN  # the least intervening wins
    assert (here.address, here.user, here.identity_file, here.transport) == (None, None, None, Transport.LOCAL)


@pytest.mark.parametrize(
    "address", ["web-01.example.org", "localhost", "a_b", "10.0.0.1", "::1", "2001:db8::1", "xn--bcher-kva.example."]
)
def test_an_address_is_a_name_or_an_ip_address(address: str) -> None:
    (node,) = reads({"state/nodes/a.yaml": f"Id: a\nAddress: '{address}'\n"}).nodes.values()
    assert node.address == address


def test_the_fleet_is_read_whole() -> None:
    fleet = reads(
        {
            "state/fleet.yaml": "Fleet: x\nBranch: live/main\nInterval: rate(30 seconds)\nPassWait: rate(1 hour)\n"
            "Ssh: {MaxHandshakes: 5, KeepConnections: 0}\nReports: {Branch: seen, Remote: git@example.org:a/b.git}\n"
            "MaxChangedPerPass: 20%\nStopAfterFailures: 0\nSuspend: true\nRequireReasons: true\n"
        }
    ).fleet
    assert (fleet.id, fleet.branch, fleet.interval) == ("x", "live/main", timedelta(seconds=30))
    assert (fleet.pass_wait, fleet.max_handshakes, fleet.keep_connections) == (timedelta(hours=1), 5, 0)
    assert (fleet.reports_branch, fleet.reports_remote) == ("seen", "git@example.org:a/b.git")
    assert (fleet.stop_after_failures, Fleet().stop_after_failures) == (0, 5)
    assert (fleet.max_changed_per_pass, fleet.suspend, fleet.require_reasons) == ("20%", True, True)


def test_an_association_says_nothing_beyond_ssms_defaults() -> None:
    found = association("")
    assert found.targets == (Target(key="tag:Role", values=("web",)),)
    assert (found.document, found.document_version, found.schedule) == ("Motd", "$DEFAULT", None)
    assert (found.max_concurrency, found.max_errors, found.severity) == ("50", "100%", Severity.UNSPECIFIED)
    assert (found.mode, found.expect, found.depends_on, found.unsupported) == (Mode.ENFORCE, None, (), ())
    assert found.file == "state/associations/motd.yaml:1"


def test_expectations_are_read_whole() -> None:
    expect = association(
        "CheckAs: become\nExpect:\n  Files: [{Path: /b, State: absent}, {Path: /a, Sha256: '" + "AB" * 32 + "'}]\n"
        "  Packages: [{Name: a}, {Name: b, Version: 2:1.0-1}, {Name: c, Version: '<=3'}, {Name: d, State: absent}]\n"
        "  Services: [{Name: a, State: stopped}, {Name: b, Enabled: false}]\n"
        "  Users: [{Name: app, Uid: 900, Groups: [z, a]}]\n  Groups: [{Name: g, Members: [b, a]}]\n"
        "  Sysctls: {net/ipv4/ip_forward: 1, net.ipv4.conf.eth0/1.forwarding: 0}\n  Mounts: [{Path: /, Options: [rw, noatime]}]\n"
        "  Ports: [{Port: 22}, {Port: 23, Protocol: udp, Address: '::1', State: closed}]\n  Kernel: {Release: 6.1.0-30}\n"
        "  Inventory: [{Type: 'Custom:Rack', Where: {U: 3}, Count: 2}]\n"
    ).expect
    assert expect is not None
    assert [(file.path, file.sha256, file.state.value) for file in expect.files] == [
        ("/b", None, "absent"),
        ("/a", "ab" * 32, "present"),
    ]
    assert [(package.operator, package.version) for package in expect.packages] == [
        (None, None),
        ("=", "2:1.0-1"),
        ("<=", "3"),
        (None, None),
    ]
    assert [(service.running, service.enabled) for service in expect.services] == [(False, None), (None, False)]
    assert (expect.users[0].uid, expect.users[0].groups, expect.groups[0].members) == (900, ("a", "z"), ("a", "b"))
    assert expect.sysctls == {"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/1.forwarding": "0"}
    assert expect.mounts[0].options == ("noatime", "rw")
    assert [(port.protocol, port.address, port.listening) for port in expect.ports] == [
        ("tcp", "*", True),
        ("udp", "::1", False),
    ]
    assert expect.kernel is not None
    assert (expect.kernel.release, expect.kernel.newest) == ("6.1.0-30", False)
    assert [(one.operator, one.count, one.where) for one in expect.inventory] == [("=", 2, {"U": "3"})]


@pytest.mark.parametrize(
    ("written", "gates"),
    [
        ("CalendarNames: []\nApplyOnlyAtCronInterval: false\nDuration: 2\n", ("Duration",)),
        ("Waves: [1]\nBake: x\nProbes: [y]\n", ("Bake", "Probes", "Waves")),
        ("ScheduleExpression: cron(0 2 ? * SUN *)\nApplyOnlyAtCronInterval: true\nScheduleOffset: 2\n", ("ApplyOnlyAtCronInterval", "ScheduleOffset")),
        ("SyncCompliance: MANUAL\n", ("SyncCompliance",)),
    ],
)  # fmt: skip
def test_gates_that_are_to_come_are_named(written: str, gates: tuple[str, ...]) -> None:
    assert association(written).unsupported == gates


def test_parameters_keep_text_and_native_values_apart() -> None:
    document = "schemaVersion: '2.2'\nparameters: {a: {type: Integer}, b: {type: Boolean}, c: {type: StringMap}, d: {type: String}}\nmainSteps: [{action: a, name: b}]\n"
    files = FILES | {
        "documents/Motd.yaml": document,
        "state/associations/motd.yaml": ASSOCIATION.replace(
            "text: [hello]", "a: 5, b: true, c: {k: [1, 1.50]}, d: 1.10"
        ),
    }
    found = reads(files).associations[AssociationName("motd")].parameters
    assert found == {"a": 5, "b": True, "c": {"k": [1, "1.50"]}, "d": "1.10"}


def test_an_export_from_aws_is_a_valid_file() -> None:
    exported = (
        '{"Name": "Motd", "AssociationName": "motd", "AssociationVersion": "1", "Date": 1600000000.123, '
        '"LastUpdateAssociationDate": "2020-09-13T12:26:40Z", "Overview": {"Status": "Success"}, "DocumentVersion": "$DEFAULT", '
        '"Parameters": {"text": ["a"]}, "AssociationId": "x", "Targets": [{"Key": "instanceids", "Values": ["*"]}], '
        '"LastExecutionDate": null, "ApplyOnlyAtCronInterval": false, "CalendarNames": [], "TargetLocations": []}'
    )
    (found,) = reads(FILES | {"state/associations/motd.yaml": exported}).associations.values()
    assert found.targets == (Target(key="InstanceIds", values=("*",)),)


@pytest.mark.parametrize(("node", "accepted"), [("web-01", True), ("web-02", False)])
def test_an_instance_beside_the_same_target_is_what_the_service_answers(node: str, accepted: bool) -> None:  # noqa: FBT001  # a case
    text = ASSOCIATION.replace("[{Key: 'tag:Role', Values: [web]}]", "[{Key: InstanceIds, Values: [web-01]}]")
    files = FILES | {"state/associations/motd.yaml": f"{text}InstanceId: {node}\n"}
    told = [(p.line, p.gravity is Gravity.ERROR) for p in problems(files) if "InstanceId" in p.message]
    assert told == [(5, not accepted)]


def test_parameters_of_the_store_are_read_from_every_folder() -> None:
    files = {
        "state/parameters/a.yaml": "Name: /a/b\nType: String\nValue: 0755\n---\nName: list\nType: StringList\nValue: a,b\n",
        "state/parameters/deep/er/b.yml": "Name: c\nType: String\nValue: true\n",
    }
    assert {name: (one.type, one.values) for name, one in reads(files).parameters.items()} == {
        "/a/b": ("String", ("0755",)),
        "list": ("StringList", ("a,b",)),
        "c": ("String", ("true",)),
    }


def test_what_is_not_acted_on_yet_is_carried() -> None:
    state = reads(
        {
            "baselines/debian.yaml": "Name: debian\nOperatingSystem: DEBIAN\nBaselineId: pb-1\nPatchGroups: [web]\n",
            "state/windows/w.yaml": "Name: night\nSchedule: cron(0 2 ? * SUN *)\nDuration: 2\nCutoff: 1\n",
            "state/calendars/freeze.ics": "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
            "state/known_hosts": "web ssh-ed25519 AAAA\n",
        }
    )
    assert [(b.operating_system, b.name, b.patch_groups) for b in state.baselines.values()] == [
        (OperatingSystem.DEBIAN, "debian", ("web",))
    ]
    assert [(w.kind, w.name, w.file) for w in state.windows.values()] == [("window", "night", "state/windows/w.yaml:1")]
    assert [*state.calendars] == ["freeze"]
    assert state.known_hosts == "web ssh-ed25519 AAAA\n"


def test_a_calendar_with_a_byte_order_mark_is_taken_with_a_lint() -> None:
    files = {"state/calendars/freeze.ics": b"\xef\xbb\xbfBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"}
    assert [*reads(files).calendars] == ["freeze"]
    (said,) = lints(files)
    assert (said.line, said.column, "byte order mark" in said.message) == (1, 1, True)


def test_the_bundled_library_fills_in_and_ones_own_document_wins() -> None:
    bundled = {"documents/Motd.yaml": DOCUMENT.encode(), "documents/Other.yaml": DOCUMENT.encode()}
    files = as_bytes({"state/nodes/web.yaml": NODE, "state/associations/motd.yaml": ASSOCIATION})
    state = desired_state(files, bundled=bundled)
    assert sorted(state.documents) == ["Motd", "Other"]
    own = DOCUMENT + "# mine\n"
    desired, problems = read_state(files | as_bytes({"documents/Motd.yaml": own}), bundled=bundled)
    assert desired is not None
    assert [(p.file, p.message, p.gravity) for p in problems] == [
        ("documents/Motd.yaml", "this document wins over the bundled one", Gravity.LINT)
    ]
    assert desired.documents[state.associations[AssociationName("motd")].document].versions["1"].digest != (
        state.documents[state.associations[AssociationName("motd")].document].versions["1"].digest
    )


def test_the_library_itself_is_no_news() -> None:
    bundled = {
        "documents/AWS-Noop.yaml": DOCUMENT.encode(),
        "baselines/b.yaml": b"Name: abc\nOperatingSystem: DEBIAN\n",
    }
    _, problems = read_state(bundled, bundled=bundled)
    assert problems == ()
    own = bundled["baselines/b.yaml"] + b"Default: true\n"
    _, problems = read_state({"baselines/b.yaml": own}, bundled=bundled)
    assert [problem.message for problem in problems] == ["this baseline wins over the bundled one"]


def test_commit_and_trees_are_carried() -> None:
    state = desired_state({}, commit=CommitId("a" * 40), trees={"state": "b" * 40})
    assert (state.commit, state.trees) == ("a" * 40, {"state": "b" * 40})


def test_reading_again_gives_the_same_and_sees_every_change() -> None:
    readings = Readings()
    files = as_bytes(FILES)
    first = read_state(files, readings=readings)
    assert read_state(dict(files), readings=readings) == first == read_state(files)
    for changed in (
        {"state/nodes/web.yaml": NODE + "User: ops\n"},
        {"state/fleet.yaml": "Ssh: {User: someone}\nMode: observe\n"},
        {"state/nodes/web.yaml": NODE + "User: OPS\n"},
        {"documents/Motd.yaml": DOCUMENT.replace("text", "texts")},
        {"state/nodes/more.yaml": "Id: more\nAddress: h\nGateway: web-01\n"},
        {"state/nodes/more.yaml": NODE},
    ):
        new = files | as_bytes(changed)
        assert read_state(new, readings=readings) == read_state(new)
        assert read_state(new, readings=readings) == read_state(new)
    del files["state/associations/motd.yaml"]
    assert read_state(files, readings=readings) == read_state(files)


def test_the_sample_of_this_repository_is_in_order() -> None:
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for folder in ("state", "documents", "baselines")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    desired, problems = read_state(files, bundled=bundled_files())
    assert problems == ()
    assert desired is not None
    (node,) = desired.nodes.values()
    assert (node.transport, node.mode) == (Transport.LOCAL, Mode.OBSERVE)
    assert desired.associations
    assert all(one.mode is Mode.OBSERVE and one.expect for one in desired.associations.values())
    assert desired.fleet.reports_remote is None
    assert {"AWS-RunShellScript", "AWS-Noop"} <= desired.documents.keys()


def test_the_shell_document_is_the_one_people_know() -> None:
    (versions,) = reads(
        {"documents/AWS-RunShellScript.yaml": (ROOT / "documents/AWS-RunShellScript.yaml").read_bytes()}
    ).documents.values()
    document = versions.versions["1"]
    commands, folder, limit = (
        document.parameters[name] for name in ("commands", "workingDirectory", "executionTimeout")
    )
    assert (document.schema_version, [*document.parameters]) == (
        "1.2",
        ["commands", "workingDirectory", "executionTimeout"],
    )
    assert (commands.type, commands.required, commands.min_items) == ("StringList", True, 1)
    assert (folder.default, folder.max_chars, limit.default) == ("", 4096, "3600")
    assert [step.action for step in document.steps] == ["aws:runShellScript"]


def test_lints_travel_with_the_state() -> None:
    files = FILES | {"state/associations/motd.yaml": ASSOCIATION + "Waves: [1]\n"}
    assert reads(files).lints == tuple(lints(files))
    assert len(reads(files).lints) == 1
