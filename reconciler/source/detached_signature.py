"""Signatures that lie beside a file: is it signed by a key that counts now. Bytes in, who signed them out; no file of a user is read."""

import tempfile
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.source.signature_tools import (
    GPG,
    PRINCIPAL,
    SSH,
    Signature,
    fill_gpg_home,
    gpg_verdict,
    run_tool,
    ssh_verdict,
    write_allowed_signers,
)
from reconciler.source.trust import Trust

_GPG_PACKET = 0x80
"""OpenPGP: this bit is set in the first byte of whatever is not armoured."""


def check_detached(data: bytes, signature: bytes, trust: Trust, *, namespace: str) -> Signature:
    """Judge a signature over `data`; one of ssh counts in its `namespace` alone, so that none made for something else does."""
    is_ssh = signature.startswith(SSH)
    if not is_ssh and not signature.startswith(GPG) and not signature[:1] >= bytes([_GPG_PACKET]):
        return Signature(signer=None, reason="what lies beside it is neither ssh's nor gpg's signature")
    with tempfile.TemporaryDirectory(prefix="reconciler-signers-") as made:
        folder = Path(made)
        (folder / "signature").write_bytes(signature)
        try:
            return _ssh(folder, data, trust, namespace) if is_ssh else _gpg(folder, data, trust)
        except SourceError as exc:
            return Signature(signer=None, reason=f"its signature could not be checked: {exc}")


def _ssh(folder: Path, data: bytes, trust: Trust, namespace: str) -> Signature:
    allowed = write_allowed_signers(folder, trust, namespace)
    asked = ("-n", namespace, "-s", str(folder / "signature"))
    done = run_tool(("ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", PRINCIPAL, *asked), data, {})
    if done.returncode != 0:  # whose it is, if it is one: for the message
        done = run_tool(("ssh-keygen", "-Y", "check-novalidate", *asked), data, {})
    return ssh_verdict(_said(done.stdout, done.stderr), done.returncode, trust, namespace)


def _gpg(folder: Path, data: bytes, trust: Trust) -> Signature:
    fill_gpg_home(folder, trust)
    argv = ("gpg", "--status-fd", "1", "--verify", str(folder / "signature"), "-")
    done = run_tool(argv, data, {"GNUPGHOME": str(folder)})
    return gpg_verdict(_said(done.stdout, done.stderr), done.returncode, trust)


def _said(stdout: bytes, stderr: bytes) -> str:
    return f"{stdout.decode('utf-8', 'replace')}\n{stderr.decode('utf-8', 'replace')}"
