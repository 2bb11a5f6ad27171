"""The node leaves out versions older than the installed one: its awk orders them as dpkg does, in every awk a node may have."""

import random
import shutil
import subprocess

import pytest

from reconciler.inventory.facts.available import ORDER
from reconciler.patching.versions import compare_dpkg

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
    text = "".join(f"{left}\t{right}\n" for left, right in pairs)
    program = ORDER + 'BEGIN { FS = "\\t" } { print compare($1, $2) }'
    answer = subprocess.run(
        [*awk, program],
        input=text,
        capture_output=True,
        check=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    told = [int(line) for line in answer.stdout.split()]
    wrong = [(pair, said) for pair, said in zip(pairs, told, strict=True) if said != compare_dpkg(*pair)]
    assert wrong == []
