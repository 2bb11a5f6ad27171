"""`state/signers.yaml`, and the signers of the host settings: YAML values -> Signer records; looks at no other file."""

from datetime import UTC, datetime

from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.public_keys import gpg_fingerprint, ssh_fingerprint
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Table, Value
from reconciler.model.signer import Signer


def read_signer(value: Value, mistakes: Mistakes) -> Signer | None:
    """Read one signer; None after a mistake."""
    if not check("signer", value, mistakes) or not isinstance(value, Table):
        return None
    ssh, gpg = value.scalar("SshKey"), value.scalar("GpgKey")
    if (ssh is None) == (gpg is None):
        mistakes.error(value, "a signer has one key: SshKey or GpgKey", value=value.scalar("Name"), remedy="give one")
        return None
    try:
        key_id = ssh_fingerprint(ssh) if ssh is not None else gpg_fingerprint(gpg or "")
        expires = _instant(value.scalar("Expires"))
    except ValueError as exc:
        place = value.entries["Expires" if "no day" in str(exc) else "SshKey" if ssh is not None else "GpgKey"]
        mistakes.error(
            place, f"this does not read: {exc}", remedy="give the key as its owner exports it, or a real day"
        )
        return None
    return Signer(
        name=value.scalar("Name") or "",
        key_id=key_id,
        ssh_key=None if ssh is None else " ".join(ssh.split()[:2]),
        gpg_key=gpg,
        expires=expires,
        revoked=value.flag("Revoked"),
    )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"{text} is no day of the calendar") from exc
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)
