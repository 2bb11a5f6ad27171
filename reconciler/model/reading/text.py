"""Bytes -> text: size, UTF-8, byte order mark and characters that no text file needs; no grammar yet."""

import re

from reconciler.model.reading.mistakes import Mistakes

LONGEST_FILE = 1024 * 1024
"""Bytes. 3,000 nodes fit in; what is longer is no file that people review."""
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What YAML does not allow in a file (JSON allows none outside strings)."""


def decode(data: bytes, mistakes: Mistakes, *, allow: str = "", longest: int = LONGEST_FILE) -> str | None:
    """Give the text of a file, or None after saying why it has none; characters in `allow` pass (never NUL)."""
    if len(data) > longest:
        mistakes.error(
            (0, 0), f"the file has {len(data)} bytes, more than {longest}", remedy="split it into several files"
        )
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        mistakes.error((1, 1), "the file is UTF-16", remedy="save it as UTF-8")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line, column = _place(data[: exc.start].decode("utf-8"))
        mistakes.error(
            (line, column),
            f"byte {exc.start} is not UTF-8",
            value=data[exc.start : exc.end].hex(" "),
            remedy="save the file as UTF-8",
        )
        return None
    return text if _is_clean(text, mistakes, allow) else None


def without_mark(data: bytes) -> bytes:
    """Leave a byte order mark out: documents and calendars come from programs everywhere. State files may not have one."""
    return data.removeprefix(b"\xef\xbb\xbf")


def _is_clean(text: str, mistakes: Mistakes, allow: str) -> bool:
    if text.startswith("\ufeff"):
        mistakes.error((1, 1), "the file begins with a byte order mark", remedy="save it as UTF-8 without BOM")
        return False
    for found in _UNWANTED.finditer(text):
        if found[0] in allow and found[0] != "\0":
            continue
        name = "a NUL" if found[0] == "\0" else "a control character"
        mistakes.error(_place(text[: found.start()]), name, value=f"U+{ord(found[0]):04X}", remedy="remove it")
        return False
    return True


def _place(before: str) -> tuple[int, int]:
    """Give the line and column that come after `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
