"""Who vouches for packages from outside: manifests and their signatures in, the signer or the reason and the remedy out.

Keys come from the host settings alone; the state repository names none. What is judged are the bytes that were read, and nothing
is fetched. It is asked anew for every pass and command: a key that ended vouches for nothing that is still to be installed.
"""

from collections.abc import Callable
from datetime import datetime

from reconciler.documents.content import NOT_ASKED, Content, SignedManifest, Unavailable
from reconciler.model.signer import Signer
from reconciler.source.detached_signature import check_detached
from reconciler.source.trust import Trust, trusted

NAMESPACE = "reconciler-package"
"""What ssh signatures of manifests are made for: one under a commit, or for another program, is none."""
_MOST_KEPT = 1000
"""Verdicts: each spares a process or two in every pass."""


class PackageSigners:
    """Those of one host. Without any, nobody is asked for signatures."""

    def __init__(self, signers: tuple[Signer, ...], clock: Callable[[], datetime]) -> None:
        self._signers = signers
        self._clock = clock
        self._trust = Trust()
        self._judged: dict[SignedManifest, Content | Unavailable] = {}

    def judge(self, source: SignedManifest) -> Content | Unavailable:
        """Say who vouches for a manifest now, or why nobody does."""
        if not self._signers:
            return NOT_ASKED
        trust = trusted(self._signers, (), self._clock())
        if trust != self._trust or len(self._judged) >= _MOST_KEPT:
            self._trust, self._judged = trust, {}
        if source not in self._judged:
            self._judged[source] = _judge(source, trust)
        return self._judged[source]


def _judge(source: SignedManifest, trust: Trust) -> Content | Unavailable:
    if source.signature is None:
        return Unavailable(reason=f"it is not signed (host settings, PackageSigners); {_remedy(source)}")
    found = check_detached(source.manifest, source.signature, trust, namespace=NAMESPACE)
    if found.signer is None:
        return Unavailable(reason=f"{found.reason} (host settings, PackageSigners); {_remedy(source)}")
    return Content(pin=found.reason, files=())


def _remedy(source: SignedManifest) -> str:
    return (
        f"once you know what it installs, run `ssh-keygen -Y sign -n {NAMESPACE} -f KEY {source.path}` with the key of one who "
        f"counts, and commit {source.path}.sig"
    )
