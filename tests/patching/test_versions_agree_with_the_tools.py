"""Generated pairs of versions against dpkg and rpm themselves: 20,000 of each in the soak, a share of them in every run."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.patching.versions import COMPARE_LABELS
from tests.support.rpm_tool import real_rpm

RECORDED = Path(__file__).parent / "cases" / "rpm_order.txt"
_WORDS = ["0", "1", "9", "10", "010", "2.36", "3.0.22", "20230311", "rc", "rc1", "beta", "a", "Z", "deb12u1", "deb12u10", "bpo12", "el9", "el9_2", "git1", "ubuntu1", "build1", "dfsg", "b1"]  # fmt: skip
_DPKG_JOINS = [".", "+", "~", "~~", "-", "", "."]
_RPM_JOINS = [".", "+", "~", "^", "_", "", "."]


def version(rng: random.Random, joins: list[str]) -> str:
    parts = [rng.choice(["0", "1", "2", "10", "1.0"])]
    for _ in range(rng.randint(0, 4)):
        parts += [rng.choice(joins), rng.choice(_WORDS)]
    return "".join(parts)


def pairs(count: int, *, seed: int, rpm: bool) -> Iterator[tuple[str, str]]:
    """Give pairs that are alike: one is the other with a change, or both are from one small stock."""
    rng = random.Random(seed)
    joins = _RPM_JOINS if rpm else _DPKG_JOINS

    def whole() -> str:
        epoch = rng.choice(["", "", "", "0:", "1:", "10:"])
        revision = rng.choice(["", f"-{version(rng, [join for join in joins if join != '-'])}"])
        return epoch + version(rng, joins) + revision

    for _ in range(count):
        left = whole()
        right = whole()
        if rng.random() < 0.7:
            at = rng.randint(1, len(left))
            right = left[:at] + rng.choice(["", rng.choice(joins), rng.choice(_WORDS)]) + left[at + rng.randint(0, 1) :]
        yield (left, right) if rng.random() < 0.5 else (right, left)


def is_one(text: str, *, rpm: bool) -> bool:
    """Whether a tool would take it: an epoch of digits, something after it, and for rpm at most one hyphen."""
    epoch, colon, rest = text.rpartition(":")
    if colon and not epoch.isdigit():
        return False
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    if rpm:
        return rest.count("-") < 2 and bool(upstream) and bool(revision) and upstream[0].isalnum()
    return bool(upstream) and bool(revision) and upstream[0].isdigit() and "_" not in text


def taken(count: int, *, seed: int, rpm: bool) -> list[tuple[str, str]]:
    found = [pair for pair in pairs(count * 3, seed=seed, rpm=rpm) if all(is_one(text, rpm=rpm) for text in pair)]
    assert len(found) >= count
    return found[:count]


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_dpkg_orders_generated_pairs_as_we_do(count: int) -> None:
    """One process of dpkg for each: it prints the pairs on which the two differ."""
    words = {-1: "lt", 0: "eq", 1: "gt"}
    compare = COMPARE_LABELS["debian"]
    asked = taken(count, seed=count, rpm=False)
    lines = "".join(f"{left} {words[compare(left, right)]} {right}\n" for left, right in asked)
    script = 'while read -r a r b; do dpkg --compare-versions "$a" "$r" "$b" || echo "$a $r $b"; done'
    done = subprocess.run(["sh", "-c", script], input=lines, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "warning" not in done.stderr
    orders = {compare(left, right) for left, right in asked}
    assert orders == {-1, 0, 1}


@pytest.mark.soak
def test_rpm_orders_generated_pairs_as_we_do(tmp_path: Path) -> None:
    rpm = real_rpm(tmp_path)
    assert rpm is not None, "neither rpm nor apt-get on this machine"
    asked = taken(20_000, seed=1, rpm=True)
    told = rpm.orders(asked, tmp_path)
    ours = [COMPARE_LABELS["rpm"](left, right) for left, right in asked]
    assert [(pair, a, b) for pair, a, b in zip(asked, told, ours, strict=True) if a != b] == []


def test_we_order_as_rpm_did() -> None:
    """Verdicts of rpm 4.18, recorded: `LEFT RIGHT VERDICT`."""
    lines = [line.split() for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2000
    wrong = [line for line in lines if COMPARE_LABELS["rpm"](line[0], line[1]) != int(line[2])]
    assert wrong == []
