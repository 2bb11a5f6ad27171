"""Our own index of an OpenSSH known_hosts text: which keys are pinned for a node.

Takes the text of `state/known_hosts` and gives, for a node's id, address and port, the pinned, revoked and certifying keys;
lines that do not read become Problems with file and line. It opens no file and no connection, and knows nothing of paramiko.
A line whose host is the node's id pins that node alone and wins over lines for its address: the same private address may
stand behind two gateways. A key that is marked @revoked is refused everywhere, whatever hosts its line names: what is lost
is lost everywhere. Hashed lines cost one HMAC each to try: they are asked only for nodes that no line in clear pins.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import chain

from reconciler.ids import NodeId
from reconciler.model.node import Node
from reconciler.problem import Gravity, Problem

SSH_PORT = 22

LINE_LIMIT = 32 * 1024
"""Characters: ten times what the longest RSA key with a long list of hosts needs."""

PROBLEM_LIMIT = 1000
"""Lines that do not read, after which a file is none of host keys."""
HASHED_LIMIT = 10_000
"""Lines: each is one HMAC for each node that no line in clear pins, a microsecond; more would hold up a first pass by minutes."""

WILD_LIMIT = 1_000
"""Lines with wildcards: each is tried for each node."""

KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""What we can verify, in the order in which we prefer them."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """One public key as known_hosts writes it."""

    type: str
    base64: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:...` as ssh-keygen prints it."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.type} {self.base64}"


class Marker(Enum):
    """What a line says about its key."""

    PINNED = ""
    REVOKED = "@revoked"
    AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What known_hosts says about one node."""

    keys: tuple[HostKey, ...] = ()
    revoked: frozenset[HostKey] = frozenset()
    """Every revoked key of the file, authorities among them."""
    authorities: tuple[HostKey, ...] = ()
    """Keys that may sign a host key of this node."""
    matched: str = ""
    """The name under which the keys were found: the node's id, `[address]:port` or the address."""
    names: tuple[str, ...] = ()
    """What a certificate for this node may call it: its id, and its address where that means this node alone."""
    shared_address: str | None = None
    """The node's address, where it does not mean this node alone."""


@dataclass(frozen=True, slots=True)
class _Line:
    marker: Marker
    key: HostKey
    is_wild: bool


@dataclass(frozen=True, slots=True)
class _Patterns:
    """A host field that has to be tried: wildcards, or names that must not match."""

    wanted: tuple["_Glob", ...]
    unwanted: tuple["_Glob", ...]
    line: _Line

    def match(self, name: str) -> bool:
        """Say whether one pattern fits and no negated one does."""
        return any(glob.match(name) for glob in self.wanted) and not any(glob.match(name) for glob in self.unwanted)


@dataclass(frozen=True, slots=True)
class _Glob:
    """`*` and `?`, matched piece by piece: a regular expression for `*a*a*a*b` would try for years."""

    pieces: tuple[re.Pattern[str], ...]
    """What stands between the stars."""
    last: int
    """How long the last one is: it can only stand at the end."""

    @classmethod
    def of(cls, text: str) -> "_Glob":
        pieces = text.split("*")
        compiled = (re.compile(re.escape(piece).replace(r"\?", "."), re.DOTALL) for piece in pieces)
        return cls(tuple(compiled), len(pieces[-1]))

    def match(self, name: str) -> bool:
        """Say whether the whole of `name` fits."""
        first, *inner = self.pieces
        if not inner:
            return first.fullmatch(name) is not None
        found = first.match(name)
        for piece in inner[:-1]:
            found = found and piece.search(name, found.end())
        if found is None:
            return False
        start = len(name) - self.last
        return start >= found.end() and inner[-1].fullmatch(name, start) is not None


@dataclass(frozen=True, slots=True)
class _Hashed:
    salt: bytes
    digest: bytes
    line: _Line

    def match(self, name: str) -> bool:
        """Say whether `name` hashes to the line's host."""
        return hmac.digest(self.salt, name.encode(), "sha1") == self.digest


