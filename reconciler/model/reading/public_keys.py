"""Public keys of signers: text -> fingerprint, or a ValueError that says what is wrong. Pure; no gpg and no ssh is asked.

The fingerprint is the key's identity: who revokes a key names it by pasting it, and a comment or another armour makes
it no other key.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_BLOCK = re.compile(
    r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\s*?\n(?P<inside>[^-]+)-----END PGP PUBLIC KEY BLOCK-----\s*\Z"
)
_PRIMARY = 6
"""The tag of a primary public key's packet (RFC 4880, 4.3)."""
_VERSION = 4


def ssh_fingerprint(key: str) -> str:
    """Give `SHA256:...` of `TYPE BASE64 [COMMENT]`, as `ssh-keygen -l` prints it."""
    kind, encoded = key.split()[:2]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"its second word is not base64 ({exc})") from exc
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != kind.encode():
        raise ValueError(f"its second word is no key of type {kind}")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def gpg_fingerprint(block: str) -> str:
    """Give the 40 digits of the one primary key in an armoured block."""
    keys = [body for tag, body in _packets(_dearmoured(block)) if tag == _PRIMARY]
    if len(keys) != 1:
        raise ValueError(f"it holds {len(keys)} primary keys instead of one")
    (key,) = keys
    if not key or key[0] != _VERSION:
        raise ValueError("its primary key is not of version 4")
    framed = b"\x99" + len(key).to_bytes(2, "big") + key
    return hashlib.sha1(framed, usedforsecurity=False).hexdigest().upper()


def _dearmoured(block: str) -> bytes:
    match = _BLOCK.match(block)
    if match is None:
        raise ValueError("it is no armoured public key block")
    lines = match["inside"].splitlines()
    text = "".join(line.strip() for line in lines if ":" not in line and not line.strip().startswith("="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"its lines are not base64 ({exc})") from exc


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        header = data[at]
        if not header & 0x80:
            raise ValueError("it is cut or garbled")
        tag, at, length = _header(data, at, header)
        if at + length > len(data):
            raise ValueError("it is cut")
        yield tag, data[at : at + length]
        at += length


def _header(data: bytes, at: int, header: int) -> tuple[int, int, int]:
    """Give tag, where the body begins, and its length."""
    if not header & 0x40:
        size = 1 << (header & 3)
        if size > 4:  # noqa: PLR2004  8 stands for "until the end", which no key is written with
            raise ValueError("a packet of it has no length")
        begin = at + 1 + size
        return (header >> 2) & 0xF, begin, int.from_bytes(data[at + 1 : begin], "big")
    tag, first = header & 0x3F, int.from_bytes(data[at + 1 : at + 2], "big")
    if first < 192:  # noqa: PLR2004  RFC 4880, 4.2.2: one, two or five octets
        return tag, at + 2, first
    if first < 224:  # noqa: PLR2004
        return tag, at + 3, ((first - 192) << 8) + int.from_bytes(data[at + 2 : at + 3], "big") + 192
    if first == 255:  # noqa: PLR2004
        return tag, at + 6, int.from_bytes(data[at + 2 : at + 6], "big")
    raise ValueError("a packet of it comes in parts")
