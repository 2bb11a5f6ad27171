"""Passes, one or for ever: wakes up, reads git, runs a pass, commits the report; the only stage that holds them all."""
