"""Text of a state repository -> records, with the place of every value: what `read_state` is made of; no I/O, no clock."""
