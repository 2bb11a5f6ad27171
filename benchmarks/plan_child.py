"""A process that plans a made-up fleet: once after its start, then again for each line it is given.

    python -m benchmarks.plan_child REPOSITORY STATE_FOLDER INSTANT

After each plan it writes one line of JSON: seconds of this plan, items, peak memory in MiB of itself (not what
getrusage tells, which begins with the peak of whoever started it). Its parent takes the time from the process' start to the first line.
"""

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.opening import open_view
from reconciler.collector import collect_rarely
from tests.support.peak_memory import resident

if TYPE_CHECKING:
    from reconciler.daemon.repository_view import RepositoryView


def main() -> None:
    collect_rarely()
    repository, state_dir, instant = sys.argv[1:]
    at = datetime.fromisoformat(instant)
    settings = Path(state_dir) / "host.yaml"  # none of this host's own
    settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.touch()
    with open_view(repository, Path(state_dir), settings) as view:
        _plan(view, at)
        for _ in sys.stdin:
            _plan(view, at)


def _plan(view: "RepositoryView", at: datetime) -> None:
    before = time.process_time()
    began = time.perf_counter()
    planned = view.plan_committed(limit=(), inventory="compliance", at=at)
    told = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - before,
        "commit": planned.plan.commit,
        "digest": planned.plan.digest,
        "items": len(planned.plan.items),
        "left_out": len(planned.plan.left_out),
        "peak_mib": resident("VmHWM") / 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
