"""THE rule: is the host key that a node shows one that state/known_hosts pins for it, itself or through an authority.

Takes a node, its pins, the key shown and the certificate it came in, if any, and the moment; raises HostKeyUnknown or
HostKeyMismatch in words, with the fingerprints and the remedy. It asks nobody and writes nothing: a new key is accepted by a
reviewed commit alone.
"""

from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import HostKeyMismatch, HostKeyUnknown
from reconciler.model.node import Node
from reconciler.transport.host_certificate import HostCertificate, certificate_trouble
from reconciler.transport.host_ssh import JUMP
from reconciler.transport.known_hosts import HostKey, Pins


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server proved to hold: a key, and the certificate that the key came in."""

    key: HostKey
    certificate: HostCertificate | None = None


def check_host_key(node: Node, pins: Pins, shown: Shown, now: datetime) -> None:
    """Raise unless the key shown is pinned for the node, or certified for it, and not revoked."""
    check_is_pinned(node, pins)
    is_revoked = shown.key in pins.revoked
    if not is_revoked:
        if shown.key in pins.keys:
            return
        if pins.authorities:
            _check_certificate(node, pins, shown, now)
            return
    # In words only now: every exchange with every node comes by here.
    seen = f"the node shows {shown.key.fingerprint} ({shown.key.type})"
    if is_revoked:
        problem = f"host key revoked: {seen}, which state/known_hosts marks @revoked; {_remedy(node)}"
        raise HostKeyMismatch(node.id, problem)
    pinned = ", ".join(f"{key.fingerprint} ({key.type})" for key in pins.keys)
    problem = f"host key changed: pinned {pinned}, {seen}; if the change is intended, {_remedy(node)}"
    raise HostKeyMismatch(node.id, problem)


def _check_certificate(node: Node, pins: Pins, shown: Shown, now: datetime) -> None:
    certificate = shown.certificate
    if certificate is None:
        trusted = ", ".join(key.fingerprint for key in (*pins.keys, *pins.authorities))
        problem = (
            f"the node shows a bare host key, {shown.key.fingerprint} ({shown.key.type}), and state/known_hosts trusts "
            f"{trusted}: set HostCertificate in its sshd_config, or {_remedy(node)}"
        )
        raise HostKeyMismatch(node.id, problem)
    if trouble := certificate_trouble(certificate, pins, now):
        problem = (
            f"host certificate refused (key id {certificate.key_id[:80]!r}, serial {certificate.serial}): {trouble}"
        )
        raise HostKeyMismatch(node.id, problem)


def check_is_pinned(node: Node, pins: Pins) -> None:
    """Raise unless any key or authority is pinned for the node; asked before anything is sent."""
    if pins.keys or pins.authorities:
        return
    why = ""
    if pins.shared_address is not None:
        why = f" by its id, and its address {pins.shared_address} is also another node's, behind another gateway"
    raise HostKeyUnknown(node.id, f"no host key is pinned for this node{why}: {_remedy(node)}")


def _remedy(node: Node) -> str:
    if node.id.startswith(JUMP):
        return f"compare its key and write it into state/known_hosts: `ssh-keyscan {node.address}` ({node.file})"
    return f"update state/known_hosts: `reconciler node scan-keys {node.id}`"