class _HashedLines:
    """Lines whose host is a salted hash: each is tried until it has told its name, and each name is asked once."""

    def __init__(self, lines: Iterable[_Hashed]) -> None:
        self._untold = list(lines)
        self._told: dict[str, tuple[_Line, ...]] = {}
        self._lock = threading.Lock()

    def lines(self, name: str) -> tuple[_Line, ...]:
        """Give the lines whose host is `name`."""
        found = self._told.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._told:
                fitting: list[_Hashed] = []
                untold: list[_Hashed] = []
                for hashed in self._untold:
                    (fitting if hashed.match(name) else untold).append(hashed)
                self._untold = untold
                self._told[name] = tuple(hashed.line for hashed in fitting)
            return self._told[name]


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """A read known_hosts file."""

    problems: tuple[Problem, ...] = ()
    revoked: frozenset[HostKey] = frozenset()
    _exact: Mapping[str, tuple[_Line, ...]] = field(default_factory=dict)
    _wild: tuple[_Patterns, ...] = ()
    _hashed: _HashedLines = field(default_factory=lambda: _HashedLines(()))

    def pins(self, node: NodeId, address: str | None, port: int) -> Pins:
        """Give what is known of a node: pinned by its id, else by `[address]:port`, else by the address alone.

        Whoever passes no address says that it does not mean this node alone: then only its id does.
        """
        identity, names = str(node).lower(), _address_names(address, port)
        by_name = [(name, tuple(self._lines_in_clear(name))) for name in (identity, *names)]
        keys_of_lines = ((name, _keys(_pinning(lines, name == identity), Marker.PINNED)) for name, lines in by_name)
        keys_of_hashes = ((name, _keys(self._hashed.lines(name), Marker.PINNED)) for name in names)
        keys = ((name, keys) for name, keys in chain(keys_of_lines, keys_of_hashes) if keys)
        matched, pinned = next(keys, ("", ()))
        return Pins(
            keys=pinned,
            revoked=self.revoked,
            authorities=_keys((line for _, lines in by_name for line in lines), Marker.AUTHORITY),
            matched=matched,
            names=tuple(dict.fromkeys((identity, *names[-1:]))),
        )

    def _lines_in_clear(self, name: str) -> Iterator[_Line]:
        yield from self._exact.get(name, ())
        yield from (patterns.line for patterns in self._wild if patterns.match(name))


def _pinning(lines: Iterable[_Line], is_identity: bool) -> Iterator[_Line]:  # noqa: FBT001  (whose lines they are)
    """Leave out what pins nobody: a wildcard is about addresses, it never names a node."""
    return (line for line in lines if not (is_identity and line.is_wild))


def _keys(lines: Iterable[_Line], marker: Marker) -> tuple[HostKey, ...]:
    return tuple(dict.fromkeys(line.key for line in lines if line.marker is marker))


@dataclass(slots=True)
class _Reading:
    """What the lines of a file have come to so far."""

    exact: dict[str, list[_Line]] = field(default_factory=dict)
    wild: list[_Patterns] = field(default_factory=list)
    hashed: list[_Hashed] = field(default_factory=list)
    revoked: set[HostKey] = field(default_factory=set)


@lru_cache(maxsize=2)
def parse(text: str, *, file: str = "state/known_hosts") -> KnownHosts:
    """Read a whole known_hosts text; a line that does not read is a Problem, and pins nothing; too many of them are an error.

    The same text gives the same index, with what its hashed lines have told: most commits change other files.
    """
    read, problems = _Reading(), []
    for number, raw in enumerate(text.split("\n"), start=1):
        fields = raw[:LINE_LIMIT].split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            _add_line(fields if len(raw) <= LINE_LIMIT else [], read)
        except ValueError as error:
            # A line that should revoke and does not would leave a lost key trusted: nothing less than an error.
            gravity = Gravity.ERROR if fields[0].startswith("@") else Gravity.LINT
            problems.append(
                Problem(
                    file=file,
                    line=number,
                    column=1,
                    message=str(error),
                    value=raw.strip()[:80],
                    remedy=_REMEDY,
                    gravity=gravity,
                )
            )
            if len(problems) > PROBLEM_LIMIT:
                problems[-1] = Problem(
                    file=file,
                    line=number,
                    message=f"more than {PROBLEM_LIMIT} lines do not read: nothing from here on was read",
                    remedy=_REMEDY,
                )
                break
    return KnownHosts(
        tuple(problems),
        frozenset(read.revoked),
        {name: tuple(lines) for name, lines in read.exact.items()},
        tuple(read.wild),
        _HashedLines(read.hashed),
    )


_REMEDY = "write `HOST TYPE BASE64` as ssh-keyscan prints it, or run `reconciler node scan-keys`"


def _add_line(fields: list[str], read: _Reading) -> None:
    if not fields:
        raise ValueError(f"a line of more than {LINE_LIMIT} characters")
    marker, fields = _marker(fields)
    if len(fields) < 3:  # noqa: PLR2004  (host, type, key)
        raise ValueError("a line holds a host, a key type and a key")
    hosts, line = fields[0], _Line(marker, _host_key(fields[1], fields[2]), _WILD.search(fields[0]) is not None)
    if marker is Marker.REVOKED:
        read.revoked.add(line.key)
    elif hosts.startswith("|"):
        _add_hashed(hosts, line, read)
    else:
        _add_names(hosts.split(","), line, read)


def _marker(fields: list[str]) -> tuple[Marker, list[str]]:
    if not fields[0].startswith("@"):
        return Marker.PINNED, fields
    try:
        return Marker(fields[0]), fields[1:]
    except ValueError:
        raise ValueError("unknown marker: only @revoked and @cert-authority exist") from None


