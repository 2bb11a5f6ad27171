"""Who may write: one lease on `refs/reconciler/lease`, taken by compare-and-swap; its epoch rises with every new holder.

The lease keeps writers apart while all is well. What keeps a paused old leader from acting is the epoch: nodes refuse
a lower one than they have seen.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.commit.json_blob import Held as HeldBlob
from reconciler.commit.json_blob import instant_of, read_held, swap
from reconciler.errors import CommitError, LeaseLost, SourceError
from reconciler.model.epoch import MOST_EPOCHS
from reconciler.source.records import Remote
from reconciler.source.repository import LEASE_REF, Repository

NOBODY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads, since which change of leaders, until when."""

    holder: str
    """`HOST:STATE_FOLDER`; empty: let go."""
    epoch: int
    expires: datetime

    def is_free_for(self, holder: str, now: datetime) -> bool:
        """Whether `holder` may have it: it is theirs, nobody's, or has expired."""
        return self.holder in {holder, NOBODY} or self.expires <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """We lead."""

    lease: Lease
    confirmed: bool
    """False: the remote could not be asked, and the nodes' epochs decide."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBy:
    """Somebody else leads: only observe."""

    lease: Lease
    reason: str


def holder_name(host: str, state_dir: Path) -> str:
    """Name a holder: one state folder on one host."""
    return f"{host}:{state_dir}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseKeeper:
    """Takes, renews and releases the lease of one remote for one holder."""

    repository: Repository
    remote: Remote
    holder: str
    reports: tuple[str, ...] = ()
    """Refs that are asked for with the lease: who let go of it had pushed there before."""

    def acquire(self, now: datetime, ttl: timedelta, *, at_least: int = 1, take_over: bool = False) -> Held | HeldBy:
        """Take or renew the lease until `now + ttl`.

        `at_least` is the highest epoch seen on nodes: ours is never lower. `take_over` takes it from whoever has it,
        with a new epoch. A remote that cannot be reached leaves the lease to who last had it, unconfirmed. Raises
        `CommitError` where no epoch is left: nothing is written that nobody could read.
        """
        try:
            self.repository.fetch(self.remote, (LEASE_REF, *self.reports))
            seen = read_held(self.repository, self.remote, LEASE_REF, fetch=False)
        except SourceError as exc:
            return self._unconfirmed(now, ttl, at_least, str(exc))
        current = lease_of(seen)
        if current is not None and not take_over and not current.is_free_for(self.holder, now):
            return self._somebody_else(current)
        wanted = self._wanted(current, now + ttl, at_least, take_over=take_over)
        if wanted.epoch > MOST_EPOCHS:
            raise CommitError(
                f"no epoch is left above {MOST_EPOCHS}: stop every daemon of this fleet, remove the file of its name in "
                f"/var/lib/reconciler/epochs on its nodes, and the lease: git update-ref -d {LEASE_REF}"
            )
        try:
            result = swap(self.repository, self.remote, LEASE_REF, _json(wanted), seen.blob)
        except CommitError as exc:
            return self._unconfirmed(now, ttl, at_least, str(exc))
        if result.accepted:
            return Held(lease=wanted, confirmed=True, reason=_how(current, wanted))
        return self._lost_the_race(now, ttl, at_least, result.reason)

    def renew(self, held: Held, now: datetime, ttl: timedelta) -> Held:
        """Hold on for another `ttl`; `LeaseLost` where somebody else took it meanwhile."""
        match self.acquire(now, ttl, at_least=held.lease.epoch):
            case HeldBy() as other:
                raise LeaseLost(other.reason)
            case Held(confirmed=True) as again if held.confirmed and again.lease.epoch != held.lease.epoch:
                raise LeaseLost(
                    f"the lease changed hands since epoch {held.lease.epoch}; we have it again with epoch "
                    f"{again.lease.epoch}, and begin a new pass with it"
                )
            case Held() as again:
                return again

    def release(self, held: Held, now: datetime) -> None:
        """Let go, keeping the epoch's count; somebody else's lease is left alone, an unreachable remote lets it expire."""
        try:
            seen = read_held(self.repository, self.remote, LEASE_REF)
            current = lease_of(seen)
            if current is not None and (current.holder, current.epoch) == (self.holder, held.lease.epoch):
                swap(
                    self.repository,
                    self.remote,
                    LEASE_REF,
                    _json(replace(current, holder=NOBODY, expires=now)),
                    seen.blob,
                )
        except (SourceError, CommitError):
            return

    def clear(self, now: datetime, *, at_least: int = 1) -> Lease:
        """Let go for whoever holds it, or replace what is no lease: by a person's word alone."""
        seen = read_held(self.repository, self.remote, LEASE_REF)
        try:
            current = lease_of(seen)
        except CommitError:
            current = None
        epoch = max(at_least, 1 if current is None else current.epoch)
        free = Lease(holder=NOBODY, epoch=epoch, expires=now)
        result = swap(self.repository, self.remote, LEASE_REF, _json(free), seen.blob)
        if not result.accepted:
            raise CommitError(f"the lease could not be released: {result.reason}")
        return free

    def look(self) -> Lease | None:
        """Tell who leads, without wanting to."""
        return lease_of(read_held(self.repository, self.remote, LEASE_REF))

    def _wanted(self, current: Lease | None, expires: datetime, at_least: int, *, take_over: bool) -> Lease:
        epoch = 0 if current is None else current.epoch
        if current is None or current.holder != self.holder or take_over:
            epoch += 1
        return Lease(holder=self.holder, epoch=max(epoch, at_least, 1), expires=expires)

    def _unconfirmed(self, now: datetime, ttl: timedelta, at_least: int, why: str) -> Held | HeldBy:
        try:
            last = lease_of(read_held(self.repository, self.remote, LEASE_REF, fetch=False))
        except (SourceError, CommitError):
            last = None
        if last is not None and not last.is_free_for(self.holder, now):
            return self._somebody_else(last)
        lease = self._wanted(last, now + ttl, at_least, take_over=False)
        if last is not None and last.holder != self.holder:
            # It was let go or ran out when we last looked: nobody can tell who took it since, so no new epoch is made up.
            lease = replace(lease, epoch=max(last.epoch, at_least, 1))
        reason = f"the lease could not be confirmed ({why}): going on with epoch {lease.epoch}, the nodes decide"
        return Held(lease=lease, confirmed=False, reason=reason)

    def _lost_the_race(self, now: datetime, ttl: timedelta, at_least: int, why: str) -> Held | HeldBy:
        try:
            winner = self.look()
        except SourceError as exc:
            return self._unconfirmed(now, ttl, at_least, str(exc))
        if winner is None or winner.is_free_for(self.holder, now):
            return self._unconfirmed(now, ttl, at_least, f"{self.remote.address.shown} refused it: {why}")
        return self._somebody_else(winner)

    def _somebody_else(self, lease: Lease) -> HeldBy:
        until = lease.expires.isoformat(timespec="seconds")
        return HeldBy(lease=lease, reason=f"{lease.holder} leads with epoch {lease.epoch} until {until}")


