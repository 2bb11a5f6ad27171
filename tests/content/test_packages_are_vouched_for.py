"""Packages from outside count where a signature lies beside their manifest of somebody whom the host settings name, and who counts now."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.content.package_signers import NAMESPACE, PackageSigners
from reconciler.documents.content import Content, SignedManifest, Unavailable
from reconciler.settings import host_settings
from tests.support.signing import GpgHome, TestSigner, ssh_signer

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
PATH = "packages/tool/1.0/manifest.json"
TEXT = b'{"schemaVersion": "2.0", "version": "1.0"}\n'


@pytest.fixture
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpgHome]:
    home = GpgHome(tmp_path_factory.mktemp("g") / "h")  # short: the agent's socket lies in it
    try:
        yield home
    finally:
        home.close()


@pytest.fixture
def ann(tmp_path: Path) -> TestSigner:
    return ssh_signer(tmp_path / "keys", "ann")


@pytest.fixture
def bea(tmp_path: Path) -> TestSigner:
    return ssh_signer(tmp_path / "keys", "bea")


def signed(folder: Path, signer: TestSigner, *, namespace: str = NAMESPACE, text: bytes = TEXT) -> SignedManifest:
    """Give a manifest with the signature of somebody over `text`."""
    file = folder / "manifest.json"
    file.write_bytes(text)
    signer.sign(file, namespace)
    return SignedManifest(path=PATH, manifest=TEXT, signature=(folder / "manifest.json.sig").read_bytes())


def judged(source: SignedManifest, *signers: str, clock: Callable[[], datetime] = lambda: NOW) -> Content | Unavailable:
    text = f"PackageSigners:\n{''.join(signers)}" if signers else ""
    return PackageSigners(host_settings(text.encode(), "host.yaml").package_signers, clock).judge(source)


def refused(found: Content | Unavailable, words: str) -> None:
    assert isinstance(found, Unavailable), found
    assert words in found.reason
    assert "host settings, PackageSigners" in found.reason
    assert f"ssh-keygen -Y sign -n reconciler-package -f KEY {PATH}" in found.reason
    assert f"commit {PATH}.sig" in found.reason


def test_who_signed_is_told(tmp_path: Path, ann: TestSigner, bea: TestSigner, gpg: GpgHome) -> None:
    carl = gpg.signer("carl")
    listed = (ann.entry(), bea.entry(), carl.entry())
    for signer in (ann, bea, carl):
        found = judged(signed(tmp_path, signer), *listed)
        assert isinstance(found, Content), found
        assert found.pin.startswith(f"signed by {signer.name} (")
        assert found.files == ()


def test_nobody_is_asked_for_a_signature_where_the_host_names_nobody() -> None:
    assert judged(SignedManifest(path=PATH, manifest=TEXT, signature=None)) == Content(pin="", files=())


def test_what_is_not_signed_by_one_who_counts_is_refused(
    tmp_path: Path, ann: TestSigner, bea: TestSigner, gpg: GpgHome
) -> None:
    refused(judged(SignedManifest(path=PATH, manifest=TEXT, signature=None), ann.entry()), "it is not signed")
    refused(judged(signed(tmp_path, bea), ann.entry()), "which is no trusted signer's")
    refused(judged(signed(tmp_path, bea), ann.entry(), bea.entry(Revoked="true")), "the key of bea is revoked")
    ended = bea.entry(Expires="'2026-09-01'")
    refused(judged(signed(tmp_path, bea), ended), "the key of bea expired at 2026-09-01")
    carl, dora = gpg.signer("carl"), gpg.signer("dora")
    refused(judged(signed(tmp_path, dora), carl.entry()), "which is no trusted signer's")
    garbage = SignedManifest(path=PATH, manifest=TEXT, signature=b"signed, ann")
    refused(judged(garbage, ann.entry()), "neither ssh's nor gpg's signature")
    for damaged in (b"-----BEGIN SSH SIGNATURE-----\nAAAA", b"-----BEGIN PGP SIGNATURE-----\n\nAAAA", b"\x88\x01"):
        source = SignedManifest(path=PATH, manifest=TEXT, signature=damaged)
        refused(judged(source, ann.entry(), carl.entry()), "signature does not hold")


def test_a_signature_over_anything_else_is_none(tmp_path: Path, ann: TestSigner, gpg: GpgHome) -> None:
    carl = gpg.signer("carl")
    refused(judged(signed(tmp_path, ann, text=TEXT + b"\n"), ann.entry()), "its ssh signature does not hold")
    refused(judged(signed(tmp_path, carl, text=b""), carl.entry()), "the signature does not fit what is signed")


@pytest.mark.parametrize("namespace", ["git", "file", "reconciler-packages"])
def test_a_signature_made_for_something_else_is_none(tmp_path: Path, ann: TestSigner, namespace: str) -> None:
    refused(judged(signed(tmp_path, ann, namespace=namespace), ann.entry()), "namespace does not match")


def test_a_key_that_ends_while_the_daemon_runs_vouches_for_nothing_more(tmp_path: Path, ann: TestSigner) -> None:
    clock = [NOW]
    settings = host_settings(f"PackageSigners:\n{ann.entry(Expires=repr('2026-09-02'))}".encode(), "host.yaml")
    signers = PackageSigners(settings.package_signers, lambda: clock[0])
    source = signed(tmp_path, ann)
    assert isinstance(signers.judge(source), Content)
    clock[0] += timedelta(days=1)
    refused(signers.judge(source), "the key of ann expired at 2026-09-02")
