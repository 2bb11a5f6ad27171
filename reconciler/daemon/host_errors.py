"""Trouble of the management host itself -> HostError: a full disk ends a pass or a command in words, never the daemon.

Whoever can do without what it keeps catches its own errors, and tells; here comes what nothing can be done without.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reconciler.errors import HostError

PASSING: Final = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
"""What a person mends while the daemon lives, or what ends by itself; any other OSError is a bug of ours."""


@contextmanager
def host_errors() -> Iterator[None]:
    """Translate what the host's disk, memory or limits refuse. What runs on nodes survives it, and is settled later."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in PASSING:
            raise
        where = "" if exc.filename is None else f" ({exc.filename})"
        raise HostError(
            f"this host cannot go on: {exc.strerror}{where}; make room on it. Nothing that was begun runs twice"
        ) from exc
