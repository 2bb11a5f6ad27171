import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.patching.versions import check_dpkg_version, compare_dpkg, compare_rpm

UPSTREAM = st.text(alphabet="0123abz.+~", min_size=1, max_size=8).map(lambda text: "1" + text)
REVISION = st.text(alphabet="019ab.+~", min_size=1, max_size=5)
DPKG_VERSION = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "10:"]),
    UPSTREAM,
    st.one_of(st.just(""), REVISION.map(lambda text: f"-{text}")),
)
RPM_VERSION = st.text(alphabet="0129abz.~^_", min_size=1, max_size=8)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="this machine has no dpkg to compare with")
@settings(max_examples=150)
@given(DPKG_VERSION, DPKG_VERSION)
def test_debian_versions_are_ordered_as_dpkg_does(left: str, right: str) -> None:
    relation = {-1: "lt", 0: "eq", 1: "gt"}[compare_dpkg(left, right)]
    assert subprocess.run(["dpkg", "--compare-versions", left, relation, right], check=False).returncode == 0


@given(RPM_VERSION, RPM_VERSION, RPM_VERSION)
def test_rpm_order_is_an_order(a: str, b: str, c: str) -> None:
    assert compare_rpm(a, b) == -compare_rpm(b, a)
    if compare_rpm(a, b) <= 0 and compare_rpm(b, c) <= 0:
        assert compare_rpm(a, c) <= 0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1.0", "1.0", 0),
        ("1.0", "2.0", -1),
        ("2.0.1", "2.0", 1),
        ("2.0.1a", "2.0.1", 1),
        ("5.5p1", "5.5p10", -1),
        ("10xyz", "10.1xyz", -1),
        ("xyz10", "xyz10.1", -1),
        ("xyz.4", "8", -1),
        ("8", "xyz.4", 1),
        ("1.001", "1.1", 0),
        ("2_0", "2.0", 0),
        ("1.0~rc1", "1.0", -1),
        ("1.0~rc1", "1.0~rc2", -1),
        ("1.0^", "1.0", 1),
        ("1.0^git1", "1.01", -1),
        ("1.0^git1~pre", "1.0^git1", -1),
        ("1.0~rc1^git1", "1.0~rc1", 1),
        ("1.0^git1", "1.0~rc1", 1),
        ("1:1.0-1", "2.0-1", 1),
        ("0:1.0-1", "1.0-1", 0),
        ("1.0-1", "1.0", 0),
        ("1.0-1.el9", "1.0-2.el9", -1),
    ],
)
def test_rpm_versions_are_ordered(left: str, right: str, expected: int) -> None:
    assert compare_rpm(left, right) == expected
    assert compare_rpm(right, left) == -expected


@pytest.mark.parametrize("text", ["", ":1", "a:1", "1:", "1 2", "9999999999:1", "1_0"])
def test_what_is_no_debian_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Debian version"):
        check_dpkg_version(text)
