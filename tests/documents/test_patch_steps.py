"""Patch documents: what they take, what they come to before a node is known, and the script of one node."""

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.bundled import bundled_files
from reconciler.documents.apt_install_text import APT
from reconciler.documents.content import Content, ContentFile, ContentUnknown, Source
from reconciler.documents.error import InputError, RenderError
from reconciler.documents.patch_overrides import read_baseline_override, read_override_list
from reconciler.documents.patch_script import patch_script
from reconciler.documents.render import render
from reconciler.documents.rendered import Rendered
from reconciler.ids import BaselineName, DocumentName
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, Pin, RebootOption
from reconciler.model.patch_request import BaselineTags, InstallOverride, Operation, PatchRequest
from reconciler.model.read_state import read_state
from tests.documents.test_documents import only

SUM = "sha256:" + "a" * 64
PIN = Pin(name="hello", arch="all", version="1:1.1-1~deb12u1", checksum=SUM)
INSTALL = PatchRequest(operation=Operation.INSTALL)


def an_order(*pins: Pin, **given: Any) -> PatchOrder:
    return PatchOrder(baseline=BaselineName("b"), pins=pins or (PIN,), **{"family": Family.APT, **given})


def bundled(name: str, **parameters: str) -> Rendered:
    state, problems = read_state({"state/fleet.yaml": b"Fleet: example\n"}, bundled=bundled_files())
    assert state is not None, problems
    document = state.documents[DocumentName(name)].get("$DEFAULT")
    assert document is not None
    return render(document, {key: [value] for key, value in parameters.items()}, stored={}, documents=state.documents)


@pytest.mark.parametrize("name", ["AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation"])
def test_a_document_asks_what_its_parameters_say_and_installs_nothing_by_itself(name: str) -> None:
    rendered = bundled(name, Operation="Install", RebootOption="NoReboot")
    assert rendered.patch_requests == (replace(INSTALL, reboot=RebootOption.NO_REBOOT),)
    step = only(rendered)
    assert step.script is not None
    done = subprocess.run(["sh"], input=step.script, capture_output=True, check=False)
    assert (done.returncode, b"no-pins" in done.stderr) == (1, True)


def test_what_runs_on_a_node_is_told_by_its_digest() -> None:
    rendered = bundled("AWS-RunPatchBaseline", Operation="Install")
    here, there = rendered.with_order(an_order()), rendered.with_order(an_order(replace(PIN, version="1.2")))
    assert len({rendered.digest, here.digest, there.digest, rendered.with_order(None).digest}) == 4
    assert rendered.with_order(an_order()) == here


def test_a_command_is_followed_for_two_hours_and_nothing_ends_the_step_on_its_node_then() -> None:
    rendered = bundled("AWS-RunPatchBaseline", Operation="Install")
    assert only(rendered).timeout == timedelta(hours=2)
    assert only(rendered.with_order(an_order())).timeout == timedelta(hours=48)


def test_a_document_without_patch_steps_is_the_same_on_every_node() -> None:
    rendered = bundled("AWS-Noop")
    assert rendered.with_order(an_order()) is rendered


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"Operation": "Install", "SnapshotId": "none"}, id="no UUID"),
        pytest.param({"Operation": "Upgrade"}, id="no operation"),
        pytest.param({"Operation": "Install", "InstallOverrideList": "http://example.org/a"}, id="plain http"),
        pytest.param({"Operation": "Install", "InstallOverrideList": "https://user:pw@example.org/a"}, id="a login"),
        pytest.param(
            {"Operation": "Install", "InstallOverrideList": "https://a.org/b", "BaselineOverride": "https://a.org/c"},
            id="both",
        ),
    ],
)
def test_parameters_that_ssm_refuses_are_refused(parameters: dict[str, str]) -> None:
    def is_refused() -> bool:
        try:
            return only(bundled("AWS-RunPatchBaseline", **parameters)).fail is not None
        except RenderError:  # by the parameter's own pattern, before there is a step
            return True

    assert is_refused()


HOSTILE = [
    "-oDpkg::Pre-Invoke::=id",
    "hello world",
    "hello$(id)",
    "hello`id`",
    "hello\nEND_OF_PINS\nid",
    "../x",
    "hello;id",
    "",
    "'",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("field", ["name", "arch", "version", "checksum"])
def test_what_is_no_package_reaches_no_script(text: str, family: Family, field: str) -> None:
    version = "1.1" if family is Family.APT else "1.1-1"
    wrong = replace(replace(PIN, version=version), **{field: text})
    if field == "checksum" and not text:
        return
    for order in (
        an_order(wrong, family=family),
        an_order(replace(PIN, version=version), dependencies=(wrong,), family=family),
    ):
        with pytest.raises(ValueError, match="is no package version"):
            patch_script(INSTALL, order)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_rejected_name_that_is_none_reaches_no_script(text: str) -> None:
    with pytest.raises(ValueError, match="is no package name"):
        patch_script(INSTALL, an_order(blocked=(text,)))


SHELLS = (("dash",), ("bash", "--posix"), ("busybox", "sh"))


@pytest.mark.parametrize("family", list(Family))
def test_every_shell_takes_the_program(family: Family, tmp_path: Path) -> None:
    pin = PIN if family is Family.APT else replace(PIN, version="1:1.1-1.el9", arch="noarch")
    script = tmp_path / "script"
    script.write_bytes(patch_script(INSTALL, an_order(pin, family=family)))
    for shell in SHELLS:
        subprocess.run([*shell, "-n", str(script)], check=True)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="this machine has no dpkg")
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_dpkg_itself_compares_versions_in_every_shell(shell: tuple[str, ...]) -> None:
    """Some shells of busybox prefer a dpkg of their own, which compares nothing."""
    asked = f"{APT}\nis_newer 1:0.9 2.0 && ! is_newer 1.0~rc1 1.0 && echo well"
    assert subprocess.run([*shell, "-c", asked], capture_output=True, check=False).stdout == b"well\n"


