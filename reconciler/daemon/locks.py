"""Every lock that can keep this host from acting: the lease, our state folder, our clone, the nodes' own. Lists, and lets go."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from reconciler.commit.lease import NOBODY, Lease
from reconciler.commit.state_folder import served_by, written_by
from reconciler.compliance.encode import instant
from reconciler.daemon.controller import Controller
from reconciler.errors import CommitError, NodeError, SourceError, UsageError
from reconciler.ids import NodeId
from reconciler.model.node import Become
from reconciler.rollout.node_lock import NodeLock, look_at_lock
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """What is locked, at one instant."""

    lease: Lease | None
    lease_words: str
    daemon: str | None
    """Who serves from our state folder."""
    writer: str | None
    """Who makes a pass from it now."""
    clone: tuple[str, ...]
    """Lock files that lie in our clone."""
    nodes: tuple[NodeLock, ...]
    silent: Mapping[NodeId, str]
    """Nodes that could not be asked, and why."""

    def in_words(self) -> Iterator[str]:
        """Give a line for each."""
        yield f"lease: {self.lease_words}"
        yield f"state folder: {self.daemon or 'no daemon'}; {self.writer or 'nobody'} writes"
        yield f"clone: {', '.join(self.clone) or 'no lock files'}"
        for lock in self.nodes:
            yield f"{lock.node}: {_holder_words(lock)}"
        for node, why in self.silent.items():
            yield f"{node}: not known: {why}"

    def as_json(self) -> Mapping[str, Any]:
        """Give it as a JSON value."""
        return {
            "lease": None if self.lease is None else _lease_json(self.lease),
            "lease_state": self.lease_words,
            "daemon": self.daemon,
            "writer": self.writer,
            "clone": list(self.clone),
            "nodes": {
                lock.node: {"held": lock.held, "association": lock.association, "run": lock.run} for lock in self.nodes
            },
            "unknown": dict(self.silent),
        }


def _lease_json(lease: Lease) -> Mapping[str, Any]:
    return {"holder": lease.holder or None, "epoch": lease.epoch, "expires": instant(lease.expires)}


def _holder_words(lock: NodeLock) -> str:
    if not lock.held:
        return "free"
    if lock.run is None:
        return "held, its holder left no name"
    return f"held by run {lock.run[:12]} of {lock.association}"


def list_locks(controller: Controller, limit: tuple[str, ...]) -> Locks:
    """Look at everything; the nodes within the limit are asked."""
    lease, words = _lease(controller)
    locks, silent = _node_locks(controller, controller.limited(limit))
    return Locks(
        lease=lease,
        lease_words=words,
        daemon=served_by(controller.state_dir),
        writer=written_by(controller.state_dir),
        clone=controller.repository.lock_files(),
        nodes=locks,
        silent=silent,
    )


def _lease(controller: Controller) -> tuple[Lease | None, str]:
    try:
        lease = controller.lease_keeper().look()
    except (CommitError, SourceError) as exc:
        return None, f"not known: {exc}"
    if lease is None:
        return None, "nobody ever led"
    if lease.holder == NOBODY:
        return lease, f"free, epoch {lease.epoch}"
    whose = "ours" if lease.holder == controller.holder else f"held by {lease.holder}"
    over = "expired at" if lease.expires <= controller.clock() else "until"
    return lease, f"{whose}, epoch {lease.epoch}, {over} {instant(lease.expires)}"


def _node_locks(controller: Controller, nodes: tuple[NodeId, ...]) -> tuple[tuple[NodeLock, ...], Mapping[NodeId, str]]:
    base, _ = controller.branches.in_force()
    connect = controller.connections.pool(base.desired).connect

    def look(name: NodeId) -> NodeLock | str:
        node = base.desired.nodes[name]
        try:
            with connect(node) as session:
                return look_at_lock(session, become=node.become is Become.SUDO)
        except NodeError as exc:
            return str(exc)

    if not nodes:
        return (), {}
    with ThreadPoolExecutor(max_workers=min(32, len(nodes)), thread_name_prefix="locks") as pool:
        found = dict(zip(nodes, pool.map(look, nodes), strict=True))
    return (
        tuple(lock for lock in found.values() if isinstance(lock, NodeLock)),
        {node: why for node, why in found.items() if isinstance(why, str)},
    )


def release_lease(controller: Controller, *, confirmed: bool) -> str:
    """Let go of the lease, for whoever holds it. Raises UsageError where that takes a person's word."""
    keeper, now = controller.lease_keeper(), controller.clock()
    try:
        lease = keeper.look()
        garbled = ""
    except CommitError as exc:
        lease, garbled = None, str(exc)
    if lease is None and not garbled:
        return "nobody leads: there is no lease"
    daemon = served_by(controller.state_dir)
    held = lease is not None and lease.holder != NOBODY and lease.expires > now
    if garbled:
        meaning = f"{garbled}: it is replaced by a free one, and its epoch is forgotten; the nodes know the last one"
    elif lease is not None and lease.holder != controller.holder:
        meaning = (
            f"{lease.holder} leads with epoch {lease.epoch}: another one may lead then, and the nodes refuse this one"
        )
    elif daemon is not None:
        meaning = f"{daemon}, leads from this state folder: it takes the lease again in its next pass"
    else:
        meaning = ""
    if meaning and (held or garbled) and not confirmed:
        raise UsageError(f"{meaning}; confirm with --yes")
    free = keeper.clear(now)
    return f"the lease is free, epoch {free.epoch}; whoever takes it leads with epoch {free.epoch + 1}"


def release_clone(controller: Controller) -> str:
    """Remove the lock files of our clone, if no other process of ours uses it. Raises UsageError where one does."""
    if not controller.repository.lock_files():
        return "there are no lock files in our clone"
    gone = controller.repository.clear_locks()
    if not gone:
        raise UsageError(
            "another process uses our clone now: its lock files are not stale; see `reconciler locks list`"
        )
    return f"removed {', '.join(gone)}"


def release_node(controller: Controller, name: str, *, confirmed: bool) -> str:
    """End what holds a node's lock. Raises UsageError where that takes a person's word; NodeError."""
    base, _ = controller.branches.in_force()
    node = base.desired.nodes.get(NodeId(name))
    if node is None:
        raise UsageError(f"no node is named {name!r}; `reconciler nodes` lists them")
    become = node.become is Become.SUDO
    with controller.connections.pool(base.desired).connect(node) as session:
        lock = look_at_lock(session, become=become)
        if not lock.held:
            return f"{node.id}: nothing holds its lock"
        if lock.run is None:
            raise UsageError(
                f"{node.id}: its holder left no name; see on the node who has the run root's file `lock` open"
            )
        if not confirmed:
            raise UsageError(
                f"{node.id}: run {lock.run[:12]} of {lock.association} is alive and holds it: releasing ends that run, and "
                "nothing it did is undone; confirm with --yes"
            )
        sight = NodeRuns(OutputKeeper(controller.outputs)).cancel(session, lock.run, become=become)
    return f"{node.id}: run {lock.run[:12]}: {sight.status or sight.standing.value}"
