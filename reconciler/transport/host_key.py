"""THE rule: is the host key that a node shows one that state/known_hosts pins for it.

Takes a node, its pins and the key shown; raises HostKeyUnknown or HostKeyMismatch in words, with both fingerprints and the
remedy. It asks nobody and writes nothing: a new key is accepted by a reviewed commit alone.
"""

from reconciler.errors import HostKeyMismatch, HostKeyUnknown
from reconciler.model.node import Node
from reconciler.transport.known_hosts import HostKey, Pins


def check_host_key(node: Node, pins: Pins, shown: HostKey) -> None:
    """Raise unless `shown` is pinned for the node and not revoked."""
    check_is_pinned(node, pins)
    seen = f"the node shows {shown.fingerprint} ({shown.type})"
    if shown in pins.revoked:
        raise HostKeyMismatch(
            node.id, f"host key revoked: {seen}, which state/known_hosts marks @revoked; {_remedy(node)}"
        )
    if shown not in pins.keys:
        pinned = ", ".join(f"{key.fingerprint} ({key.type})" for key in pins.keys)
        raise HostKeyMismatch(
            node.id, f"host key changed: pinned {pinned}, {seen}; if the change is intended, {_remedy(node)}"
        )


def check_is_pinned(node: Node, pins: Pins) -> None:
    """Raise unless any key is pinned for the node; asked before anything is sent."""
    if pins.keys:
        return
    if pins.authorities:
        raise HostKeyUnknown(
            node.id,
            f"only a @cert-authority line fits this node, which is not supported yet: pin the key itself, "
            f"{_remedy(node)}",
        )
    raise HostKeyUnknown(node.id, f"no host key is pinned for this node: {_remedy(node)}")


def _remedy(node: Node) -> str:
    return f"update state/known_hosts: `reconciler node scan-keys {node.id}`"
