"""The node leaves out versions older than the installed one: its awk orders them as dpkg or rpm does, in every awk a node may have."""

import random
import shutil
import subprocess
from collections.abc import Callable

import pytest

from reconciler.inventory.facts.available import ORDER
from reconciler.inventory.rpm.lists import ORDER as RPM_ORDER
from reconciler.patching.versions import compare_dpkg, compare_rpm_labels

AWKS = {"mawk": ("mawk",), "gawk": ("gawk",), "busybox": ("busybox", "awk"), "original-awk": ("original-awk",)}
WORKED = (
    ("1.0", "1.1"), ("1.9", "1.10"), ("1.00", "1.0"), ("1.0", "1.0.0"), ("1:0.9", "2.0"), ("0:1.0", "1.0"), ("1.0-0", "1.0"),
    ("1.0", "1.0-0.1"), ("1.0~rc1", "1.0"), ("1.0~~", "1.0~"), ("1.0~1", "1.0~a"), ("1.0", "1.0a"), ("1.0Z", "1.0a"),
    ("1.0a", "1.0+"), ("1.0+", "1.0.1"), ("1.0-1-1", "1.0-1"), ("10:1", "9:99"), ("1.0-1+b1", "1.0-1+deb12u1"),
    ("20230311+deb12u1", "20250419~deb12u2"), ("2:8.39-13", "8.45"), ("1.0-9007199254740993", "1.0-9007199254740992"),
)  # fmt: skip


@pytest.mark.parametrize("name", AWKS)
def test_every_awk_orders_versions_as_dpkg_does(name: str) -> None:
    awk = AWKS[name]
    if shutil.which(awk[0]) is None:
        pytest.skip(f"this machine has no {awk[0]}")
    draw = random.Random(1)
    made = ["".join(draw.choices("0123456789aZ.+~-", k=draw.randint(1, 6))) for _ in range(4000)]
    versions = [f"{draw.choice(('', '', '0:', '1:'))}1{text.rstrip('-')}" for text in made]
    pairs = [*WORKED, *zip(versions[::2], versions[1::2], strict=True), *((one, one) for one in versions[:50])]
    assert _wrong(awk, ORDER, pairs, compare_dpkg) == []


RPM_WORKED = (
    ("1.05-1", "1.5-1"), ("1.0010-1", "1.9-1"), ("2_0-1", "2.0-1"), ("1.0.-1", "1.0-1"), ("1.0A-1", "1.0a-1"), ("a-1", "1-1"),
    ("10xyz-1", "10.1xyz-1"), ("1.0~rc1-1", "1.0-1"), ("1.0~rc1~git123-1", "1.0~rc1-1"), ("1.0^git1-1", "1.0-1"),
    ("1.0^git1-1", "1.0.1-1"), ("1.0^git1~pre-1", "1.0^git1-1"), ("1.0~rc1^git1-1", "1.0~rc1-1"), ("1.0^-1", "1.0~-1"),
    ("1-14.el8_4", "1-14.el8_10"), ("1-14.el8.1", "1-14.el8_1"), ("1:1.0-1", "2.0-1"), ("0:1.0-5", "1.0-5"),
    ("9007199254740993-1", "9007199254740992-1"),
)  # fmt: skip


@pytest.mark.parametrize("name", AWKS)
def test_every_awk_orders_versions_as_rpm_does(name: str) -> None:
    awk = AWKS[name]
    if shutil.which(awk[0]) is None:
        pytest.skip(f"this machine has no {awk[0]}")
    draw = random.Random(1)
    made = ["".join(draw.choices("0123aZ._+~^", k=draw.randint(1, 6))) for _ in range(8000)]
    versions = [
        f"{draw.choice(('', '', '0:', '1:'))}1{one}-1{two}" for one, two in zip(made[::2], made[1::2], strict=True)
    ]
    pairs = [*RPM_WORKED, *zip(versions[::2], versions[1::2], strict=True), *((one, one) for one in versions[:50])]
    assert _wrong(awk, RPM_ORDER, pairs, compare_rpm_labels) == []


def _wrong(
    awk: tuple[str, ...], order: str, pairs: list[tuple[str, str]], compare: Callable[[str, str], int]
) -> list[tuple[tuple[str, str], int]]:
    text = "".join(f"{left}\t{right}\n" for left, right in pairs)
    program = order + 'BEGIN { FS = "\\t" } { print compare($1, $2) }'
    answer = subprocess.run(
        [*awk, program],
        input=text,
        capture_output=True,
        check=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    told = [int(line) for line in answer.stdout.split()]
    return [(pair, said) for pair, said in zip(pairs, told, strict=True) if said != compare(*pair)]
