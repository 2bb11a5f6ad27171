"""Addresses of dnf's and zypper's repositories, filled in on the node by its variables and lists of mirrors."""

import shutil
import subprocess

import pytest

from reconciler.inventory.rpm.addresses import FILLED

METALINK = """\
<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/">
  <resources maxconnections="1">
    <url protocol="rsync" preference="100">rsync://a.example.org/9/os/repodata/repomd.xml</url>
    <url protocol="https" preference="99">https://a.example.org/9/os/repodata/repomd.xml</url>
    <url protocol="https" preference="98">https://b.example.org/$releasever/os/repodata/repomd.xml</url>
"""


@pytest.mark.parametrize("awk", ["mawk", "gawk", "busybox"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(
            "V|basearch|x86_64\nV|releasever|9\nU|baseos|http://a/$releasever/${basearch}/os/ https://b/x",
            ["U|baseos|http://a/9/x86_64/os/ https://b/x"],
            id="variables",
        ),
        pytest.param("U|baseos|http://a/$unknown/ http://b/", ["U|baseos|http://b/"], id="one that nobody knows"),
        pytest.param("V|a|$b\nV|b|$a\nU|loop|http://a/$a", [], id="variables that name each other"),
        pytest.param("V|a|x$\nU|odd|http://a/$a", [], id="a dollar that names nothing"),
        pytest.param(
            f"V|releasever|9\nF|epel\n{METALINK}",
            ["U|epel|https://a.example.org/9/os/", "U|epel|https://b.example.org/9/os/"],
            id="a metalink",
        ),
        pytest.param(
            "F|one\n# http://comment/\nhttp://a/x\nhttp://b/x\nhttp://c/x\nhttp://d/x\nF|two\nhttp://me@e/x\nftp://f/x",
            ["U|one|http://a/x", "U|one|http://b/x", "U|one|http://c/x"],
            id="three of a list of mirrors, and no login",
        ),
    ],
)
def test_addresses_are_filled_in(awk: str, given: str, told: list[str]) -> None:
    if shutil.which(awk) is None:
        pytest.skip(f"{awk} is not installed")
    command = [awk, "awk", FILLED] if awk == "busybox" else [awk, FILLED]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == told
