"""A process that sends a one-step command to every node, as the daemon does over its open connections, once for each line.

    python -m benchmarks.command_child REPOSITORY STATE_FOLDER KEY_DIRECTORY

After each command it writes one line of JSON: its wall time, that of the nodes alone (dispatch to last end), this process' own
processor time, and how it ended.
"""

import json
import sys
import time
from pathlib import Path
from threading import Event

from reconciler.commands.request import Typed, read_request
from reconciler.daemon.callers import this_process
from reconciler.daemon.commanding import office_of, send
from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from reconciler.settings import HostSettings

COMMAND = Typed(
    document_name="AWS-RunShellScript",
    targets=("Key=tag:Role,Values=bench",),
    parameters=("commands=true",),
    max_concurrency="100%",
)


def main() -> None:
    repository, state_dir, keys = sys.argv[1:]
    controller = Controller(repository, settings=HostSettings(key_directory=Path(keys)), state_dir=Path(state_dir))
    controller.one_pass(Request())  # opens the connections
    for _ in sys.stdin:
        _send(controller)
    controller.close()


def _send(controller: Controller) -> None:
    told: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    sent = send(
        office_of(controller),
        read_request(COMMAND),
        who=this_process(),
        stop=Event(),
        tell=lambda *_: told.append(time.perf_counter()),
        confirm=lambda _: None,
    )
    took = time.perf_counter() - began
    answer = {
        "seconds": took,
        "cpu": time.process_time() - cpu,
        "nodes_seconds": told[-1] - told[0],
        "status": sent.record.verdict.detail.value,
        "nodes": len(sent.record.invocations),
        "problems": list(sent.problems),
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
