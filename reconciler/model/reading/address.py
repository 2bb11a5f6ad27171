"""Addresses of nodes: takes text, gives the address or says what is wrong; resolves nothing.

The grammar is strict because an address ends up beside a program's arguments: no `user@`, no port, no leading dash.
"""

import ipaddress
import re

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBERS = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?", re.DOTALL)
"""A last part that is a number: resolvers take such a name for an IPv4 address in an old form, octal and hexadecimal included."""
_LONGEST_NAME = 253
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_USUAL = re.compile(rf"(?:22[0-3]|2[01][0-9]|1[0-9]{{2}}|[1-9][0-9]?)(?:\.{_BYTE}){{3}}")
"""The IPv4 addresses of single machines, 1.0.0.0 to 223.255.255.255: what most nodes have needs no longer look."""


def address_trouble(text: str) -> tuple[str, str] | None:
    """Give what is wrong with an address and the remedy, or None where it is one."""
    if "@" in text:
        return "an address holds no user", f"write User: {text.partition('@')[0][:40]} and the address alone"
    if text.startswith("-"):
        return "an address does not begin with a dash", "write a host name, an IPv4 or an IPv6 address"
    if text.startswith("[") or re.fullmatch(r"[^:]*:[0-9]{1,5}", text):
        return "an address holds no port and no brackets", "write the address alone, and the port as Port:"
    if not _is_ip(text):
        return _name_trouble(text)
    if not _is_one_machine(text):
        return "not the address of one machine", "write the address that this node answers on"
    return None


def _name_trouble(text: str) -> tuple[str, str] | None:
    if ":" in text:
        return "not an IPv6 address", "write it as in 2001:db8::1; a link-local one needs its %interface"
    if _NUMBERS.fullmatch(text) or not text.strip("."):
        return "not an IPv4 address", "write four numbers from 0 to 255 without leading zeros"
    if len(text) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split(".")):
        return "not a host name", "write letters, digits, dots and dashes, or an IP address"
    return None


def is_ip_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    return _is_ip(text)


def _is_one_machine(text: str) -> bool:
    """Say whether an address is no wildcard, broadcast or group: the kernel takes 0.0.0.0 for this machine itself."""
    if _USUAL.fullmatch(text):
        return True
    address = ipaddress.ip_address(text)
    return not (address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255")


def _is_ip(text: str) -> bool:
    if _USUAL.fullmatch(text):
        return True
    if "%" in text and not re.fullmatch(r"[0-9A-Fa-f:.]+%[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
