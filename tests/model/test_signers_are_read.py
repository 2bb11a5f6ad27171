"""Signers: one public key each, known by its fingerprint; what is no key is told with its place."""

import pytest

from reconciler.model.reading.public_keys import gpg_fingerprint, ssh_fingerprint
from reconciler.settings import host_settings
from tests.model.reading import FILES, errors, reads
from tests.support.signing import GpgHome, ssh_signer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def test_a_key_is_known_by_the_fingerprint_the_tools_print(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("k")
    ann = ssh_signer(folder, "ann")
    home = GpgHome(folder / "g")
    try:
        carl = home.signer("carl")
        assert gpg_fingerprint(carl.public) in home.gpg("--with-colons", "--list-keys")
    finally:
        home.close()
    assert ssh_fingerprint(ann.public).startswith("SHA256:")
    assert [
        signer.name for signer in reads({**FILES, "state/signers.yaml": ann.yaml() + "---\n" + carl.yaml()}).signers
    ] == [
        "ann",
        "carl",
    ]


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        pytest.param("Name: a\n", "1:1", "SshKey or GpgKey", id="no key"),
        pytest.param(f"Name: a\nSshKey: {KEY}\nGpgKey: x\n", "1:1", "SshKey or GpgKey", id="two keys"),
        pytest.param(f"Name: a\nSshKey: {KEY.replace('ssh-ed25519', 'ssh-rsa')}\n", "2:9", "no key of type", id="another type"),
        pytest.param("Name: a\nSshKey: cert-authority x\n", "2:9", "ssh public key", id="no key at all"),
        pytest.param("Name: a*\nSshKey: x\n", "1:7", "signer's name", id="a name that is a pattern"),
        pytest.param(f"Name: a\nSshKey: {KEY}\nExpires: '2030-02-31'\n", "3:10", "no day", id="no such day"),
        pytest.param("Name: a\nGpgKey: |\n  -----BEGIN PGP PRIVATE KEY BLOCK-----\n", "2:9", "no armoured public", id="a private key"),
        pytest.param("Name: a\nGpgKey: |\n  -----BEGIN PGP PUBLIC KEY BLOCK-----\n\n  mDMEAAAA\n  -----END PGP PUBLIC KEY BLOCK-----\n", "2:9", "cut", id="a cut key"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place(text: str, place: str, word: str) -> None:
    found = [str(problem) for problem in errors({**FILES, "state/signers.yaml": text})]
    assert any(problem.startswith(f"state/signers.yaml:{place}:") and word in problem for problem in found), found


def test_an_installation_needs_the_same_of_its_signers() -> None:
    with pytest.raises(Exception, match=r"host.yaml:2:5: .*SshKey or GpgKey"):
        host_settings(b"TrustedSigners:\n  - Name: a\n", "host.yaml")
    with pytest.raises(Exception, match="TrustedSigners"):
        host_settings(b"TrustedSigners: []\n", "host.yaml")
