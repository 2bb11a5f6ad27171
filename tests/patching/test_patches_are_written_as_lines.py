from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.patch import Family, Index, Installed, InstallState, Notice, Patch, patch_title
from reconciler.model.patch_lines import (
    PatchTable,
    installed_line,
    notice_line,
    patch_line,
    read_installed,
    read_notice,
)
from tests.patching.rows import MAIN, SECURITY, a_deb, a_notice, an_rpm, at, installed

TEXT = st.text(max_size=12) | st.sampled_from(["|", ";,", "a\\b", "a\nb", "\t\r", "-oDpkg::Pre-Invoke=x"])
SOME = st.text(min_size=1, max_size=12)
INSTANT = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  (hypothesis wants bounds without a zone)
    lambda instant: instant.replace(microsecond=0)
)
NOTICE = st.builds(
    Notice,
    id=SOME,
    classification=TEXT,
    severity=TEXT,
    issued=st.none() | INSTANT,
    updated=st.none() | INSTANT,
    cves=st.sets(SOME).map(lambda ids: tuple(sorted(ids))),
    bugzillas=st.sets(SOME).map(lambda ids: tuple(sorted(ids))),
    title=TEXT,
    reboot=st.booleans(),
)
INDEX = st.builds(
    Index,
    repository=TEXT,
    origin=TEXT,
    label=TEXT,
    suite=TEXT,
    codename=TEXT,
    component=TEXT,
    trusted=st.booleans(),
)
PATCH = st.builds(
    Patch,
    family=st.sampled_from(Family),
    name=TEXT,
    arch=TEXT,
    version=TEXT,
    source=TEXT,
    source_version=TEXT,
    section=TEXT,
    priority=TEXT,
    checksum=TEXT,
    size=st.none() | st.integers(0, 2**53),
    filename=TEXT,
    phased=st.none() | st.integers(0, 100),
    built=st.none() | INSTANT,
    module=TEXT,
    indexes=st.lists(INDEX, max_size=1).map(tuple),
    notices=st.lists(NOTICE, max_size=1).map(tuple),
)
INSTALLED = st.builds(
    Installed,
    name=TEXT,
    arch=TEXT,
    version=TEXT,
    source=TEXT,
    source_version=TEXT,
    hold=st.booleans(),
    auto=st.booleans(),
    installed_at=st.none() | INSTANT,
    state=st.sampled_from(InstallState),
)


@given(PATCH)
def test_a_patch_reads_back_from_its_line(patch: Patch) -> None:
    table = PatchTable()
    table.add_notices(map(notice_line, patch.notices))
    assert table.patch(patch_line(patch)) == patch
    assert "\n" not in patch_line(patch)


@given(NOTICE)
def test_a_notice_reads_back_from_its_line(notice: Notice) -> None:
    assert read_notice(notice_line(notice)) == notice


@given(INSTALLED)
def test_an_installed_package_reads_back_from_its_line(row: Installed) -> None:
    assert read_installed(installed_line(row)) == row


@given(PATCH, PATCH)
def test_two_patches_have_one_line_only_where_they_are_the_same(one: Patch, other: Patch) -> None:
    assert (patch_line(one) == patch_line(other)) == (one == other)


def test_equal_lines_are_one_record() -> None:
    table = PatchTable()
    line = patch_line(a_deb(indexes=(SECURITY, MAIN)))
    assert table.patch(line) is table.patch("".join(line))
    kept = table.patch(line)
    table.turn()
    assert table.patch(line) is kept
    table.turn()
    table.turn()
    assert table.patch(line) is not kept
    assert table.patch(line) == kept


def test_the_order_of_indexes_and_notices_does_not_matter() -> None:
    one = an_rpm("bash", "1-1", a_notice(id="A"), a_notice(id="B"))
    other = an_rpm("bash", "1-1", a_notice(id="B"), a_notice(id="A"))
    assert patch_line(one) == patch_line(other)
    assert patch_line(a_deb(indexes=(MAIN, SECURITY))) == patch_line(a_deb(indexes=(SECURITY, MAIN)))


