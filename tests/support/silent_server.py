"""A server that takes connections and says nothing, until its end."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class SilentServer:
    """Who is waiting for it."""

    port: int
    _held: list[socket.socket] = field(default_factory=list)

    @property
    def met(self) -> int:
        """How many connections there ever were."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many clients still wait for an answer."""
        return sum(not _has_ended(each) for each in self._held)


@contextmanager
def silent_server(address: str) -> Iterator[SilentServer]:
    """Listen on a free port of `address`."""
    with socket.create_server((address, 0)) as listening:
        server = SilentServer(port=listening.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    server._held.append(listening.accept()[0])

        thread = threading.Thread(target=accept, name="silent")
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in server._held:
                each.close()


def _has_ended(connection: socket.socket) -> bool:
    """Read what the client says, until it says no more: it has ended, or it waits."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
