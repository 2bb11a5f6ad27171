"""The border: every exception of paramiko, fabric, cryptography and the socket layer leaves here as a NodeError in words.

Takes the foreign exception and what was being done; gives the NodeError that says what the loop does next. It decides nothing
else. A broken or hostile server can make paramiko's thread raise anything at all, so anything at all is translated: wrap
calls of those libraries in `node_errors`, and nothing of our own.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from reconciler.errors import HostKeyMismatch, LoginRefused, NameNotFound, NodeError, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId

SHOWN = 300
"""Characters of a library's or a server's own words in a message."""


@contextmanager
def node_errors(node: NodeId, doing: str) -> Iterator[None]:
    """Translate what a library raises while `doing` ("logging in to 10.0.0.1 port 22")."""
    try:
        yield
    except NodeError:
        raise
    except Exception as error:
        raise translated(node, doing, error) from error


def translated(node: NodeId, doing: str, error: Exception) -> NodeError:
    """Give the NodeError for a foreign exception."""
    kind, words = _of_os_error(error) if isinstance(error, OSError) else _of_library(error)
    return kind(node, f"{doing}: {words}")


def _of_library(error: Exception) -> tuple[type[NodeError], str]:
    kind: type[NodeError] = NodeUnreachable
    words = _words(error)
    match error:
        case paramiko.BadHostKeyException():
            kind, words = HostKeyMismatch, "another host key than the pinned one was shown"
        case paramiko.AuthenticationException() if "timeout" in words.lower():
            kind, words = NodeTimeout, "no answer to the login in time"
        case paramiko.AuthenticationException():
            kind = LoginRefused
        case paramiko.ChannelException():
            words = f"{_CHANNEL_CODES.get(error.code, f'code {error.code}')}: {str(error.text)[:SHOWN]}"
        case paramiko.SSHException() if "SSH protocol banner" in words:
            words = (
                "sshd closed the connection before its greeting: its own log says why (a disk, MaxStartups, its keys)"
            )
        case IncompatiblePeer():
            words = f"no common SSH algorithm: {words}"
        case paramiko.SSHException() if "Timeout" in words or "No existing session" in words:
            kind, words = NodeTimeout, "no answer in time"
        case EOFError():
            words = "the node closed the connection"
    return kind, words


def _of_os_error(error: OSError) -> tuple[type[NodeError], str]:
    kind: type[NodeError] = NodeUnreachable
    words = error.strerror or _words(error)
    match error:
        case socket.gaierror() if error.errno in _NO_SUCH_NAME:
            kind, words = NameNotFound, f"the name is not found: {words}"
        case socket.gaierror():
            words = f"the name is not found: {words}"
        case TimeoutError():
            kind, words = NodeTimeout, "no answer in time"
        case ConnectionRefusedError():
            words = "connection refused: no sshd listens there"
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            words = "the node closed the connection"
        case _ if error.errno in _NO_ROUTE:
            words = f"no route: {words}"
    return kind, words


_NO_SUCH_NAME = {socket.EAI_NONAME, socket.EAI_NODATA}
"""Anything else (EAI_AGAIN) is the name service's own trouble, and may pass."""

_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}

_CHANNEL_CODES = {
    1: "sshd forbids it (AllowTcpForwarding, PermitOpen or MaxSessions)",
    2: "sshd could not do it",
    3: "sshd does not know this kind of channel",
    4: "sshd is short of resources (MaxSessions)",
}


def _words(error: Exception) -> str:
    """Give an exception's own words, or its name where it has none."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  (some of these classes cannot print what they were made of)
        words = ""
    return (words or type(error).__name__)[:SHOWN]
