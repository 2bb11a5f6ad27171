"""`allowedPattern`: Java regular expressions, matched against the whole value, written by strangers; pure but for time.

A pattern that does not compile, or takes longer than the limit, is a RenderError: nothing is let through unchecked.
"""

import regex

from reconciler.documents.effort import MATCHING_TIME, Effort
from reconciler.documents.error import RenderError
from reconciler.model.java_pattern import PatternError, from_java


def matches_whole(pattern: str, value: str, effort: Effort) -> bool:
    """Say whether `pattern` matches all of `value`, in the time that all patterns of a document have together."""
    try:
        compiled = regex.compile(from_java(pattern), regex.V1)
        with effort.matching() as seconds:
            return compiled.fullmatch(value, timeout=seconds) is not None
    except TimeoutError as error:
        raise RenderError(
            f"allowedPattern {pattern[:400]!r} takes longer than {MATCHING_TIME} s, with those before it: write it without"
            " nested repetition"
        ) from error
    except (PatternError, regex.error, RecursionError) as error:
        raise RenderError(
            f"allowedPattern {pattern[:400]!r} is not a regular expression we can read: {error}"
        ) from error
