"""Who calls, in the kernel's words: of this process, and of whoever is at the other end of a local socket."""

import os
import pwd
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_NOBODY = 0xFFFFFFFF
"""What the kernel says where nobody logged in: a service, a container."""

_CREDENTIALS = struct.Struct("3i")
"""The kernel's struct ucred: process, user, group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks for something."""

    login: str
    """Whom the rules of the host settings name: who logged in, where the kernel knows that."""
    words: str
    """As records say it: with whom they have become."""
    is_ours: bool = True
    """Whether it is the user of this process, or root."""


def this_process() -> Caller:
    """Name who runs this process."""
    return Caller(login=login_name(), words=caller())


def caller() -> str:
    """Name who calls, as the kernel knows them: who logged in, and who they are now where that is somebody else."""
    return _in_words(login_name(), _user(os.getuid()))


def login_name() -> str:
    """Name who logged in, as the kernel knows them: sudo and su do not change it. Where nobody did, who calls."""
    login = _login_of("self")
    return _user(os.getuid() if login is None else login)


def peer_of(connection: socket.socket) -> Caller:
    """Name who is at the other end of a local socket: the user as of its opening, and behind root who logged in.

    Nothing the peer sends is asked. Another user than root is taken as the kernel gave it with the connection: a
    process id may mean another process by the time it is looked up, so that only root's login is read by it.
    """
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, uid, _ = _CREDENTIALS.unpack(found)
    login = _login_of(str(process)) if uid == 0 else None
    name = _user(uid if login is None else login)
    return Caller(login=name, words=_in_words(name, _user(uid)), is_ours=uid in (0, os.geteuid()))


def _in_words(login: str, now: str) -> str:
    return now if login == now else f"{login} as {now}"


def _login_of(process: str) -> int | None:
    try:
        login = int(Path("/proc", process, "loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if login == _NOBODY else login


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