def test_an_override_list_is_read() -> None:
    text = b"patches:\n  - id: 'libssl*'\n    title: '*3.0.22-1~deb12u2'\n    other: 1\n  - {id: kernel.x86_64}\n"
    assert read_override_list(text) == (
        InstallOverride(id="libssl*", title="*3.0.22-1~deb12u2"),
        InstallOverride(id="kernel.x86_64"),
    )


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"patches: 1", b"patches: [{title: a}]", b"patches: [a]", b"a: [", b"\xff"]
)
def test_an_override_list_that_does_not_read_fails_its_step(text: bytes) -> None:
    with pytest.raises(InputError, match="InstallOverrideList"):
        read_override_list(text)


def test_a_baseline_override_is_read() -> None:
    text = b'[{"Name": "now", "OperatingSystem": "DEBIAN", "ApprovedPatches": ["hello"], "BaselineId": "pb-0123456789abcdef0"}]'
    (baseline,) = read_baseline_override(text)
    assert [entry.pattern for entry in baseline.approved] == ["hello"]


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[1]", b'[{"Name": "a"}', b'[{"Name": "now", "OperatingSystem": "BEOS"}]']
)
def test_a_baseline_override_that_does_not_read_fails_its_step(text: bytes) -> None:
    with pytest.raises(InputError, match="BaselineOverride"):
        read_baseline_override(text)


class Held:
    """Knows one file, whatever is asked for."""

    def __init__(self, data: bytes | None, *, single: bool = True) -> None:
        self.data, self.single = data, single

    def find(self, _source: Source) -> Content | None:
        if self.data is None:
            return None
        file = ContentFile(path="list", sha256="f" * 64, size=len(self.data))
        return Content(pin="sha256 " + "f" * 64, files=(file,), single=self.single)

    def read(self, sha256: str) -> bytes:
        assert sha256 == "f" * 64
        return self.data or b""


def fetching(contents: Held, **parameters: str) -> Rendered:
    state, problems = read_state({"state/fleet.yaml": b"Fleet: example\n"}, bundled=bundled_files())
    assert state is not None, problems
    document = state.documents[DocumentName("AWS-RunPatchBaseline")].get("$DEFAULT")
    assert document is not None
    given = {"Operation": ["Install"], **{key: [value] for key, value in parameters.items()}}
    return render(document, given, stored={}, contents=contents)


def test_a_list_that_is_fetched_is_part_of_what_is_asked_and_of_the_digest() -> None:
    found = fetching(Held(b"patches: [{id: hello}]"), InstallOverrideList="https://example.org/list.yaml")
    assert found.patch_requests[0].overrides == (InstallOverride(id="hello"),)
    other = fetching(Held(b"patches: [{id: other}]"), InstallOverrideList="https://example.org/list.yaml")
    assert found.digest != other.digest
    assert [(one.source, one.mutable) for one in found.fetched] == [("https://example.org/list.yaml", True)]


def test_a_baseline_override_is_fetched_from_a_bucket_too() -> None:
    text = b'[{"Name": "now", "OperatingSystem": "DEBIAN"}]'
    (request,) = fetching(Held(text), BaselineOverride="s3://bucket/folder/override.json").patch_requests
    assert [one.name for one in request.baselines] == ["now"]
    assert request.digest != replace(request, baselines_digest="").digest


def test_what_nobody_has_looked_at_yet_waits_and_what_is_a_folder_fails() -> None:
    with pytest.raises(ContentUnknown):
        fetching(Held(None), InstallOverrideList="https://example.org/list.yaml")
    folder = fetching(Held(b"", single=False), InstallOverrideList="s3://bucket/folder/")
    assert "no single file" in (only(folder).fail or "")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Key=Stage,Values=Test", ("Test",)),
        ("Key=Stage,Values=Test, Pre Production", ("Test", "Pre Production")),
        ("Stage=Test", None),
        ("Key=Stage,Values=", None),
        ("Key=Stage,Values=,", None),
        ("Key=,Values=Test", None),
    ],
)
def test_tags_of_baselines_are_read_in_the_short_form_of_ssm(text: str, values: tuple[str, ...] | None) -> None:
    step = only(bundled("AWS-RunPatchBaselineAssociation", Operation="Scan", BaselineTags=text))
    if values is None:
        assert step.fail is not None
        assert "Key=NAME,Values=VALUE" in step.fail
    else:
        assert step.patching is not None
        assert step.patching.baseline_tags == BaselineTags(key="Stage", values=values)
