"""The framed answer: whatever a connection does to it, a section is whole or Unknown, never shorter than it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.inventory.frames import MAX_LINES, Answered, Frame, Status, read_frames

NONCE = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32

texts = st.text(
    st.one_of(
        st.sampled_from("\n 0123456789abcdef"), st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
    ),
    max_size=60,
)
names = st.sampled_from(["os", "kernel", "packages", "at.packages", "checks.user", "texts"])
answers = st.dictionaries(names, st.tuples(st.sampled_from(Status), texts), max_size=5)


def framed(sections: dict[str, tuple[Status, str]], nonce: str = NONCE) -> bytes:
    parts = []
    for name, (status, text) in sections.items():
        raw = text.encode()
        parts.append(f"{nonce} {name} {status.value} {len(raw)}\n".encode() + raw + b"\n")
    return b"".join(parts) + f"{nonce} end {len(sections)}\n".encode()


def whole(sections: dict[str, tuple[Status, str]]) -> dict[str, Frame]:
    return {name: Frame(status, text) for name, (status, text) in sections.items()}


@given(answers)
def test_a_whole_answer_gives_every_section_and_no_problem(sections: dict[str, tuple[Status, str]]) -> None:
    assert read_frames(framed(sections), NONCE) == Answered(frames=whole(sections), problem=None)


@given(answers, st.data())
def test_a_cut_answer_gives_whole_sections_or_none_and_says_so(
    sections: dict[str, tuple[Status, str]], data: st.DataObject
) -> None:
    full = framed(sections)
    cut = data.draw(st.integers(0, len(full) - 1))
    answered = read_frames(full[:cut], NONCE)
    assert answered.frames.items() <= whole(sections).items()
    if cut < len(full) - 1:  # without the last line feed it may still be told apart as complete, or not
        assert answered.problem is not None


def test_every_single_cut_of_one_answer() -> None:
    sections = {"os": (Status.OK, "arch x\ninit other"), "packages": (Status.OK, "dpkg\n" + "ii \ta\t1\tall\n" * 30)}
    full = framed(sections)
    for cut in range(len(full)):
        answered = read_frames(full[:cut], NONCE)
        assert answered.frames.items() <= whole(sections).items()
        assert len(answered.frames) == 2 or answered.problem is not None


@given(answers, st.binary(min_size=1, max_size=20), st.data())
def test_noise_in_the_middle_never_changes_a_section_unseen(
    sections: dict[str, tuple[Status, str]], noise: bytes, data: st.DataObject
) -> None:
    full = framed(sections)
    at = data.draw(st.integers(0, len(full)))
    answered = read_frames(full[:at] + noise + full[at:], NONCE)
    assert answered.frames.items() <= whole(sections).items()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    assert read_frames(data, NONCE).problem is not None


@given(st.binary(max_size=80), answers)
def test_a_banner_before_the_answer_is_skipped(banner: bytes, sections: dict[str, tuple[Status, str]]) -> None:
    assert read_frames(banner + framed(sections), NONCE).frames == whole(sections)


def test_frames_with_another_nonce_are_text_and_nothing_else() -> None:
    forged = framed({"packages": (Status.OK, "dpkg\nii \tforged\t1\tall")}, OTHER).decode()
    sections = {"holds": (Status.OK, forged)}
    assert read_frames(framed(sections), NONCE).frames == whole(sections)


def test_an_answer_to_another_request_is_no_answer() -> None:
    answered = read_frames(framed({"os": (Status.OK, "x")}, OTHER), NONCE)
    assert answered == Answered(problem="the answer holds no section")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "the answer is empty", id="nothing at all"),
        pytest.param(f"{NONCE} os ok 3\nabc\n".encode(), "its end is missing", id="no end"),
        pytest.param(f"{NONCE} os ok 3\nabc\n{NONCE} end 2\n".encode(), "1 of 2 sections arrived whole", id="one lost"),
        pytest.param(f"{NONCE} os ok 3\nabcd\n{NONCE} end 1\n".encode(), "length does not hold", id="wrong length"),
        pytest.param(f"{NONCE} os maybe 3\nabc\n{NONCE} end 1\n".encode(), "cut or garbled", id="odd status"),
        pytest.param(f"{NONCE} os ok 999999999\nabc\n".encode(), "longer than", id="a length beyond all limits"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, problem: str) -> None:
    assert problem in str(read_frames(data, NONCE).problem)


def test_sections_that_did_not_change_stand_in_one_frame() -> None:
    sections = {"os": (Status.OK, "x"), "unchanged": (Status.OK, " ports packages")}
    answered = read_frames(framed(sections), NONCE)
    unchanged = Frame(Status.UNCHANGED, "")
    assert answered == Answered(frames={"os": Frame(Status.OK, "x"), "ports": unchanged, "packages": unchanged})


@pytest.mark.parametrize(
    ("named", "left"),
    [
        pytest.param("ports os", {"ports"}, id="one that has a frame of its own"),
        pytest.param("ports ports", {"os"}, id="one twice"),
        pytest.param("../ports \u2028 PORTS", {"os"}, id="what is no section's name"),
        pytest.param("", {"os"}, id="none"),
    ],
)
def test_a_section_is_unchanged_or_told_and_never_both(named: str, left: set[str]) -> None:
    answered = read_frames(framed({"os": (Status.OK, "x"), "unchanged": (Status.OK, named)}), NONCE)
    assert answered.frames.keys() == left


def test_a_cut_list_of_what_did_not_change_names_nothing() -> None:
    full = framed({"os": (Status.OK, "x"), "unchanged": (Status.OK, " ports packages")})
    for cut in range(full.index(b" packages"), full.index(b" packages") + 9):
        assert read_frames(full[:cut], NONCE).frames == {"os": Frame(Status.OK, "x")}


def test_a_section_that_comes_twice_counts_as_none() -> None:
    one = f"{NONCE} os ok 1\n".encode()
    answered = read_frames(one + b"a\n" + one + b"b\n" + f"{NONCE} end 2\n".encode(), NONCE)
    assert answered.frames == {}
    assert "came twice: os" in str(answered.problem)


def test_a_section_of_too_many_lines_is_refused_and_the_next_one_read() -> None:
    sections = {"packages": (Status.OK, "\n" * (MAX_LINES + 1)), "os": (Status.OK, "x")}
    answered = read_frames(framed(sections), NONCE)
    assert set(answered.frames) == {"os"}
    assert "section packages has more than" in str(answered.problem)
