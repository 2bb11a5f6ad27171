"""What a result carries of a script's output: SSM's limits, reached already where the length is the limit."""

import pytest

from reconciler.rollout.output import ERROR_CUT, ERROR_TITLE, LIMITS, OUTPUT_CUT, SUFFIX, combined, truncated

HALF = (2500 - 24) // 2


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        pytest.param("out", b"x" * 30_000, b"x" * 23_980 + b"--output truncated--", id="SSM's example"),
        pytest.param("out", b"x" * 24_000, b"x" * 23_980 + b"--output truncated--", id="exactly the limit is cut"),
        pytest.param("out", b"x" * 23_999, b"x" * 23_999, id="one less is whole"),
        pytest.param("err", b"x" * 8_000, b"x" * 7_980 + b"--output truncated--", id="stderr has less room"),
        pytest.param("err", b"x" * 7_999, b"x" * 7_999, id="stderr, one less"),
        pytest.param("err", b"x" * 7_979 + "\u20ac".encode() * 9, b"x" * 7_979 + SUFFIX, id="no half characters"),
        pytest.param("out", b"", b"", id="nothing"),
    ],
)
def test_a_result_carries_the_first_bytes(kind: str, given: bytes, kept: bytes) -> None:
    assert truncated(given, LIMITS[kind]) == kept


@pytest.mark.parametrize(
    ("stdout", "stderr", "field"),
    [
        pytest.param(b"out", b"err", b"out" + ERROR_TITLE + b"err", id="both fit"),
        pytest.param(b"out", b"", b"out", id="without stderr there is no title"),
        pytest.param(b"", b"err", ERROR_TITLE + b"err", id="stderr alone"),
        pytest.param(b"x" * 2_499, b"", b"x" * 2_499, id="stdout alone just fits"),
        pytest.param(b"x" * 2_500, b"", b"x" * (2_500 - len(OUTPUT_CUT)) + OUTPUT_CUT, id="stdout alone reaches it"),
        pytest.param(
            b"x" * 2_475,
            b"e",
            b"x" * (2_475 - len(OUTPUT_CUT)) + OUTPUT_CUT + ERROR_TITLE + b"e",
            id="together they reach it",
        ),
        pytest.param(b"x" * 2_474, b"e", b"x" * 2_474 + ERROR_TITLE + b"e", id="one less is whole"),
        pytest.param(
            b"o",
            b"e" * 9_000,
            b"o" + ERROR_TITLE + b"e" * (2_475 - len(ERROR_CUT)) + ERROR_CUT,
            id="only stderr is long",
        ),
        pytest.param(
            b"x" * 9_000,
            b"e" * 9_000,
            b"x" * (HALF - len(OUTPUT_CUT)) + OUTPUT_CUT + ERROR_TITLE + b"e" * (HALF - len(ERROR_CUT)) + ERROR_CUT,
            id="each gets half",
        ),
    ],
)
def test_the_field_for_both_gives_each_its_share(stdout: bytes, stderr: bytes, field: bytes) -> None:
    assert combined(stdout, stderr) == field
    assert len(field) <= 2_500
