"""A package's zip -> the tar that goes to nodes: bounded, and with nothing in it that could leave its folder; pure.

Nodes need `tar` alone, which all have. The tar is the same for the same zip, on every host: its checksum stands in plans.
"""

import io
import re
import stat
import tarfile
import zipfile
import zlib

from reconciler.errors import SourceError

MOST_ENTRIES = 5_000
MOST_UNPACKED = 256 * 1024 * 1024
"""Bytes of all files together; they are counted as they come out, whatever the zip says of them."""
CHUNK = 1024 * 1024
LONGEST_PATH = 500
DATED = 946_684_800
"""Seconds: what zips say of time has no zone, and 1970 makes tar complain."""

_SCRIPTS = ("install", "uninstall")
"""SSM: what a package cannot be without."""
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def tar_of(data: bytes) -> bytes:
    """Give the files of a zip as a tar, sorted by path. Raises SourceError where it is no zip that may be unpacked as root."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
            _check_scripts(members)
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
                left = MOST_UNPACKED
                for path, info in sorted(members.items()):
                    content = b"" if info.is_dir() else _content(archive, info, left)
                    left -= len(content)
                    tar.addfile(_entry(path, info, len(content)), io.BytesIO(content))
            return made.getvalue()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError, OSError, ValueError) as exc:
        raise SourceError(f"not a zip that can be read: {str(exc)[:200]}") from exc


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MOST_ENTRIES:
        raise SourceError(f"the zip has {len(infos)} entries: at most {MOST_ENTRIES} are unpacked")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        why = _refusal(info)
        if why:
            raise SourceError(f"the zip holds {info.filename[:200]!r}, which {why}: it is not unpacked")
        path = info.filename.rstrip("/")
        if path in found:
            raise SourceError(f"the zip holds {path[:200]!r} twice: it is not unpacked")
        found[path] = info
    for path in found:
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in found and not found[above].is_dir():
                raise SourceError(f"the zip holds {above[:200]!r} both as a file and as a folder: it is not unpacked")
    return found


def _refusal(info: zipfile.ZipInfo) -> str:
    """Say why an entry must not be unpacked; empty: it may."""
    name, mode = info.filename, info.external_attr >> 16
    parts = name.rstrip("/").split("/")
    reasons = {
        "leaves the folder": name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":",
        "is no proper path": "" in parts or "." in parts or _CONTROL.search(name) is not None,
        f"is longer than {LONGEST_PATH} bytes": len(name.encode("utf-8", "surrogateescape")) > LONGEST_PATH,
        "is a link or a device": stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR),
        "has a set-uid, set-gid or sticky bit": bool(mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)),
        "is encrypted": bool(info.flag_bits & _ENCRYPTED),
        "is compressed in a way that is not read": info.compress_type not in _PLAIN,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _check_scripts(members: dict[str, zipfile.ZipInfo]) -> None:
    for name in _SCRIPTS:
        if f"{name}.sh" not in members:
            raise SourceError(f"the zip has no {name}.sh at its root: a package needs one")
    both = [name for name in (*_SCRIPTS, "update", "validate") if {f"{name}.sh", f"{name}.ps1"} <= members.keys()]
    if both:
        raise SourceError(f"the zip has both {both[0]}.sh and {both[0]}.ps1 at its root: SSM takes one of them")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: int) -> bytes:
    """Read one file; a zip bomb is left at the limit, and never unpacked whole."""
    made = bytearray()
    with archive.open(info) as opened:
        while chunk := opened.read(CHUNK):
            made += chunk
            if len(made) > left:
                raise SourceError(f"the zip unpacks to more than {MOST_UNPACKED} bytes: it is not unpacked")
    return bytes(made)


def _entry(path: str, info: zipfile.ZipInfo, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mtime = DATED
    entry.uname = entry.gname = ""
    if info.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    else:
        runs = path.endswith(".sh") or bool((info.external_attr >> 16) & stat.S_IXUSR)
        entry.mode, entry.size = 0o755 if runs else 0o644, size
    return entry
