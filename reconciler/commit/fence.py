"""Keeps a leader of the past from publishing: compares our epoch with the lease a place was last seen to hold."""

from reconciler.commit.json_blob import read_held
from reconciler.commit.lease import lease_of
from reconciler.errors import LeaseLost
from reconciler.source.records import Remote
from reconciler.source.repository import LEASE_REF, Repository


def check_epoch(repository: Repository, place: Remote, epoch: int) -> None:
    """Raise `LeaseLost` where the lease, as last fetched, has a higher epoch than ours."""
    lease = lease_of(read_held(repository, place, LEASE_REF, fetch=False))
    if lease is not None and lease.epoch > epoch:
        who = lease.holder or "another holder"
        raise LeaseLost(f"{who} leads with epoch {lease.epoch}; what we made with epoch {epoch} is not published")
