"""Epochs of leaders: the one limit that leases and what nodes say of them are held to."""

from typing import Final

MOST_EPOCHS: Final = 10**9
"""More changes of leaders than there are: the next one must still be a number for every shell that compares it."""
