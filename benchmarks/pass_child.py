"""A process that makes passes over a fleet, as the daemon does: one after its start, then one for each line it is given.

    python -m benchmarks.pass_child REPOSITORY STATE_FOLDER KEY_DIRECTORY

After each pass it writes one line of JSON: what the pass did, its wall time, and the CPU time of this process and of the
git it started.
"""

import json
import resource
import sys
import time
from pathlib import Path

from reconciler.collector import collect_rarely
from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from reconciler.settings import HostSettings


def main() -> None:
    collect_rarely()
    repository, state_dir, keys = sys.argv[1:]
    settings = HostSettings(key_directory=Path(keys))
    controller = Controller(repository, settings=settings, state_dir=Path(state_dir))
    _pass(controller)
    for _ in sys.stdin:
        _pass(controller)
    controller.close()


def _pass(controller: Controller) -> None:
    own, git = _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    result = controller.one_pass(Request())
    took = time.perf_counter() - began
    told = {
        "seconds": took,
        "cpu": _cpu(resource.RUSAGE_SELF) - own,
        "git_cpu": _cpu(resource.RUSAGE_CHILDREN) - git,
        "nodes": len(result.reports),
        "in_sync": result.all_in_sync,
        "ran": len(result.outcomes),
        "committed": result.report_commit,
        "problems": list(result.problems),
        "states": dict(result.summary.states),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
