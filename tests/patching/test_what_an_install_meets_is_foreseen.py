"""What facts tell of what is in the way of an install, in words for the plan."""

from dataclasses import replace
from typing import Any

from reconciler.ids import BaselineName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.known import Known, Unknown
from reconciler.model.patch import Family
from reconciler.model.patch_lines import installed_line
from reconciler.model.patch_order import PatchOrder, Pin, RebootOption
from reconciler.patching.preflight import foreseen
from tests.patching.rows import installed

ORDER = PatchOrder(
    baseline=BaselineName("b"),
    family=Family.APT,
    pins=(Pin(name="bash", arch="amd64", version="2", checksum="", installed="1"),),
)


def facts(**sections: Any) -> Facts:
    known = {name: found if isinstance(found, Unknown) else Known(found) for name, found in sections.items()}
    return Facts(node=NodeId("web-01"), sections=known)


def test_nothing_is_said_where_nothing_is_in_the_way_or_known() -> None:
    assert foreseen(facts(), ORDER) == ()
    assert foreseen(facts(locks=Unknown("not asked"), dpkg={"audit": []}, locks_={}), ORDER) == ()


def test_locks_unfinished_packages_holds_and_silent_archives_are_told() -> None:
    held = installed_line(installed("bash", "1", hold=True))
    said = foreseen(
        facts(
            locks={"/var/lib/dpkg/lock": {"pid": 7, "process": "unattended-upgr"}},
            dpkg={"audit": ["The following packages are only half configured:", " hello"]},
            installed={"bash.amd64": [held]},
            refreshed={"*": None, "http://archive bookworm": "Connection refused"},
        ),
        ORDER,
    )
    assert [words.split(":")[0].split(",")[0] for words in said] == [
        "unattended-upgr (pid 7) holds /var/lib/dpkg/lock",
        "dpkg has packages unfinished",
        "held on the node itself",
        "did not answer when its lists were refreshed",
    ]
    assert "bash" in said[2]


KERNEL = replace(ORDER, pins=(Pin(name="linux-image-amd64", arch="amd64", version="2", checksum="", size=90 * 2**20),))


def test_a_shutdown_little_room_and_a_kernel_that_will_not_boot_are_told() -> None:
    told = facts(
        locks={"shutdown": "/run/nologin", "room": {"/": 262_144, "/var": 262_144, "/boot": 98_304}},
        reboot={"required": False, "packages": [], "unbootable": "the newest kernel, 6.9.0-1, has no initrd in /boot"},
    )
    assert [words.split(" (")[0] for words in foreseen(told, KERNEL)] == [
        "the node is about to go down",
        "/ has about 256 MB free, and 278 MB are needed: nothing is installed",
        "/boot has about 96 MB free, and 100 MB are needed: nothing is installed",
        "the newest kernel, 6.9.0-1, has no initrd in /boot: it is not rebooted as long as that is so",
    ]
    # What a small patch needs is there, and nobody is going to reboot.
    assert len(foreseen(told, replace(ORDER, reboot=RebootOption.NO_REBOOT))) == 1


def test_a_source_that_was_silent_is_told_where_something_is_to_come_from_it() -> None:
    told = facts(source_times={"ours-0123456789ab": {"problem": "E: no route"}, "b-0123456789ab": {"problem": None}})
    assert foreseen(told, ORDER) == ()
    (said,) = foreseen(told, replace(ORDER, sources=("deb https://mirror.example/x s main",)))
    assert said.startswith("source ours-0123456789ab did not answer")
    assert "E: no route" in said
