"""Carries a plan out: takes plan items, rendered documents and a way to reach nodes; gives Outcomes and RunRecords.

Decides no rule of what should run; `progress` and the reading of run folders are pure, `run`, `node_run` and `settle` do I/O.
"""
