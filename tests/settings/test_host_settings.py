"""Host settings are read strictly: a key that is not carried out is refused, never ignored."""

from pathlib import Path

import pytest

from reconciler.errors import SettingsError
from reconciler.model.command_rule import CommandRule
from reconciler.model.host_secret import HostSecret
from reconciler.settings import PATCH_FILES_BYTES, HostSettings, host_settings, read_host_settings


def test_every_key_is_optional() -> None:
    assert host_settings(b"", "host.yaml") == HostSettings()
    assert host_settings(b"{}", "host.yaml") == HostSettings()


def test_the_shipped_example_reads() -> None:
    example = Path(__file__).parents[2] / "docs/install/host.yaml"
    assert read_host_settings(example) == HostSettings(
        fleet="example", remote="/srv/fleet.git", branch="main", key_directory=Path("/etc/reconciler/keys")
    )


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        pytest.param("LocalChange: true\n", "host.yaml:1:1", "LocalChanges", id="a misspelt key"),
        pytest.param("Fleet: a\nTrustedCooks: []\n", "host.yaml:2:1", "TrustedSigners", id="a key of a later version"),
        pytest.param("LocalChanges: yes\n", "host.yaml:1:15", "true or false", id="yes is text"),
        pytest.param("Fleet: a\nFleet: b\n", "host.yaml:2:1", "Fleet", id="a key twice"),
    ],
)
def test_a_mistake_names_its_place_and_remedy(text: str, place: str, word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        host_settings(text.encode(), "host.yaml")
    assert place in str(caught.value)
    assert word in str(caught.value)


def test_rules_for_commands_read() -> None:
    text = b"SendCommand: [{Logins: [ann, bo], Documents: [Motd], Targets: ['tag:Role=web'], MaxNodes: 3}, {Logins: [root]}]"
    assert host_settings(text, "host.yaml").send_command == (
        CommandRule(logins=("ann", "bo"), documents=("Motd",), targets=("tag:Role=web",), max_nodes=3),
        CommandRule(logins=("root",)),
    )


@pytest.mark.parametrize(
    "rule", ["{}", "{Logins: []}", "{Logins: [ann], MaxNodes: 0}", "{Logins: [ann], Node: web}", "{Logins: ann}", "ann"]
)
def test_a_rule_for_commands_that_says_less_than_it_should_is_refused(rule: str) -> None:
    with pytest.raises(SettingsError, match=r"host\.yaml:1"):
        host_settings(f"SendCommand: [{rule}]".encode(), "host.yaml")


def test_files_of_patches_are_kept_only_where_that_is_said() -> None:
    assert not host_settings(b"PatchFiles: {}", "host.yaml").keep_patch_files
    found = host_settings(b"PatchFiles: {Keep: true}", "host.yaml")
    assert (found.keep_patch_files, found.patch_files_bytes) == (True, PATCH_FILES_BYTES)
    assert host_settings(b"PatchFiles: {Keep: true, MaxBytes: 5000}", "host.yaml").patch_files_bytes == 5000


@pytest.mark.parametrize(
    "said", ["{Keep: yes}", "{MaxBytes: 0}", "{MaxBytes: -1}", "{MaxBytes: 10GB}", "{Folder: /srv}", "true"]
)
def test_an_odd_word_about_files_of_patches_is_refused(said: str) -> None:
    with pytest.raises(SettingsError, match=r"host\.yaml:1"):
        host_settings(f"PatchFiles: {said}".encode(), "host.yaml")


def test_a_file_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_host_settings(tmp_path / "missing.yaml")


def test_settings_of_downloads_read() -> None:
    text = (
        b"Downloads:\n  Egress: [10.1.0.0/16, 192.0.2.7, 'fd00::/8']\n  KnownHosts: /etc/reconciler/git_known_hosts\n"
        b"  Secrets: [{Name: git/token, File: /etc/reconciler/token, Hosts: [Git.Example.org]}]\n"
    )
    found = host_settings(text, "host.yaml")
    assert [str(network) for network in found.egress] == ["10.1.0.0/16", "192.0.2.7/32", "fd00::/8"]
    assert found.known_hosts == Path("/etc/reconciler/git_known_hosts")
    assert found.secrets == (
        HostSecret(name="git/token", file=Path("/etc/reconciler/token"), hosts=("git.example.org",)),
    )


@pytest.mark.parametrize(
    ("downloads", "word"),
    [
        ("{Egress: [git.example.org]}", "no address or network"),
        ("{Egress: [10.1.2.3/16]}", "no address or network"),
        ("{Egress: ['*']}", "no address or network"),
        ("{Egres: [10.0.0.1]}", "Egress"),
        ("{Secrets: [{Name: a, File: /f}]}", "Hosts is missing"),
        ("{Secrets: [{Name: a, File: /f, Hosts: []}]}", "Hosts"),
        ("{Secrets: [{Name: a, File: /f, Hosts: ['*']}]}", "server's name"),
        ("{Secrets: [{Name: a, File: f, Hosts: [h]}]}", "absolute path"),
        ("{Secrets: [{Name: a, File: /f, Hosts: [h]}, {Name: a, File: /g, Hosts: [i]}]}", "second secret"),
        ("{KnownHosts: known_hosts}", "absolute path"),
    ],
)
def test_settings_of_downloads_that_say_less_than_they_should_are_refused(downloads: str, word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        host_settings(f"Downloads: {downloads}".encode(), "host.yaml")
    assert "host.yaml:1" in str(caught.value)
    assert word in str(caught.value)
