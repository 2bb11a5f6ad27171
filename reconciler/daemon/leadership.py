"""Whether this process leads: keeps the lease between passes, and renews it past half its time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.commit.lease import Held, HeldBy, LeaseKeeper
from reconciler.commit.places import Places
from reconciler.commit.state_folder import is_served
from reconciler.drift.epochs import Heard
from reconciler.model.fleet import Fleet
from reconciler.reconcile import Leading
from reconciler.source.repository import Repository

LEASE_INTERVALS = 3
"""A lease outlives two missed passes: a restart of the daemon must not hand the fleet to another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Where the lease stands, and for how long it is taken."""

    places: Places
    ttl: timedelta
    longest_pass: timedelta
    """A pass that begins has at least so much of the lease left."""


class Leadership:
    """The lease of one repository, held by one state folder of this host. For one thread; `standing` is for all."""

    def __init__(self, repository: Repository, *, holder: str, state_dir: Path, clock: Callable[[], datetime]) -> None:
        self._repository = repository
        self._state_dir = state_dir
        self.holder = holder
        self._clock = clock
        self._lease: Held | None = None
        self._terms: _Terms | None = None
        self._other: HeldBy | None = None

    def lead(self, places: Places, fleet: Fleet, *, take_over: bool = False) -> Held | HeldBy:
        """Take or renew the lease for the next passes, or say who has it."""
        patience = fleet.pass_wait or fleet.interval
        terms = _Terms(
            places=places,
            ttl=fleet.interval * LEASE_INTERVALS + patience,
            longest_pass=patience + fleet.interval,
        )
        now, held = self._clock(), self._lease
        if held is not None and held.confirmed and terms == self._terms and not take_over:
            left = held.lease.expires - now
            if left > max(terms.ttl / 2, terms.longest_pass):
                # Ours for long enough. Who took it from us meanwhile is met at the push, and by the nodes' epochs before that.
                return held
        self._terms = terms
        keeper = self.keeper(places, (f"refs/heads/{fleet.reports_branch}",))
        return self._taken(keeper.acquire(now, terms.ttl, take_over=take_over))

    def above(self, heard: Heard) -> Held | HeldBy | None:
        """Lead with an epoch that nodes do not refuse, as far as they can be believed; None: we do not lead at all.

        They have heard of a higher one than ours where the remote was rebuilt without its lease, and where somebody leads
        whom we have not heard of. With the remote away the word of most of them makes us observe, and not that of a few:
        those refuse us themselves.
        """
        held, terms = self._lease, self._terms
        if held is None or terms is None:
            return held
        seen = heard.above(held.lease.epoch)
        if seen <= held.lease.epoch:
            return held
        verdict = self.keeper(terms.places).acquire(self._clock(), terms.ttl, at_least=seen + 1)
        if isinstance(verdict, Held) and not verdict.confirmed:
            if heard.of_most <= held.lease.epoch:
                return held
            self._lease = None
            lease = replace(held.lease, holder="somebody", epoch=heard.of_most)
            reason = f"nodes know a leader with epoch {heard.of_most}, ours is {held.lease.epoch}"
            self._other = HeldBy(lease=lease, reason=reason)
            return self._other
        return self._taken(verdict)

    def _taken(self, verdict: Held | HeldBy) -> Held | HeldBy:
        self._lease, self._other = (verdict, None) if isinstance(verdict, Held) else (None, verdict)
        return verdict

    @property
    def standing(self) -> Held | HeldBy | None:
        """Who leads, as of the last look; None: nobody has looked yet, or the lease was lost since. Asks nobody."""
        return self._lease or self._other

    def drop(self) -> None:
        """Note that the lease is not ours any more."""
        self._lease = None

    def let_go(self) -> None:
        """Release the lease, if we hold it and no daemon goes on with it from our state folder; safe to call twice."""
        if self._lease is not None and self._terms is not None and not is_served(self._state_dir):
            self.keeper(self._terms.places).release(self._lease, self._clock())
        self._lease = None

    def keeper(self, places: Places, reports: tuple[str, ...] = ()) -> LeaseKeeper:
        """Give who takes and releases the lease for us; `reports` are refs that it asks for as well."""
        return LeaseKeeper(repository=self._repository, remote=places.lease, holder=self.holder, reports=reports)


class PassLead:
    """Whether one pass leads: nobody does so before the lease was taken, and the nodes may know better."""

    def __init__(self) -> None:
        self.lease: Held | None = None
        self.words: tuple[str, ...] = ()
        """What a person should hear of it."""

    def take(self, verdict: Held | HeldBy | None) -> None:
        """Note what the lease, or the nodes, say."""
        match verdict:
            case HeldBy(reason=reason):
                self.lease, self.words = None, (f"{reason}: this pass only observes",)
            case Held() as lease:
                self.lease, self.words = lease, () if lease.confirmed else (lease.reason,)
            case None:
                pass

    @property
    def terms(self) -> Leading | None:
        """What a pass may act under; None: it only looks."""
        if self.lease is None:
            return None
        return Leading(epoch=self.lease.lease.epoch, until=self.lease.lease.expires if self.lease.confirmed else None)
