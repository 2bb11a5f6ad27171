"""The figures of docs/benchmarks.md: whole processes on this machine, other tools beside ours in one run.

`python -m benchmarks` prints them, each with its budget; nothing here is part of the program.
"""
