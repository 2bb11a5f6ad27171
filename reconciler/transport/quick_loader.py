"""The loader of a connection that has answered before: no process but `sh` itself, where loader.py needs seven.

Takes a Program, a nonce and the way that an earlier greeting offered; gives the exec command and what to send on stdin. The
program goes as a quoted word, twice: it runs only if the word was closed, has its length, and both copies are equal. The
command reads one line first, which proves that no start-up file ate the beginning. Pure: no I/O here.
"""

from reconciler.model.command import Program
from reconciler.model.shell import quote
from reconciler.transport.loader import CUT_STATUS, Way

LONGEST = 15_000
"""Bytes of a program: sent twice, it still fits one packet. A longer one goes through the checksum of loader.py."""

_HEAD = "read -r h; if [ $h = {nonce} ]; then . /dev/stdin; else exit {cut}; fi"

# The greeting comes after the checks, as in loader.py: without it, nothing of the program ran.
_BODY = """{nonce}
LC_ALL=C; export LC_ALL
p={text}
q={text}
if [ ${{#p}} -eq {length} ] && [ "$p" = "$q" ]; then q= h=; echo {nonce}; exec </dev/null; eval "$p"; exit; fi
exit {cut}
"""


def goes_quickly(program: Program, way: Way) -> bool:
    """Say whether the program can take the short way."""
    return way is not Way.NONE and len(program.text) <= LONGEST and b"\0" not in program.text


def quick_command(nonce: str, way: Way, *, sudo: bool) -> str:
    """Give the exec command."""
    head = _HEAD.format(nonce=nonce, cut=CUT_STATUS)
    if sudo:
        return f"env LC_ALL=C sudo -n sh -c '{head}'"
    return head if way is Way.DIRECT else f"sh -c '{head}'"


def quick_text(program: Program, nonce: str) -> bytes:
    """Give what to send on stdin."""
    text = quote(program.text.decode("latin-1"))
    length = len(program.text)
    return _BODY.format(nonce=nonce, text=text, length=length, cut=CUT_STATUS).encode("latin-1")
