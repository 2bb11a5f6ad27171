"""Signatures of commits: is this one signed by a key that counts, and our own signature under what we write.

Git hands the signed bytes to ssh-keygen or gpg; the keys they know are those of `Trust` alone, written afresh for every
question into a folder that nobody else reads. The date in a commit decides nothing: keys that do not count now are not
among them. No agent, no keyring and no settings of a user are read.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.errors import CommitError, SettingsError, SourceError
from reconciler.ids import CommitId
from reconciler.model.reading.public_keys import ssh_fingerprint
from reconciler.model.signer import Signer
from reconciler.source.git_process import GitProcess
from reconciler.source.trust import Trust

SSH, GPG = b"-----BEGIN SSH SIGNATURE-----", b"-----BEGIN PGP"
_TOOL_SECONDS = 30
"""For ssh-keygen and gpg on a few kilobytes; an agent that waits for a touch of its key is not waited for longer."""
_GPG_CONF = "batch\nno-tty\nno-autostart\nno-auto-key-retrieve\nno-auto-key-import\ntrust-model always\nno-greeting\n"
_SSH_GOOD = re.compile(r'Good "git" signature for \S+ with \S+ key (?P<key>SHA256:[A-Za-z0-9+/]+)')
_SSH_STRANGER = re.compile(r'Good "git" signature with \S+ key (?P<key>SHA256:[A-Za-z0-9+/]+)')
_STATUS = re.compile(r"^\[GNUPG:\] (?P<word>[A-Z_]+)(?P<rest>.*)$", re.MULTILINE)
_GPG_DENIED = {
    "EXPKEYSIG": "the key itself has expired",
    "REVKEYSIG": "the key itself is revoked",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the signature does not fit the commit",
}
_PUBLIC_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What is known of who signed a commit."""

    signer: Signer | None
    """None: nobody whose signature counts."""
    reason: str
    """In words: who, or why it does not count."""


def check_signature(git: GitProcess, commit: CommitId, body: bytes, trust: Trust) -> Signature:
    """Judge the signature of one commit, whose object is `body`."""
    kind = signature_kind(body)
    if kind is None:
        return Signature(signer=None, reason="it is not signed")
    if kind not in {SSH, GPG}:
        return Signature(signer=None, reason="it is signed in a way that is neither ssh's nor gpg's")
    with tempfile.TemporaryDirectory(prefix="reconciler-signers-") as made:
        folder = Path(made)
        own = replace(git, environment={"GNUPGHOME": str(folder)})
        try:
            settings = _ssh_settings(folder, trust) if kind == SSH else _gpg_settings(folder, trust)
            finished = own.run(*settings, "verify-commit", "--raw", commit)
        except SourceError as exc:
            return Signature(signer=None, reason=f"its signature could not be checked: {exc}")
    said = finished.stderr.decode("utf-8", "replace")
    return _ssh_verdict(said, finished.status, trust) if kind == SSH else _gpg_verdict(said, finished.status, trust)


def signature_kind(body: bytes) -> bytes | None:
    """Give how the signature in a commit's object begins; None: there is none."""
    head, _, _ = body.partition(b"\n\n")
    for line in head.split(b"\n"):
        for name in (b"gpgsig ", b"gpgsig-sha256 "):
            if line.startswith(name):
                start = line.removeprefix(name)
                return next((known for known in (SSH, GPG) if start.startswith(known)), start)
    return None


def _ssh_settings(folder: Path, trust: Trust) -> tuple[str, ...]:
    lines = [f'{key.name} namespaces="git" {key.ssh_key}\n' for key in trust.keys if key.ssh_key is not None]
    allowed = folder / "allowed_signers"
    allowed.write_text("".join(lines), encoding="ascii")
    return ("-c", "gpg.ssh.program=ssh-keygen", "-c", f"gpg.ssh.allowedSignersFile={allowed}")


