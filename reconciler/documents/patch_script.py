"""The script of a patch step, for one node: a request and that node's order -> sh. Pure.

Names, versions and checksums stand in it as lines of a here-document, checked by their family's grammar; everything else is quoted.
None of it is ever pasted into a command.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from reconciler.documents.apt_install_text import APT
from reconciler.documents.dnf_install_text import DNF, RPM
from reconciler.documents.patch_frame_text import BEGIN, FRAME, INSTALL
from reconciler.documents.zypper_install_text import ZYPPER
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, Pin
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.model.shell import quote

LOCK_WAIT: Final = 600
"""Seconds to wait for a package manager that somebody else runs: unattended-upgrades takes minutes."""

NO_END: Final = timedelta(hours=48)
"""The longest that a step may have: a package transaction that has begun is never ended, and what comes before it has limits of its own."""

_PROGRAMS: Final = {
    Family.APT: FRAME + BEGIN + APT + INSTALL,
    Family.RPM: FRAME + BEGIN + RPM + DNF + INSTALL,
    Family.SUSE: FRAME + BEGIN + RPM + ZYPPER + INSTALL,
}

_DEB: Final = (
    re.compile(r"[a-z0-9][a-z0-9+.-]{0,98}"),
    re.compile(r"[a-z0-9][a-z0-9-]{0,30}"),
    re.compile(r"(?:[0-9]{1,10}:)?[0-9A-Za-z][0-9A-Za-z.+~:-]{0,249}"),
)
_RPM: Final = (
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.-]{0,199}"),
    re.compile(r"[a-z0-9][a-z0-9_]{0,30}"),
    re.compile(r"(?:[0-9]{1,10}:)?[0-9A-Za-z][0-9A-Za-z._+~^]{0,199}-[0-9A-Za-z][0-9A-Za-z._+~^]{0,199}"),
)
"""Name, architecture, version: none can be taken for an option, a path or two words."""
_CHECKSUM: Final = re.compile(r"|[a-z0-9]{3,10}:[0-9a-f]{32,128}")
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")

_UNDECIDED: Final = """\
# {digest}
printf 'patching stopped: no-pins: nobody looked at what this node misses: only a pass or send-command does\\n' >&2
exit 1
"""
_NOTHING: Final = """\
# {digest}
printf 'nothing is missing\\n'
exit {status}
"""
_SKIP_THE_REST: Final = 168
"""SSM: a success, after which only what runs in any case runs."""


def undecided_script(request: PatchRequest) -> bytes:
    """Give the script that stands in a document until a node was looked at: it fails."""
    return _UNDECIDED.format(digest=request.digest).encode()


def patch_script(request: PatchRequest, order: PatchOrder | None) -> bytes:
    """Give what the node runs; None: nothing is missing there.

    Raises ValueError for what is no name, version or checksum of the family's packages.
    """
    if order is None:
        status = _SKIP_THE_REST if request.end_if_nothing else 0
        return _NOTHING.format(digest=request.digest, status=status).encode()
    if request.operation is Operation.SCAN:
        found = order.told or tuple(f"MISSING {pin.title(order.family)}" for pin in order.pins)
        told = "\n".join([f"baseline {order.baseline}", *found])
        return f"printf '%s\\n' {quote(told)}\n".encode("utf-8", "replace")
    _check(order)
    head = {
        "reboot": request.reboot.value,
        "any": str(int(order.any_dependency)),
        "pending": str(int(bool(order.pending_reboot))),
        "repair": str(int(request.repair)),
        "kernels": str(int(request.remove_old_kernels)),
        "lock_wait": str(LOCK_WAIT),
        "never": " ".join(sorted(order.blocked)),
        "sources": "\n".join(order.sources),
        "kept": " ".join(f"sha256:{sha256}" for sha256 in sorted(order.files)),
    }
    begin = "".join(f"{name}={quote(text)}\n" for name, text in head.items())
    lines = "".join(
        f"{line}\n" for kind, pins in (("w", order.pins), ("c", order.dependencies)) for line in _lines(kind, pins)
    )
    return f"{begin}pins() {{\n    cat <<'END_OF_PINS'\n{lines}END_OF_PINS\n}}\n{_PROGRAMS[order.family]}".encode()


def _lines(kind: str, pins: Iterable[Pin]) -> Iterable[str]:
    for pin in pins:
        yield f"{kind} {pin.name} {pin.arch} {pin.version} {pin.checksum or '-'} {pin.id}"


def _check(order: PatchOrder) -> None:
    """Refuse what a package manager could take for something else than a package."""
    names, archs, versions = _DEB if order.family is Family.APT else _RPM
    for pin in (*order.pins, *order.dependencies):
        for pattern, text in ((names, pin.name), (archs, pin.arch), (versions, pin.version), (_CHECKSUM, pin.checksum)):
            if pattern.fullmatch(text) is None:
                raise ValueError(f"{pin.name[:80]!r} {pin.version[:80]!r} ({pin.arch[:40]!r}) is no package version")
        if pin.kept and _SHA256.fullmatch(pin.checksum) is None:
            raise ValueError(f"{pin.name} {pin.version} has no SHA-256: its file cannot be sent")
    for name in order.blocked:
        if names.fullmatch(name) is None:
            raise ValueError(f"{name[:80]!r} is no package name")
