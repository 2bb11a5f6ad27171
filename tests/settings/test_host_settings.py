"""Host settings are read strictly: a key that is not carried out is refused, never ignored."""

from pathlib import Path

import pytest

from reconciler.errors import SettingsError
from reconciler.model.command_rule import CommandRule
from reconciler.settings import HostSettings, host_settings, read_host_settings


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


def test_a_file_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_host_settings(tmp_path / "missing.yaml")
