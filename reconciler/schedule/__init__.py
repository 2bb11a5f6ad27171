"""May it run now, and when next: takes schedule expressions, instants and what ran before; gives instants and decisions.

Pure: no clock is read, `now` is always an argument. SSM's dialect of cron, rate and at (docs/decisions/0002).
Start at `expression.parse`; `association.due` decides for State Manager, `next_run.upcoming` for maintenance windows.
"""
