"""`allowedPattern`: Java regular expressions, matched against the whole value, written by strangers; pure but for time.

A pattern that does not compile, or takes longer than the limit, is a RenderError: nothing is let through unchecked.
"""

import re

import regex

from reconciler.documents.error import RenderError

TIME_LIMIT = 0.5
"""Seconds for one value: a pattern such as `(a|a)*b` would otherwise hang the daemon."""

_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)", re.DOTALL)
_NAMED_REFERENCE = re.compile(r"\\k<(\w+)>")


def matches_whole(pattern: str, value: str) -> bool:
    """Say whether `pattern` matches all of `value`."""
    try:
        # Java's nested classes and `[a&&b]` are what version 1 of the regex module reads; its default reads `re`'s.
        flags = regex.V1 if "&&" in pattern else regex.V0
        return regex.compile(_from_java(pattern), flags).fullmatch(value, timeout=TIME_LIMIT) is not None
    except TimeoutError as error:
        raise RenderError(
            f"allowedPattern {pattern!r} takes longer than {TIME_LIMIT} s: write it without nested repetition"
        ) from error
    except (regex.error, RecursionError) as error:
        raise RenderError(f"allowedPattern {pattern!r} is not a regular expression we can read: {error}") from error


def _from_java(pattern: str) -> str:
    quoted = _QUOTED.sub(lambda part: regex.escape(part[1], special_only=True), pattern)
    return _NAMED_REFERENCE.sub(r"(?P=\1)", quoted)
