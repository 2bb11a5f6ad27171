"""MaxConcurrency and MaxErrors as numbers: SSM's expressions over a number of targets; pure."""

import re

_EXPRESSION = re.compile(r"(\d{1,10})(%?)", re.ASCII)


def in_flight_limit(expression: str, targets: int) -> int:
    """Give how many nodes may run at once: a number, or a percentage rounded down, and at least one."""
    number, percent = _parsed(expression)
    return max(1, targets * number // 100 if percent else number)


def error_threshold(expression: str, targets: int) -> int:
    """Give how many errors are tolerated: a roll-out stops when there are more."""
    number, percent = _parsed(expression)
    return targets * number // 100 if percent else number


def errors_in_words(errors: int, threshold: int) -> str:
    """Say that MaxErrors stops a roll-out."""
    return f"{errors} {'error' if errors == 1 else 'errors'}, MaxErrors allows {threshold}"


def unreached_in_words(unreached: int, most: int) -> str:
    """Say that nodes out of reach stop a roll-out."""
    are = "1 node is" if unreached == 1 else f"{unreached} nodes are"
    return f"{are} out of reach, --max-unreachable allows {most}"


def _parsed(expression: str) -> tuple[int, bool]:
    match = _EXPRESSION.fullmatch(expression.strip())
    if match is None:
        raise ValueError(f"{expression!r} is neither a number nor a percentage: write 10 or 10%")
    return int(match[1]), match[2] == "%"
