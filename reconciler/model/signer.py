"""Whose signature counts, under a commit or a package's manifest: a public key with a name, from the host settings or from `state/signers.yaml`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One public key: exactly one of `ssh_key` and `gpg_key` is given."""

    name: str
    key_id: str
    """The key's fingerprint: `SHA256:...` of an ssh key, 40 hexadecimal digits of a gpg key. Equal ones are one key."""
    ssh_key: str | None = None
    """Type and base64, without a comment."""
    gpg_key: str | None = None
    """An armoured public key block with one primary key."""
    expires: datetime | None = None
    """From this instant on nothing that it signed is accepted any more, whatever date the commit bears; None: never."""
    revoked: bool = False
    """It counts nowhere, whoever else lists it."""
