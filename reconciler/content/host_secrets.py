"""Secrets of the management host that downloads may use: each is a file, and names the hosts it may be shown to.

The binding is the host's, not the repository's: a pull request that sends a token to another server gains nothing.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.documents.content import Credential
from reconciler.errors import SourceError
from reconciler.model.host_secret import HostSecret
from reconciler.model.secret import Secret

_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSecrets:
    """All of them, by name. Nothing is read before it is needed."""

    known: Mapping[str, HostSecret]

    def reveal(self, credential: Credential, host: str) -> Secret:
        """Give a credential's value for `host`. Raises SourceError where there is none, or not for this host."""
        if not credential.secret:
            return Secret(credential.literal)
        return Secret(_read(self.file(credential, host)).rstrip("\r\n"))

    def has(self, name: str, host: str) -> bool:
        """Tell whether there is a secret of this name for `host`."""
        secret = self.known.get(name)
        return secret is not None and host.lower() in secret.hosts

    def file(self, credential: Credential, host: str) -> Path:
        """Give the file that holds a secret meant for `host`."""
        name = credential.secret
        secret = self.known.get(name) or self.known.get(name.removeprefix("/"))
        if secret is None:
            raise SourceError(f"this host has no secret {name}: add it to the host settings (Downloads, Secrets)")
        if host.lower() not in secret.hosts:
            raise SourceError(
                f"the secret {name} is not for {host}: the host settings name the hosts it may be shown to"
            )
        return secret.file


def _read(file: Path) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SourceError(f"the secret's file {file} must be a plain file that nobody else can read: chmod 600")
            data = opened.read(_MOST_BYTES + 1)
    except OSError as exc:
        raise SourceError(f"the secret's file {file} cannot be read: {exc.strerror}") from exc
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise SourceError(f"the secret's file {file} is not UTF-8") from exc
    if not text.strip() or len(data) > _MOST_BYTES:
        raise SourceError(f"the secret's file {file} is empty, or too long for a secret")
    return text