def _add_hashed(hosts: str, line: _Line, read: _Reading) -> None:
    if line.marker is Marker.AUTHORITY:
        raise ValueError("an authority with a hashed host: write the host or a wildcard in clear")
    if len(read.hashed) >= HASHED_LIMIT:
        raise ValueError(f"more than {HASHED_LIMIT} hashed lines: write hosts in clear, state/nodes names them anyway")
    read.hashed.append(_hashed(hosts, line))


def _add_names(names: list[str], line: _Line, read: _Reading) -> None:
    if "" in names:
        raise ValueError("an empty host name stands in the list of hosts")
    if not line.is_wild:
        for name in names:
            read.exact.setdefault(_canonical(name), []).append(line)
        return
    if len(read.wild) >= WILD_LIMIT:
        raise ValueError(f"more than {WILD_LIMIT} lines with wildcards: name the nodes by their ids")
    read.wild.append(_patterns(names, line))


_WILD = re.compile(r"[*?!]")


def _host_key(kind: str, text: str) -> HostKey:
    if kind not in KEY_TYPES:
        if kind.isdecimal():
            raise ValueError("an SSH 1 key: the protocol is dead, scan the node again")
        raise ValueError(f"key type not supported: use one of {', '.join(KEY_TYPES)}")
    try:
        blob = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise ValueError("the key is not base64: it may have been cut") from None
    head = len(kind).to_bytes(4, "big") + kind.encode()
    if not blob.startswith(head) or len(blob) <= len(head):
        raise ValueError("the key does not hold what its type says: it may have been cut")
    if not _is_whole(blob):
        raise ValueError("the key is cut")
    return HostKey(kind, text)


def _is_whole(blob: bytes) -> bool:
    """Say whether the blob is a sequence of whole length-prefixed fields."""
    at = 0
    while at + 4 <= len(blob):
        at += 4 + int.from_bytes(blob[at : at + 4], "big")
    return at == len(blob)


def _hashed(hosts: str, line: _Line) -> _Hashed:
    parts = hosts.split("|")
    if len(parts) != 4 or parts[1] != "1":  # noqa: PLR2004  (|1|SALT|HASH)
        raise ValueError("a hashed host has the form |1|SALT|HASH")
    try:
        salt, digest = (binascii.a2b_base64(part, strict_mode=True) for part in parts[2:])
    except binascii.Error:
        raise ValueError("a hashed host has the form |1|SALT|HASH, both in base64") from None
    if len(digest) != hashlib.sha1(usedforsecurity=False).digest_size:
        raise ValueError("the hash of a hashed host has 20 bytes")
    return _Hashed(salt, digest, line)


def _patterns(names: list[str], line: _Line) -> _Patterns:
    wanted = tuple(_Glob.of(_canonical(name)) for name in names if not name.startswith("!"))
    unwanted = tuple(_Glob.of(_canonical(name[1:])) for name in names if name.startswith("!"))
    if not wanted:
        raise ValueError("only negated hosts: such a line never matches")
    return _Patterns(wanted, unwanted, line)


def _address_names(address: str | None, port: int) -> list[str]:
    if address is None:
        return []
    plain = canonical_address(address)
    return [plain] if port == SSH_PORT else [f"[{plain}]:{port}", plain]


def _canonical(name: str) -> str:
    """Write a host name as it is compared: lower case, IPv6 in its short form; `[address]:22` is the address."""
    if name.startswith("["):
        name = name.lower()
        inner, closed, port = name[1:].partition("]")
        if closed and port == f":{SSH_PORT}":
            return canonical_address(inner)
        return f"[{canonical_address(inner)}{closed}{port}" if ":" in inner else name
    return canonical_address(name)


def canonical_address(name: str) -> str:
    """Write an address as it is compared: lower case, IPv6 in its short form."""
    name = name.lower()
    if ":" not in name:
        return name
    try:
        return ipaddress.IPv6Address(name).compressed
    except ValueError:
        return name


def host_name(address: str, port: int) -> str:
    """Give the host field for an address and port, as ssh writes it."""
    return address if port == SSH_PORT else f"[{address}]:{port}"


def host_key_line(host: str, key: HostKey) -> str:
    """Give the known_hosts line that pins `key` for `host`: a node id or what `host_name` gives."""
    if not host or re.search(r"[\s,|*?!@#]", host):
        raise ValueError(f"not a host name for known_hosts: {host!r}")
    return f"{host} {key}"


def lines_for(node: Node, keys: Iterable[HostKey]) -> tuple[str, ...]:
    """Give the lines that pin `keys` for a node, by its id: they hold behind any gateway and on any address."""
    return tuple(host_key_line(node.id, key) for key in keys)
