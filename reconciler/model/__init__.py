"""The records that travel between the stages: frozen, typed, valid where they exist; no I/O, no clock, no decisions."""
