"""Ed25519 keys for test nodes and test clients, in OpenSSH's own format; nothing is written."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The text of a private key file and of its .pub file."""

    private: str
    public: str


def new_key_pair(comment: str) -> KeyPair:
    """Make a key nobody else has."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
    return KeyPair(private=private, public=f"{public} {comment}\n")