def _gpg_settings(folder: Path, trust: Trust) -> tuple[str, ...]:
    (folder / "gpg.conf").write_text(_GPG_CONF, encoding="ascii")
    (folder / "common.conf").write_text("# no daemons\n", encoding="ascii")  # without it newer ones start keyboxd
    for key in trust.keys:
        if key.gpg_key is not None:
            done = _tool(("gpg", "--quiet", "--import"), key.gpg_key.encode(), {"GNUPGHOME": str(folder)})
            if done.returncode != 0:
                why = _last_line(done.stderr.decode("utf-8", "replace"))
                raise SourceError(f"the key of {key.name} could not be given to gpg: {why}")
    return ("-c", "gpg.program=gpg", "-c", "gpg.minTrustLevel=undefined")


def _ssh_verdict(said: str, status: int, trust: Trust) -> Signature:
    good, stranger = _SSH_GOOD.search(said), _SSH_STRANGER.search(said)
    if status == 0 and good is not None:
        return _known(good["key"], trust)
    if stranger is not None:
        return _known(stranger["key"], replace(trust, keys=()))
    return Signature(signer=None, reason=f"its ssh signature does not hold: {_last_line(said)}")


def _gpg_verdict(said: str, status: int, trust: Trust) -> Signature:
    words = {match["word"]: match["rest"].split() for match in _STATUS.finditer(said)}
    denied = next((why for word, why in _GPG_DENIED.items() if word in words), None)
    if denied is not None:
        return Signature(signer=None, reason=f"its gpg signature does not count: {denied}")
    valid = words.get("VALIDSIG")
    if status == 0 and valid and "GOODSIG" in words:
        return _known(valid[-1], trust)
    missing = words.get("ERRSIG")
    if missing:
        return _known(missing[-1], replace(trust, keys=()))
    return Signature(signer=None, reason=f"its gpg signature does not hold: {_last_line(said)}")


def _known(key_id: str, trust: Trust) -> Signature:
    signer = next((key for key in trust.keys if key.key_id == key_id), None)
    if signer is not None:
        return Signature(signer=signer, reason=f"signed by {signer.name} ({key_id})")
    why = trust.refused.get(key_id, "which is no trusted signer's")
    return Signature(signer=None, reason=f"it is signed with the key {key_id}: {why}")


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing was said about it"


def signed(body: bytes, key: Path) -> bytes:
    """Give a commit's object with our ssh signature in it. `CommitError` where the key does not sign."""
    finished = _tool(("ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(key)), body, {})
    if finished.returncode != 0 or not finished.stdout.startswith(SSH):
        raise CommitError(
            f"the report could not be signed with {key}: {_last_line(finished.stderr.decode('utf-8', 'replace'))}; "
            "see SigningKey in the host settings"
        )
    head, _, message = body.partition(b"\n\n")
    lines = finished.stdout.rstrip(b"\n").replace(b"\n", b"\n ")
    return head + b"\ngpgsig " + lines + b"\n\n" + message


def own_signer(key: Path) -> Signer:
    """Give the public side of the key we sign with. `SettingsError` where it is none that works without a question."""
    remedy = (
        "give SigningKey in the host settings an ssh key without a passphrase, or the .pub file of one in the agent"
    )
    try:
        text = key.read_text(encoding="ascii", errors="replace")
    except OSError as exc:
        raise SettingsError(f"{key}: the key that signs reports cannot be read ({exc.strerror}); {remedy}") from exc
    if _PUBLIC_KEY.match(text) is None:
        finished = _tool(("ssh-keygen", "-y", "-P", "", "-f", str(key)), b"", {})
        text = finished.stdout.decode("ascii", "replace")
        if finished.returncode != 0 or _PUBLIC_KEY.match(text) is None:
            why = _last_line(finished.stderr.decode("utf-8", "replace"))
            raise SettingsError(f"{key}: the key that signs reports cannot be used ({why}); {remedy}")
    public = " ".join(text.split()[:2])
    return Signer(name="this-host", key_id=ssh_fingerprint(public), ssh_key=public)


def _tool(argv: tuple[str, ...], stdin: bytes, more: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run gpg or ssh-keygen to its end: no terminal, no questions, a clean environment, a limit."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK") if name in os.environ}
    environment = kept | {"LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"} | dict(more)
    try:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            check=False,
            env=environment,
            timeout=_TOOL_SECONDS,
            start_new_session=True,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, b"", f"{argv[0]} is not installed".encode())
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, b"", f"{argv[0]} took longer than {_TOOL_SECONDS} s".encode())
