"""Stable exit codes, the same for every command."""

from enum import IntEnum


class Exit(IntEnum):
    """What a shell sees."""

    DONE = 0
    """Done, and nothing is left."""
    NO_ANSWER = 1
    """No answer: a bad repository, no git, a bug."""
    NOT_IN_SYNC = 2
    """Something is pending, waiting, drifted, failed or unknown."""
    USAGE = 64
    INTERRUPTED = 130