def _how(before: Lease | None, now: Lease) -> str:
    if before is None:
        return f"nobody led: taken with epoch {now.epoch}"
    if before.holder == now.holder and before.epoch == now.epoch:
        return f"renewed with epoch {now.epoch}"
    if before.holder == NOBODY:
        return f"the last holder let go: taken with epoch {now.epoch}"
    return f"taken over from {before.holder} with epoch {now.epoch}"


def _json(lease: Lease) -> dict[str, str | int]:
    return {"epoch": lease.epoch, "expires": lease.expires.astimezone(UTC).isoformat(), "holder": lease.holder}


def lease_of(held: HeldBlob) -> Lease | None:
    """Read a lease; None: there is none. `CommitError` where something else stands in its place."""
    if held.blob is None:
        return None
    holder, epoch, expires = (held.value.get(key) for key in ("holder", "epoch", "expires"))
    try:
        until = instant_of(expires)
        if not isinstance(holder, str) or until is None or type(epoch) is not int or not 1 <= epoch <= MOST_EPOCHS:
            raise ValueError(held.trouble or "a field is missing or wrong")  # noqa: TRY301  one message for every way to be wrong
    except ValueError as exc:
        remedy = f"see who writes there, then remove it: git update-ref -d {LEASE_REF}"
        raise CommitError(f"{LEASE_REF} holds no lease ({exc}); {remedy}") from exc
    return Lease(holder=holder, epoch=epoch, expires=until)
