"""The connections of this process: one pool, brought up to date with each commit that comes into force."""

from pathlib import Path
from threading import Lock

from reconciler.ids import NodeId
from reconciler.model.desired import DesiredState
from reconciler.transport.host_ssh import HostSsh
from reconciler.transport.known_hosts import parse as parse_known_hosts
from reconciler.transport.pool import ConnectionPool


class Connections:
    """Keeps the pool between passes. For several threads: passes and commands share it."""

    def __init__(self, key_directory: Path, ssh_config: Path | None) -> None:
        self._key_directory = key_directory
        self._ssh_config = ssh_config
        self._pool: ConnectionPool | None = None
        self._of: DesiredState | None = None
        self._lock = Lock()

    def pool(self, desired: DesiredState) -> ConnectionPool:
        """Give the connections, brought up to what this commit says about nodes and keys."""
        with self._lock:
            return self._brought_up_to(desired)

    def _brought_up_to(self, desired: DesiredState) -> ConnectionPool:
        if self._pool is not None and self._is_of(desired):
            return self._pool
        self._of = desired
        known_hosts = parse_known_hosts(desired.known_hosts)
        if self._pool is None:
            self._pool = ConnectionPool(
                known_hosts=known_hosts,
                nodes=desired.nodes,
                key_directory=self._key_directory,
                host=HostSsh() if self._ssh_config is None else HostSsh.read(self._ssh_config),
                max_handshakes=desired.fleet.max_handshakes,
                keep=desired.fleet.keep_connections,
            )
        else:
            self._pool.update(known_hosts=known_hosts, nodes=desired.nodes)
        return self._pool

    def _is_of(self, desired: DesiredState) -> bool:
        known = self._of
        return known is desired or (known is not None and desired.commit is not None and known.commit == desired.commit)

    def warm_first(self, desired: DesiredState, nodes: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        """Order nodes so that those with an open connection come first."""
        pool = self.pool(desired)
        return tuple(sorted(nodes, key=lambda node: (not pool.is_warm(node), node)))

    def close(self) -> None:
        """Close every connection; safe to call twice."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
