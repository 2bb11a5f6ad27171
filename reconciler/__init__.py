"""Keeps a fleet of servers in the state that a git repository describes."""

__version__ = "0.1.0"
