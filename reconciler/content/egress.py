"""Which addresses this host may be sent to by a repository: names are resolved once, and the answer is what is connected to.

A document names a URL, and whoever writes it must not reach what only this host can reach: its own services, its cloud's
metadata, the networks behind it. So every answer of the resolver is judged, in every way an address can be written.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.errors import SourceError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_MOST_ANSWERS = 64


class EgressRefused(SourceError):
    """The host settings do not let us go there."""


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask this host's resolver; it reads `127.1`, `2130706433` and `0x7f000001` as addresses too."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise SourceError(f"{host} is not found: {getattr(exc, 'strerror', None) or exc}") from exc
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Where content may be fetched from: public addresses, and what the host settings allow besides."""

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = system_resolver

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Give the addresses to connect to; nothing else may be. Raises EgressRefused where any answer is not allowed."""
        answers = tuple(self.resolve(host, port))
        if not answers or len(answers) > _MOST_ANSWERS:
            raise SourceError(f"{host} has {len(answers)} addresses")
        for answer in answers:
            self._check(host, answer)
        return answers

    def _check(self, host: str, answer: str) -> None:
        try:
            address = ipaddress.ip_address(answer)
        except ValueError as exc:
            raise SourceError(f"{host} has the address {answer!r}, which does not read") from exc
        if not self.allows(address):
            named = "" if host == answer else f"{host} is "
            raise EgressRefused(
                f"{named}{answer}, which is no public address: the host settings may allow it (Downloads, Egress: [{answer}])"
            )

    def allows(self, address: Address) -> bool:
        """Tell whether an address may be connected to, by all that it may turn out to mean."""
        return all(self._allows_one(meant) for meant in _meanings(address))

    def _allows_one(self, address: Address) -> bool:
        public = address.is_global and not address.is_multicast and not address.is_reserved
        return public or any(address in network for network in self.allowed)


def _meanings(address: Address) -> Iterator[Address]:
    """Give the address itself, or the IPv4 address that a system reads out of it."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.scope_id is not None:
        address = ipaddress.IPv6Address(int(address))
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    if address in _NAT64:
        yield _last_bits(address)
        return
    yield address
    within = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64_LOCAL or address in _COMPATIBLE:
        within.append(_last_bits(address))
    yield from (each for each in within if each is not None)


def _last_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