def test_a_notice_of_the_same_id_with_other_words_is_another_notice() -> None:
    """What node A says of an advisory changes nothing about what node B said."""
    true, false = a_notice(), a_notice(severity="Low")
    table = PatchTable()
    table.add_notices([notice_line(true), notice_line(false)])
    assert table.patch(patch_line(an_rpm("bash", "1-1", true))).notices == (true,)
    assert table.patch(patch_line(an_rpm("bash", "1-1", false))).notices == (false,)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("debian|bash", "2 fields instead of 16", id="cut"),
        pytest.param("debian" + "|" * 14, "15 fields instead of 16", id="a field too few"),
        pytest.param("apk" + "|" * 15, "'apk' is not a valid Family", id="a family we do not know"),
        pytest.param(r"debian|a\x" + "|" * 14, "a backslash that means nothing", id="unknown escape"),
        pytest.param("debian|a\\" + "|" * 14, "a backslash that means nothing", id="a backslash at the end"),
        pytest.param("debian|||||||||-1||||||", "not a number", id="a negative size"),
        pytest.param("debian|||||||||007||||||", "not a canonical line", id="a number with zeros"),
        pytest.param("debian||||||||||||||| A,b", "a notice that was not told", id="a notice nobody told"),
        pytest.param("debian||||||||||||2024-01-01|||", "UTC|canonical|offset", id="a time without an hour"),
    ],
)
def test_a_line_that_we_would_not_write_is_refused(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PatchTable().patch(line)


@pytest.mark.parametrize(
    ("index", "security"),
    [
        pytest.param(SECURITY, True, id="Debian 11 and later"),
        pytest.param({"label": "Debian-Security", "suite": "oldstable", "codename": "buster"}, True, id="Debian 10"),
        pytest.param({"origin": "Ubuntu", "label": "Ubuntu", "suite": "jammy-security", "codename": "jammy"}, True),
        pytest.param({"origin": "UbuntuESM", "label": "UbuntuESM", "suite": "jammy-infra-security"}, True, id="ESM"),
        pytest.param({"label": "Debian", "codename": "bookworm-security"}, True, id="by codename, after release day"),
        pytest.param(MAIN, False, id="main"),
        pytest.param({"label": "Debian", "codename": "bookworm-updates"}, False, id="updates"),
        pytest.param({"label": "Ubuntu", "suite": "jammy-updates", "codename": "jammy"}, False, id="Ubuntu updates"),
        pytest.param({"repository": "security.example.org", "label": "x"}, False, id="a host's name proves nothing"),
        pytest.param({"label": "my-security-tools", "suite": "security-tools"}, False, id="security somewhere within"),
        pytest.param({"label": "Debian-Security", "trusted": False}, False, id="not signed"),
    ],
)
def test_security_indexes_are_known_by_label_and_codename(index: Index | dict[str, Any], security: bool) -> None:  # noqa: FBT001  (what is expected)
    if isinstance(index, dict):
        index = Index(**{"repository": "mirror.example", **index})
    assert index.is_security() is security


def test_titles_are_those_of_ssm() -> None:
    assert a_deb("openssl", "3.0.22-1~deb12u2").title == "openssl.amd64:3.0.22-1~deb12u2"
    assert an_rpm("bash", "5.1.8-7.el9").title == "bash.x86_64:0:5.1.8-7.el9"
    assert an_rpm("bind", "32:9.16-1.el9").title == "bind.x86_64:32:9.16-1.el9"
    assert patch_title(Family.APT, a_deb().id, "1:2") == "bash.amd64:1:2"


def test_the_date_of_a_notice_is_the_updated_one() -> None:
    assert a_notice(updated=at("2024-03-20")).published == at("2024-03-20")
    assert a_notice().published == at("2024-03-01")
    assert installed().id == "bash.amd64"
