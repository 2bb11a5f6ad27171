"""A short fuzzing of every parser of foreign text, the kept faults once more, and proof that the harness finds faults."""

import sys
from pathlib import Path

import pytest

from tests.fuzz.campaign import CASES, engine, fuzz, replay, store
from tests.fuzz.planted import PLANTED
from tests.fuzz.targets import TARGETS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_is_read_is_taken_or_refused_in_our_words(target: str) -> None:
    figures = fuzz(target, seconds=2, seed=1)
    assert [(fault.where, fault.what, fault.data[:200]) for fault in figures.faults] == []
    assert figures.inputs > 20
    assert figures.outcomes > 3


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", ["frames", "yaml", "known_hosts", "state", "documents", "parameters"])
def test_ten_minutes_find_no_fault(target: str) -> None:
    figures = fuzz(target, seconds=600, seed=1, engine=engine())
    sys.stdout.write(f"{figures}\n")
    assert [(fault.where, fault.what, str(store(fault, target))) for fault in figures.faults] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", sorted(CASES.glob("*/")), ids=lambda folder: folder.name)
def test_inputs_that_were_faults_are_none_any_more(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    figures = replay(folder.name, paths)
    assert [(fault.where, fault.what) for fault in figures.faults] == []
    assert figures.inputs == len(paths)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("planted", "found"),
    [
        pytest.param("planted-exception", "KeyError", id="another exception"),
        pytest.param("planted-hang", "time", id="more than two seconds"),
        pytest.param("planted-signal", "signal", id="a signal"),
        pytest.param("planted-memory", "memory", id="more than 200 MB"),
    ],
)
def test_the_harness_finds_a_planted_fault(planted: str, found: str) -> None:
    assert planted in PLANTED
    figures = fuzz(planted, seconds=60, most_faults=1)
    assert found in figures.faults[0].where
    assert figures.faults[0].data != b"seed"
