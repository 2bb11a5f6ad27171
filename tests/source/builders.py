"""Instants and people for the tests of git."""

from datetime import UTC, datetime

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
