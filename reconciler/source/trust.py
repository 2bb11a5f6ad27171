"""Whose signatures count now: signers of the host and of the last accepted commit in, keys or the reason why not out. Pure.

The instant that counts is the one of judging, never the date in a commit: whoever signs chooses that date.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.model.signer import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The keys that count at one instant."""

    keys: tuple[Signer, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint -> why a listed key does not count."""


def trusted(first: Iterable[Signer], accepted: Iterable[Signer], now: datetime) -> Trust:
    """Join the host's signers with those of the last accepted commit; who is stricter about a key is believed.

    A key counts if anybody lists it, nobody has revoked it, and every day of expiry given for it is still to come.
    """
    listed: dict[str, list[Signer]] = {}
    for signer in (*first, *accepted):
        listed.setdefault(signer.key_id, []).append(signer)
    keys: list[Signer] = []
    refused: dict[str, str] = {}
    for key_id, entries in sorted(listed.items()):
        why = _why_not(entries, now)
        if why is None:
            keys.append(entries[0])
        else:
            refused[key_id] = why
    return Trust(keys=tuple(keys), refused=refused)


def _why_not(entries: list[Signer], now: datetime) -> str | None:
    name = entries[0].name
    if any(entry.revoked for entry in entries):
        return f"the key of {name} is revoked"
    ends = min((entry.expires for entry in entries if entry.expires is not None), default=None)
    if ends is not None and ends <= now:
        return f"the key of {name} expired at {ends.astimezone(UTC).isoformat(timespec='seconds')}"
    return None
