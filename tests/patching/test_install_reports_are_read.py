"""What a patch step says in the end, read back: causes by name, forged and cut lines left alone."""

import re
from pathlib import Path

import pytest

from reconciler.ids import PatchId
from reconciler.model.patch_causes import CAUSES, causes_in_words
from reconciler.patching.install_report import read_install_report

SAID = b"""installing 3 patches
patch: failed bad.all 1.1 maintainer-script: its postinst ended with 3
patch: failed odd.all 1.1 no-such-cause: words
patch: installed hello.all 1:1.1-1
patch: already other.amd64 2.0
patch: rebooted 0a1b
patch: services ssh.service cron.service
patch: kernels linux-image-6.1.0-1-amd64
patch: nonsense
"""


def test_a_report_is_read_with_its_causes() -> None:
    report = read_install_report(SAID)
    assert dict(report.installed) == {"hello.all": "1:1.1-1"}
    assert dict(report.already) == {"other.amd64": "2.0"}
    assert {row: (one.cause, one.words) for row, one in report.failed.items()} == {
        "bad.all": ("maintainer-script", "its postinst ended with 3"),
        "odd.all": ("unknown", "words"),
    }
    assert (report.rebooted, report.services) == ("0a1b", ("ssh.service", "cron.service"))
    assert report.old_kernels == ("linux-image-6.1.0-1-amd64",)


def test_a_report_is_what_rows_are_judged_by() -> None:
    run = read_install_report(SAID).as_run({PatchId("bad.all"): "1.1"})
    assert run.attempted == {"bad.all": "1.1"}
    assert run.problems[PatchId("bad.all")] == "maintainer-script: its postinst ended with 3"


def test_what_was_cut_and_what_is_not_ours_tells_less_and_harms_nothing() -> None:
    for end in range(0, len(SAID), 7):
        read_install_report(SAID[:end])
    read_install_report(b"patch: failed \xff\xfe 1 dependency: \x1b[2J\n" + b"patch: " * 100_000)
    assert read_install_report(b"").failed == {}


def test_every_cause_that_the_programs_name_is_known_and_told_in_the_docs() -> None:
    root = Path(__file__).parents[2]
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "reconciler/documents").glob("*_text.py"))
    named = set(re.findall(r'stop ([a-z-]+) ["\']', text)) | set(
        re.findall(r'(?:print |printf |tell_failed [^\n]*|said = )["\']([a-z]+(?:-[a-z]+)*): ', text)
    )
    assert named - {"patch", "waiting", "patching"} <= set(CAUSES)
    told = (root / "docs/patching.md").read_text(encoding="utf-8")
    assert [cause for cause in CAUSES if f"`{cause}`" not in told] == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", ""),
        (b"patching stopped: lock-held: apt (pid 7) holds it\n", "lock-held"),
        (b"patching stopped: rm -rf: words\npatching stopped: nonsense: x\n", ""),
        (
            b"failed: a.all 1 dependency: x\nfailed: b.all 1 dependency: y\nfailed: c.all 2 download: z\nnoise\n",
            "3 patches failed: dependency (2), download",
        ),
        (b"failed: a.all 1 held: x\nnot rebooted: no-boot-entry: y\n", "1 patch failed: held; no-boot-entry"),
        (b"service-failed: it ran before: ssh.service\n", "service-failed"),
    ],
)
def test_causes_are_summed_up_in_words_of_a_fixed_vocabulary(said: bytes, words: str) -> None:
    assert causes_in_words(said) == words
