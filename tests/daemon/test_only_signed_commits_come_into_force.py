"""Where the host settings name signers, a commit comes into force only with the signature of one who counts now."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.daemon.accepting import Accepted, StateBranch
from reconciler.ids import CommitId
from reconciler.settings import HostSettings, host_settings
from reconciler.source.accept import Acceptance
from reconciler.source.address import parse_address
from reconciler.source.repository import Repository
from tests.support.git_remote import GitRemote, make_remote
from tests.support.signing import GpgHome, TestSigner, ssh_signer

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
LONG_AGO = "2020-01-01T00:00:00Z"


class Desk:
    """A work tree that people commit in, and a host that reads it."""

    def __init__(self, folder: Path, settings: HostSettings, state_dir: str = "daemon") -> None:
        self.remote = GitRemote(folder / "fleet")
        if not self.remote.path.exists():
            make_remote(self.remote.path, bare=False)
            self.write("state/fleet.yaml", "Fleet: example\n")
        self.repository = Repository.open(
            parse_address(str(self.remote.path), cwd=folder), state_dir=folder / state_dir
        )
        self.branch = StateBranch(self.repository, settings, lambda: NOW)

    def write(self, name: str, text: str) -> None:
        path = self.remote.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def unsigned(self, message: str = "Unsigned") -> str:
        self.remote.git("add", "--all")
        self.remote.git("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", message)
        return self.remote.git("rev-parse", "HEAD")

    def look(self, accepted: str | None = None, *, received: bool = True, rewind: str | None = None) -> Accepted:
        return self.branch.look(
            None if accepted is None else CommitId(accepted),
            received=received and accepted is not None,
            accept_rewind=None if rewind is None else CommitId(rewind),
        )


@pytest.fixture
def ann(tmp_path: Path) -> TestSigner:
    return ssh_signer(tmp_path / "keys", "ann")


@pytest.fixture
def bea(tmp_path: Path) -> TestSigner:
    return ssh_signer(tmp_path / "keys", "bea")


@pytest.fixture
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpgHome]:
    home = GpgHome(tmp_path_factory.mktemp("g") / "h")  # short: the agent's socket lies in it
    try:
        yield home
    finally:
        home.close()


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    opened: list[Desk] = []

    def open_one(*signers: str, state_dir: str = "daemon") -> Desk:
        text = "TrustedSigners:\n" + "".join(signers) if signers else ""
        desk = Desk(tmp_path, host_settings(text.encode(), "host.yaml"), state_dir)
        opened.append(desk)
        return desk

    yield open_one
    for desk in opened:
        desk.repository.close()


def refused(found: Accepted, *words: str) -> None:
    """It is not in force, and every word of why stands there."""
    assert found.in_force.acceptance in {Acceptance.KEPT, Acceptance.NOTHING}, found.in_force
    for word in words:
        assert any(word in problem for problem in found.problems), found.problems


def test_a_commit_signed_with_ssh_comes_into_force_and_an_unsigned_one_does_not(
    open_desk: Callable[..., Desk], ann: TestSigner
) -> None:
    desk = open_desk(ann.entry())
    desk.unsigned()
    refused(desk.look(), "not signed", "TrustedSigners")
    signed = ann.commit(desk.remote.path)
    assert desk.look().in_force.commit == signed
    desk.unsigned()
    later = desk.look(signed)
    refused(later, "not signed")
    assert later.in_force.commit == signed


def test_a_commit_signed_with_gpg_comes_into_force(open_desk: Callable[..., Desk], gpg: GpgHome) -> None:
    carl, dora = gpg.signer("carl"), gpg.signer("dora")
    desk = open_desk(carl.entry())
    signed = carl.commit(desk.remote.path)
    assert desk.look().in_force.commit == signed
    dora.commit(desk.remote.path)
    refused(desk.look(signed), "no trusted signer")


def test_a_strangers_key_is_named_and_gains_nothing(
    open_desk: Callable[..., Desk], ann: TestSigner, bea: TestSigner
) -> None:
    desk = open_desk(ann.entry())
    bea.commit(desk.remote.path)
    refused(desk.look(), "SHA256:", "no trusted signer")


@pytest.mark.parametrize("date", [None, LONG_AGO], ids=["dated today", "dated back"])
@pytest.mark.parametrize("more", [{"Expires": "'2026-08-31'"}, {"Revoked": "true"}], ids=["expired", "revoked"])
def test_a_date_in_the_commit_does_not_bring_a_key_back(
    open_desk: Callable[..., Desk], ann: TestSigner, bea: TestSigner, date: str | None, more: dict[str, str]
) -> None:
    desk = open_desk(ann.entry(), bea.entry(**more))
    bea.commit(desk.remote.path, date=date)
    refused(desk.look(), "expired at 2026-08-31" if "Expires" in more else "is revoked", "bea")


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_a_gpg_key_that_ended_itself_does_not_come_back_by_a_date(
    open_desk: Callable[..., Desk], gpg: GpgHome, how: str
) -> None:
    carl = gpg.signer("carl", expires="20210101T000000" if how == "expired" else "never", now="20200101T000000")
    desk = open_desk(carl.entry())
    carl.commit(desk.remote.path, date="2020-02-01T00:00:00Z")
    if how == "revoked":
        assert desk.look().in_force.commit is not None  # it counted before
        carl = TestSigner("carl", carl.settings, carl.environment, gpg.revoke("carl"), is_gpg=True)
        desk = open_desk(carl.entry(), state_dir="after")
    refused(desk.look(), how)


def test_a_commit_cannot_bring_its_own_signer(open_desk: Callable[..., Desk], ann: TestSigner, bea: TestSigner) -> None:
    desk = open_desk(ann.entry())
    first = ann.commit(desk.remote.path)
    assert desk.look().in_force.commit == first
    desk.write("state/signers.yaml", bea.yaml())
    bea.commit(desk.remote.path, "Trust me")
    refused(desk.look(first), "no trusted signer")
    granted = ann.commit(desk.remote.path, "Trust her")
    assert desk.look(first).in_force.commit == granted
    hers = bea.commit(desk.remote.path, "Thanks")
    assert desk.look(granted).in_force.commit == hers
    refused(desk.look(first), "no trusted signer")  # judged by what was accepted, not by what was pushed since


def test_a_repository_takes_trust_away_and_never_lengthens_it(
    open_desk: Callable[..., Desk], ann: TestSigner, bea: TestSigner
) -> None:
    desk = open_desk(ann.entry(Expires="'2026-08-01'"), bea.entry())
    desk.write("state/signers.yaml", ann.yaml(Expires="'2030-01-01'") + "---\n" + bea.yaml())
    first = bea.commit(desk.remote.path)
    assert desk.look().in_force.commit == first
    ann.commit(desk.remote.path)
    refused(desk.look(first), "expired at 2026-08-01")
    desk.write("state/signers.yaml", bea.yaml(Revoked="true"))
    desk.remote.git("reset", "--quiet", "--soft", first)
    last = bea.commit(desk.remote.path, "Take my key away")
    assert desk.look(first).in_force.commit == last
    bea.commit(desk.remote.path, "Once more")
    refused(desk.look(last), "is revoked")


def test_a_forges_merge_of_unsigned_work_counts_by_its_own_signature(
    open_desk: Callable[..., Desk], ann: TestSigner
) -> None:
    desk = open_desk(ann.entry())
    first = ann.commit(desk.remote.path)
    desk.remote.git("checkout", "--quiet", "-b", "work")
    desk.unsigned("Work of a contributor")
    desk.remote.git("checkout", "--quiet", "main")
    merged = ann.merge(desk.remote.path, "work")
    assert desk.look(first).in_force.commit == merged


def test_a_trailer_counts_only_in_a_commit_that_is_signed(open_desk: Callable[..., Desk], ann: TestSigner) -> None:
    desk = open_desk(ann.entry())
    first = ann.commit(desk.remote.path)
    desk.unsigned("Drop nodes\n\nAllow-Shrink: motd")
    head = ann.commit(desk.remote.path, "Go on\n\nAllow-Shrink: nginx")
    found = desk.look(first)
    assert found.in_force.commit == head
    assert found.allow_shrink == {"nginx"}
    assert any("Allow-Shrink: motd" in problem and "not signed" in problem for problem in found.problems)


def test_what_is_in_force_stays_when_its_key_runs_out(open_desk: Callable[..., Desk], ann: TestSigner) -> None:
    desk = open_desk(ann.entry())
    first = ann.commit(desk.remote.path)
    assert desk.look().in_force.commit == first
    later = open_desk(ann.entry(Expires="'2026-08-01'"), state_dir="later")
    assert later.look(first).in_force.acceptance is Acceptance.UNCHANGED


def test_a_report_vouches_for_no_commit(open_desk: Callable[..., Desk], ann: TestSigner) -> None:
    desk = open_desk(ann.entry())
    planted = desk.unsigned()
    found = desk.look(planted, received=False)
    assert found.desired is None
    signed = ann.commit(desk.remote.path)
    assert desk.look(planted, received=False).in_force.commit == signed


def test_a_rewind_a_person_accepts_must_be_signed_too(open_desk: Callable[..., Desk], ann: TestSigner) -> None:
    desk = open_desk(ann.entry())
    first = ann.commit(desk.remote.path)
    second = ann.commit(desk.remote.path)
    desk.remote.git("reset", "--quiet", "--hard", first)
    refused(desk.look(second), "--accept-rewind")
    assert desk.look(second, rewind=first).in_force.commit == first
    other = desk.unsigned()
    refused(desk.look(second, rewind=other), "not signed")


def test_a_signature_moved_to_other_content_does_not_hold(open_desk: Callable[..., Desk], ann: TestSigner) -> None:
    desk = open_desk(ann.entry())
    signed = ann.commit(desk.remote.path)
    body = desk.remote.git("cat-file", "commit", signed) + "\n"
    forged = desk.remote.git(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=body.replace("Signed", "Sealed").encode()
    )
    desk.remote.git("update-ref", "refs/heads/main", forged)
    refused(desk.look(), "does not hold")


def test_nobodys_keyring_and_settings_are_read(
    open_desk: Callable[..., Desk],
    ann: TestSigner,
    bea: TestSigner,
    gpg: GpgHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carl = gpg.signer("carl")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    allowed = home / "allowed"
    allowed.write_text(f"* {bea.public}\n")
    (home / ".gitconfig").write_text(f'[gpg "ssh"]\n\tallowedSignersFile = {allowed}\n\tprogram = /bin/true\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GNUPGHOME", str(gpg.folder))
    desk = open_desk(ann.entry())
    for key, value in {"gpg.ssh.allowedSignersFile": str(allowed), "gpg.program": "/bin/true"}.items():
        desk.remote.git("config", key, value)
    for stranger in (bea, carl):
        stranger.commit(desk.remote.path)
        refused(desk.look(), "no trusted signer")


def test_without_signers_in_the_host_settings_nothing_changes(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.write("state/signers.yaml", "")
    assert desk.look().in_force.commit is None
    head = desk.unsigned()
    assert desk.look().in_force.commit == head
