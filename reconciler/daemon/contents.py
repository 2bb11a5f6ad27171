"""What documents download, for passes, plans and commands of this host: the one store, and who may be asked for what."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from reconciler.compliance.write import VERSION, lines
from reconciler.content.egress import Egress
from reconciler.content.fetches import Fetches
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.package_signers import PackageSigners
from reconciler.content.resolve import MOST_ROUNDS, Committed, Found, ReadState, Resolver, no_state
from reconciler.content.store import Store
from reconciler.ids import CommitId
from reconciler.model.desired import DesiredState
from reconciler.plan.ground import Ground, sources_of, with_contents
from reconciler.settings import HostSettings

T = TypeVar("T")


class Contents:
    """Opens a resolver for each pass: what a mutable source comes to is asked anew each time, and once in a pass."""

    def __init__(
        self,
        folder: Path,
        settings: HostSettings,
        read_file: Callable[[CommitId, str], bytes | None],
        clock: Callable[[], datetime],
        *,
        checkout: ReadState = no_state,
    ) -> None:
        """Keep what is fetched below `folder`. `checkout` reads files where no commit is in force."""
        self._store = Store(folder)
        self._egress = Egress(allowed=settings.egress)
        self._secrets = HostSecrets(known={secret.name: secret for secret in settings.secrets})
        self._known_hosts = settings.known_hosts
        self._read_file = read_file
        self._checkout = checkout
        self._fetches = Fetches()
        self._signers = PackageSigners(settings.package_signers, clock)

    def close(self) -> None:
        """Let go of servers that have not answered; safe to call twice."""
        self._fetches.close()

    def settled(self, base: Ground, now: datetime, *, patience: float | None = None) -> tuple[Ground, tuple[str, ...]]:
        """Fetch what the associations of `base` download; gives it with them rendered, and what could not be refreshed.

        `patience`: seconds after which it goes on without servers that have not answered; None waits for every server.
        """
        if not sources_of(base):
            return base, ()
        resolver = self._resolver(base.desired, patience)
        settled = base
        for _ in range(MOST_ROUNDS):
            settled = with_contents(base, resolver.contents)
            wanted = sources_of(settled)
            if not wanted:
                break
            resolver.look(wanted)
        resolver.prune(now)
        told = lines({"version": VERSION, "sources": resolver.contents.fields()})
        return replace(settled, downloads=told), tuple(resolver.problems)

    def recalled(self, base: Ground, committed: bytes | None) -> Ground:
        """Render what the last committed pass has looked at; fetches nothing."""
        return with_contents(
            base, Committed(committed, self._store, self._state_file(base.desired), self._signers.judge)
        )

    def settle(self, desired: DesiredState, attempt: Callable[[Found], T]) -> T:
        """Do what needs contents that only the attempt itself names. Raises ContentUnknown where that does not end."""
        return self._resolver(desired, None).settle(attempt)

    def read(self, sha256: str) -> bytes:
        """Give a file that was fetched. Raises SourceError where it is gone, or was changed."""
        return self._store.read(sha256)

    def _resolver(self, desired: DesiredState, patience: float | None) -> Resolver:
        return Resolver(
            self._store,
            self._egress,
            self._secrets,
            known_hosts=self._known_hosts,
            state_file=self._state_file(desired),
            fetches=self._fetches,
            patience=patience,
            vouch=self._signers.judge,
        )

    def _state_file(self, desired: DesiredState) -> ReadState:
        """Give what reads files of the commit that `desired` is."""

        def read(path: str) -> bytes | None:
            return self._checkout(path) if desired.commit is None else self._read_file(desired.commit, path)

        return read
