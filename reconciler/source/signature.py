"""Signatures of commits: is this one signed by a key that counts, and our own signature under what we write.

Git hands the signed bytes to ssh-keygen or gpg, with keys written afresh for every question. The date in a commit decides
nothing: keys that do not count now are not among them.
"""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from reconciler.errors import CommitError, SettingsError, SourceError
from reconciler.ids import CommitId
from reconciler.model.reading.public_keys import ssh_fingerprint
from reconciler.model.signer import Signer
from reconciler.source.git_process import GitProcess
from reconciler.source.signature_tools import (
    GPG,
    SSH,
    Signature,
    fill_gpg_home,
    gpg_verdict,
    last_line,
    run_tool,
    ssh_verdict,
    write_allowed_signers,
)
from reconciler.source.trust import Trust

NAMESPACE = "git"
"""What git signs commits for."""
_PUBLIC_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}")


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
    if kind == SSH:
        return ssh_verdict(said, finished.status, trust, NAMESPACE)
    return gpg_verdict(said, finished.status, trust)


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
    allowed = write_allowed_signers(folder, trust, NAMESPACE)
    return ("-c", "gpg.ssh.program=ssh-keygen", "-c", f"gpg.ssh.allowedSignersFile={allowed}")


def _gpg_settings(folder: Path, trust: Trust) -> tuple[str, ...]:
    fill_gpg_home(folder, trust)
    return ("-c", "gpg.program=gpg", "-c", "gpg.minTrustLevel=undefined")


def signed(body: bytes, key: Path) -> bytes:
    """Give a commit's object with our ssh signature in it. `CommitError` where the key does not sign."""
    finished = run_tool(("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)), body, {})
    if finished.returncode != 0 or not finished.stdout.startswith(SSH):
        raise CommitError(
            f"the report could not be signed with {key}: {last_line(finished.stderr.decode('utf-8', 'replace'))}; "
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
        finished = run_tool(("ssh-keygen", "-y", "-P", "", "-f", str(key)), b"", {})
        text = finished.stdout.decode("ascii", "replace")
        if finished.returncode != 0 or _PUBLIC_KEY.match(text) is None:
            why = last_line(finished.stderr.decode("utf-8", "replace"))
            raise SettingsError(f"{key}: the key that signs reports cannot be used ({why}); {remedy}")
    public = " ".join(text.split()[:2])
    return Signer(name="this-host", key_id=ssh_fingerprint(public), ssh_key=public)
