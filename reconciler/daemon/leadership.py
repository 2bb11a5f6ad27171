"""Whether this process leads: keeps the lease between passes, and renews it past half its time."""

import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from reconciler.commit.lease import Held, HeldBy, LeaseKeeper, holder_name
from reconciler.commit.places import Places
from reconciler.model.fleet import Fleet
from reconciler.source.repository import Repository

LEASE_INTERVALS = 3
"""A lease outlives two missed passes: a restart of the daemon must not hand the fleet to another one."""


class Leadership:
    """The lease of one repository, held by one state folder of this host. For one thread."""

    def __init__(self, repository: Repository, *, state_dir: Path, clock: Callable[[], datetime]) -> None:
        self._repository = repository
        self.holder = holder_name(socket.gethostname(), state_dir)
        self._clock = clock
        self._lease: Held | None = None
        self._places: Places | None = None

    def lead(self, places: Places, fleet: Fleet) -> Held | HeldBy:
        """Take or renew the lease for the next passes, or say who has it."""
        ttl = fleet.interval * LEASE_INTERVALS + (fleet.pass_wait or fleet.interval)
        now, held = self._clock(), self._lease
        if held is not None and held.confirmed and held.lease.expires - now > ttl / 2 and places == self._places:
            # Ours for long enough. Who took it from us meanwhile is met at the push, and by the nodes' epochs before that.
            return held
        verdict = self._keeper(places).acquire(now, ttl)
        self._lease = verdict if isinstance(verdict, Held) else None
        self._places = places
        return verdict

    def let_go(self) -> None:
        """Release the lease, if we hold it; safe to call twice."""
        if self._lease is not None and self._places is not None:
            self._keeper(self._places).release(self._lease, self._clock())
            self._lease = None

    def _keeper(self, places: Places) -> LeaseKeeper:
        return LeaseKeeper(repository=self._repository, remote=places.lease, holder=self.holder)
