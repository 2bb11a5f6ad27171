"""ssh-keygen and gpg: how they are run, the keys they are given, and what they say of a signature. For commits and for files alike.

The keys they know are those of `Trust` alone, in a folder that nobody else reads. No agent, no keyring and no settings of a
user are read.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.model.signer import Signer
from reconciler.source.trust import Trust

SSH, GPG = b"-----BEGIN SSH SIGNATURE-----", b"-----BEGIN PGP"
PRINCIPAL = "signer"
"""What every ssh key of a list is called there: whose it is, its fingerprint tells."""
_TOOL_SECONDS = 30
"""For ssh-keygen and gpg on a few kilobytes; an agent that waits for a touch of its key is not waited for longer."""
_GPG_CONF = "batch\nno-tty\nno-autostart\nno-auto-key-retrieve\nno-auto-key-import\ntrust-model always\nno-greeting\n"
_KEY = r"\S+ key (?P<key>SHA256:[A-Za-z0-9+/]+)"
_STATUS = re.compile(r"^\[GNUPG:\] (?P<word>[A-Z_]+)(?P<rest>.*)$", re.MULTILINE)
_GPG_DENIED = {
    "EXPKEYSIG": "the key itself has expired",
    "REVKEYSIG": "the key itself is revoked",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the signature does not fit what is signed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What is known of who signed something."""

    signer: Signer | None
    """None: nobody whose signature counts."""
    reason: str
    """In words: who, or why it does not count."""


def write_allowed_signers(folder: Path, trust: Trust, namespace: str) -> Path:
    """Write the list of ssh keys that count, for signatures of one namespace; gives the file."""
    lines = [f'{PRINCIPAL} namespaces="{namespace}" {key.ssh_key}\n' for key in trust.keys if key.ssh_key is not None]
    allowed = folder / "allowed_signers"
    allowed.write_text("".join(lines), encoding="ascii")
    return allowed


def fill_gpg_home(folder: Path, trust: Trust) -> None:
    """Make a folder a gpg home with the gpg keys that count. Raises SourceError where gpg does not take one."""
    (folder / "gpg.conf").write_text(_GPG_CONF, encoding="ascii")
    (folder / "common.conf").write_text("# no daemons\n", encoding="ascii")  # without it newer ones start keyboxd
    for key in trust.keys:
        if key.gpg_key is not None:
            done = run_tool(("gpg", "--quiet", "--import"), key.gpg_key.encode(), {"GNUPGHOME": str(folder)})
            if done.returncode != 0:
                why = last_line(done.stderr.decode("utf-8", "replace"))
                raise SourceError(f"the key of {key.name} could not be given to gpg: {why}")


def ssh_verdict(said: str, status: int, trust: Trust, namespace: str) -> Signature:
    """Take what ssh-keygen said of a signature."""
    good = re.search(rf'Good "{re.escape(namespace)}" signature for \S+ with {_KEY}', said)
    stranger = re.search(rf'Good "{re.escape(namespace)}" signature with {_KEY}', said)
    if status == 0 and good is not None:
        return _known(good["key"], trust)
    if stranger is not None:
        return _known(stranger["key"], replace(trust, keys=()))
    return Signature(signer=None, reason=f"its ssh signature does not hold: {last_line(said)}")


def gpg_verdict(said: str, status: int, trust: Trust) -> Signature:
    """Take the status lines that gpg wrote of a signature."""
    words = {match["word"]: match["rest"].split() for match in _STATUS.finditer(said)}
    denied = next((why for word, why in _GPG_DENIED.items() if word in words), None)
    if denied is not None:
        return Signature(signer=None, reason=f"its gpg signature does not count: {denied}")
    valid = words.get("VALIDSIG")
    if status == 0 and valid and "GOODSIG" in words:
        return _known(valid[-1], trust)
    missing = words.get("ERRSIG")
    if missing and missing[-1] != "-":  # so gpg says that it found no key in it
        return _known(missing[-1], replace(trust, keys=()))
    return Signature(signer=None, reason=f"its gpg signature does not hold: {last_line(said)}")


def _known(key_id: str, trust: Trust) -> Signature:
    signer = next((key for key in trust.keys if key.key_id == key_id), None)
    if signer is not None:
        return Signature(signer=signer, reason=f"signed by {signer.name} ({key_id})")
    why = trust.refused.get(key_id, "which is no trusted signer's")
    return Signature(signer=None, reason=f"it is signed with the key {key_id}: {why}")


def last_line(said: str) -> str:
    """Give what a tool said last, for messages."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing was said about it"


def run_tool(argv: tuple[str, ...], stdin: bytes, more: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
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
