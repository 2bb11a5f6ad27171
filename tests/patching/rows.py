"""Patches, notices and installed packages in a few words, for tests."""

from datetime import UTC, datetime
from typing import Any

from reconciler.model.patch import Family, Index, Installed, Notice, Patch
from reconciler.patching.ledger import Ledger, LedgerFinding
from reconciler.patching.ledger_files import write_ledger
from reconciler.patching.ledger_history import LedgerChange, followed

SECURITY = Index(
    repository="mirror.example",
    origin="Debian",
    label="Debian-Security",
    suite="oldstable-security",
    codename="bookworm-security",
    component="main",
)
MAIN = Index(
    repository="mirror.example",
    origin="Debian",
    label="Debian",
    suite="oldstable",
    codename="bookworm",
    component="main",
)
BASEOS = Index(repository="baseos")


def a_notice(**given: Any) -> Notice:
    defaults: dict[str, Any] = {
        "id": "RHSA-2024:1234",
        "classification": "security",
        "severity": "Important",
        "issued": at("2024-03-01"),
    }
    return Notice(**defaults | given)


def a_deb(name: str = "bash", version: str = "5.2.15-2+deb12u1", **given: Any) -> Patch:
    defaults: dict[str, Any] = {
        "family": Family.APT,
        "arch": "amd64",
        "section": "shells",
        "priority": "required",
        "checksum": f"sha256:{name}-{version}",
        "indexes": (SECURITY,),
    }
    return Patch(name=name, version=version, **defaults | given)


def an_rpm(name: str = "bash", version: str = "5.1.8-7.el9", *notices: Notice, **given: Any) -> Patch:
    defaults: dict[str, Any] = {
        "family": Family.RPM,
        "arch": "x86_64",
        "checksum": f"sha256:{name}-{version}",
        "indexes": (BASEOS,),
    }
    return Patch(name=name, version=version, notices=notices, **defaults | given)


def installed(name: str = "bash", version: str = "5.2.15-2", **given: Any) -> Installed:
    return Installed(name=name, version=version, **{"arch": "amd64"} | given)


def rewritten(known: Ledger, read: Ledger, known_at: datetime) -> tuple[Ledger, tuple[LedgerFinding, ...]]:
    """Follow a ledger through one commit that makes `read` of it, line by line as git tells it."""
    before, after = _lines(known), _lines(read)
    paths = {*before, *after}
    change = LedgerChange(
        known_at=known_at,
        removed={path: sorted(before.get(path, set()) - after.get(path, set())) for path in paths},
        added={path: sorted(after.get(path, set()) - before.get(path, set())) for path in paths},
    )
    return followed(known, [change])


def _lines(ledger: Ledger) -> dict[str, set[str]]:
    return {path: set(data.decode().splitlines()) for path, data in write_ledger(ledger).items()}


def at(text: str) -> datetime:
    """Read an instant; without a zone it is UTC."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
