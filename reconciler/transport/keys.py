"""The management host's own keys: takes the name a node gives in `IdentityFile`, gives keys to log in with.

A name is one name inside the host's key directory, never a path. Nothing here reads another folder or asks for a passphrase.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from reconciler.errors import LoginRefused
from reconciler.model.node import Node

DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Tried where a node names no key and the agent holds none that fits, as ssh does."""


@dataclass(frozen=True, slots=True)
class LoginKey:
    """A key, and what to call it in a message."""

    label: str
    key: paramiko.PKey


class KeyDirectory:
    """Keys by name, read once for each version of the file: reading one costs more than logging in with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, tuple[tuple[int, ...], LoginKey]] = {}
        self._lock = threading.Lock()

    def keys_for(
        self, node: Node, agent: paramiko.Agent | None, identity_files: tuple[Path, ...] = ()
    ) -> Iterator[LoginKey]:
        """Give the keys to try for a node, in order; raises LoginRefused where the one it names cannot be used.

        `identity_files` is the host's own word: paths that are its to choose, tried where they exist, as ssh does.
        """
        if node.identity_file is not None:
            yield self._named(node, node.identity_file, agent)
            return
        for path in identity_files:
            if path.is_file():
                yield self._at(node, str(path), path, agent)
        if identity_files:
            return
        for held in agent.get_keys() if agent is not None else ():
            yield LoginKey(f"the agent's {held.get_name()} key {held.comment}".rstrip(), held)
        for name in DEFAULT_NAMES:
            if (self._path / name).is_file():
                yield self._named(node, name, agent)

    def _named(self, node: Node, name: str, agent: paramiko.Agent | None) -> LoginKey:
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise LoginRefused(node.id, f"IdentityFile {name!r} is no name of a key in {self._path}")
        return self._at(node, name, self._path / name, agent)

    def _at(self, node: Node, name: str, path: Path, agent: paramiko.Agent | None) -> LoginKey:
        try:
            return self._load(name, path)
        except FileNotFoundError as error:
            raise LoginRefused(node.id, f"there is no key {name!r} in the key directory {self._path}") from error
        except OSError as error:
            raise LoginRefused(node.id, f"the key {path} cannot be read: {error.strerror}") from error
        except (
            TypeError,
            paramiko.PasswordRequiredException,
        ) as error:  # cryptography's word for "no passphrase given"
            held = _in_agent(path, agent)
            if held is None:
                problem = (
                    f"the key {path} has a passphrase: load it into an agent with ssh-add (with {name}.pub beside it)"
                )
                raise LoginRefused(node.id, problem) from error
            return LoginKey(f"key {name!r} in the agent", held)
        except (ValueError, paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm) as error:
            raise LoginRefused(node.id, f"the key {path} does not read as a private key") from error

    def _load(self, name: str, path: Path) -> LoginKey:
        seen = path.stat()
        version = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        with self._lock:
            kept = self._read.get(name)
            if kept is not None and kept[0] == version:
                return kept[1]
        key = LoginKey(f"key {name!r}", paramiko.PKey.from_path(path))
        with self._lock:
            self._read[name] = (version, key)
        return key


def _in_agent(path: Path, agent: paramiko.Agent | None) -> paramiko.PKey | None:
    """Find the agent's copy of a key by the public half that lies beside it."""
    public = path.with_name(path.name + ".pub")
    if agent is None or not public.is_file():
        return None
    fields = public.read_text(encoding="utf-8", errors="replace").split()
    return next((key for key in agent.get_keys() if key.get_base64() in fields), None)
