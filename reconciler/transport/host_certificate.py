"""A host certificate in OpenSSH's form: bytes in, what an authority signed out; and whether it holds for a node, now.

`read_host_certificate` parses the bytes a server showed and verifies the authority's signature over them; that the server holds
the certified key, its signature over the key exchange shows, which paramiko has verified before. `certificate_trouble` is the
rule, pure: a trusted authority, a certificate for hosts, this node's name, a moment inside its time, and nothing critical that
we do not know. It opens nothing and accepts nothing that it could not read to the end.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from reconciler.transport.known_hosts import KEY_TYPES, HostKey, Pins

SUFFIX = "-cert-v01@openssh.com"
"""What turns the name of a kind of key into the name of its certificates."""

BYTES_LIMIT = 64 * 1024
"""Ten times what 256 principals of an RSA certificate need."""

RSA_BITS = 2048
"""Below, an authority's key can be taken apart."""

FOR_EVER = 2**64 - 1
"""How OpenSSH writes that a certificate never ends."""

SHOWN_PRINCIPALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCertificate:
    """What an authority's signature covers; the signature is verified, nothing else is judged yet."""

    key: HostKey
    """The certified key."""
    authority: HostKey
    is_for_hosts: bool
    key_id: str
    serial: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    """Seconds since 1970; the certificate holds from the first to just before the second."""
    critical: tuple[str, ...]
    """Names of options that whoever does not know them must refuse."""


def is_certificate(blob: bytes) -> bool:
    """Say whether public key bytes begin as a certificate's do."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].endswith(SUFFIX.encode())


def read_host_certificate(blob: bytes) -> HostCertificate:
    """Read a certificate whole and verify its signature; raises ValueError with what is wrong."""
    if len(blob) > BYTES_LIMIT:
        raise ValueError(f"a certificate of {len(blob)} bytes")
    length = int.from_bytes(blob[:4], "big")
    kind = blob[4 : 4 + length].decode("ascii", "replace")
    if kind.removesuffix(SUFFIX) not in KEY_TYPES or not kind.endswith(SUFFIX):
        raise ValueError("a kind of certificate that is not supported")
    try:
        read = load_ssh_public_identity(kind.encode() + b" " + base64.b64encode(blob))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the certificate does not read: {error}") from error
    if not isinstance(read, SSHCertificate):
        raise ValueError("the certificate does not read: it is a bare key")  # noqa: TRY004  (what a server says is a value)
    return HostCertificate(
        key=_host_key(read.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
        authority=_signed_by(read),
        is_for_hosts=read.type is SSHCertificateType.HOST,
        key_id=read.key_id.decode("utf-8", "replace"),
        serial=read.serial,
        principals=tuple(name.decode("utf-8", "replace") for name in read.valid_principals),
        valid_after=read.valid_after,
        valid_before=read.valid_before,
        critical=tuple(name.decode("utf-8", "replace") for name in read.critical_options),
    )


def _signed_by(read: SSHCertificate) -> HostKey:
    """Give the authority whose signature the certificate bears."""
    try:
        signer = read.signature_key()
        if isinstance(signer, RSAPublicKey):
            _check_rsa(signer, bytes(read._inner_sig_type))  # noqa: SLF001  (it verifies SHA-1 as well, and has no public name for it)
        read.verify_cert_signature()
    except InvalidSignature:
        raise ValueError("the authority's signature on the certificate is wrong") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the authority's signature does not read: {error}") from error
    return _host_key(signer.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))


def _check_rsa(signer: RSAPublicKey, algorithm: bytes) -> None:
    if signer.key_size < RSA_BITS:
        raise ValueError(f"an RSA key of {signer.key_size} bits")
    if algorithm not in (b"rsa-sha2-256", b"rsa-sha2-512"):
        raise ValueError("it is made with SHA-1: sign again with ssh-keygen -t rsa-sha2-512")


def read_certificate_of(key: HostKey, blob: bytes) -> HostCertificate:
    """Read the certificate in which `key` came; raises ValueError also where it certifies another key."""
    certificate = read_host_certificate(blob)
    if certificate.key != key:
        raise ValueError("it certifies another key than the one shown")
    return certificate


def _host_key(line: bytes) -> HostKey:
    kind, text = line.decode("ascii").split()[:2]
    return HostKey(kind, text)


def certificate_trouble(certificate: HostCertificate, pins: Pins, now: datetime) -> str | None:
    """Say why a certificate does not hold for a node, or None where it does."""
    if certificate.authority in pins.revoked:
        return f"its authority {certificate.authority.fingerprint} is marked @revoked in state/known_hosts"
    if certificate.key in pins.revoked:
        return f"its key {certificate.key.fingerprint} is marked @revoked in state/known_hosts"
    if certificate.authority not in pins.authorities:
        trusted = ", ".join(key.fingerprint for key in pins.authorities) or "none"
        return f"it is signed by {certificate.authority.fingerprint}, and the authorities trusted for this node are: {trusted}"
    if not certificate.is_for_hosts:
        return "it is for users, not for hosts: sign the host key with ssh-keygen -s AUTHORITY -h"
    if certificate.critical:
        return f"it holds critical options, and no host certificate has any that is known: {', '.join(certificate.critical)}"
    return _name_trouble(certificate.principals, pins.names) or _time_trouble(certificate, now)


def _name_trouble(principals: tuple[str, ...], names: Iterable[str]) -> str | None:
    if not principals:
        return "it names no host: a certificate for any host is one for no host; sign again with -n NAME"
    if {name.lower() for name in principals} & set(names):
        return None
    shown = ", ".join(principals[:SHOWN_PRINCIPALS]) + (", ..." if len(principals) > SHOWN_PRINCIPALS else "")
    return f"it is for {shown}, and this node is {' or '.join(names)}"


def _time_trouble(certificate: HostCertificate, now: datetime) -> str | None:
    moment = int(now.timestamp())
    if moment < certificate.valid_after:
        return f"it holds from {_written(certificate.valid_after)} only, and now is {_written(moment)}"
    if certificate.valid_before != FOR_EVER and moment >= certificate.valid_before:
        return f"it has expired at {_written(certificate.valid_before)}: sign the host key again"
    return None


def _written(moment: int) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"second {moment}"
