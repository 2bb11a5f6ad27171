"""What a misspelt word was most likely meant to be; pure. Case counts for nothing, and so does whoever writes a million words."""

from collections.abc import Collection
from difflib import get_close_matches

LONGEST = 100
"""Characters of a word that are looked at."""
_CLOSE = 0.7
_MOST_KNOWN = 500
"""Words among which a misspelt one is looked for: 10 microseconds each."""


def nearest(word: str, known: Collection[str]) -> str | None:
    """Give the known word that is nearest; None where none is near, or there are too many."""
    if len(known) > _MOST_KNOWN:
        return None
    folded = {name.lower(): name for name in known if len(name) <= LONGEST}
    if word.lower() in folded:
        return folded[word.lower()]
    close = get_close_matches(word.lower()[:LONGEST], folded, n=1, cutoff=_CLOSE)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Give what to put behind a message about an unknown word: a guess, or nothing."""
    guess = nearest(word, known)
    return f"; did you mean {guess}?" if guess else ""
