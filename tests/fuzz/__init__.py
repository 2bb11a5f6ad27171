"""Fuzzing of everything that reads foreign text: `python -m tests.fuzz TARGET --seconds 600`, `make fuzz` for all."""
