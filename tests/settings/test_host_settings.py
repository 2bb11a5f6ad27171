"""Host settings are read strictly: a key that is not carried out is refused, never ignored."""

from pathlib import Path

import pytest

from reconciler.errors import SettingsError
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


def test_a_file_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_host_settings(tmp_path / "missing.yaml")
