"""A process that sends a one-step command to every node, as the daemon does over its open connections, once for each line.

    python -m benchmarks.command_child REPOSITORY STATE_FOLDER KEY_DIRECTORY

After each command it writes one line of JSON: its wall time until the result is told, that of the nodes alone (dispatch to last
end), that of the clean-up behind it, the processor time of this process and of the git it starts until all is done, and how it ended.
"""

import json
import resource
import sys
import time
from pathlib import Path
from threading import Event

from reconciler.collector import collect_rarely
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
    collect_rarely()  # as the daemon does
    repository, state_dir, keys = sys.argv[1:]
    controller = Controller(repository, settings=HostSettings(key_directory=Path(keys)), state_dir=Path(state_dir))
    controller.one_pass(Request())  # opens the connections
    for _ in sys.stdin:
        _send(controller)
    controller.close()


def _send(controller: Controller) -> None:
    told: list[float] = []
    answered: list[float] = []
    began, cpu, git_cpu = time.perf_counter(), time.process_time(), _git_cpu()
    sent = send(
        office_of(controller),
        read_request(COMMAND),
        who=this_process(),
        stop=Event(),
        tell=lambda *_: told.append(time.perf_counter()),
        confirm=lambda _: None,
        answer=lambda _: answered.append(time.perf_counter()),
    )
    ended = time.perf_counter()
    answer = {
        "seconds": answered[0] - began,
        "tidying": ended - answered[0],
        "cpu": time.process_time() - cpu,
        "git_cpu": _git_cpu() - git_cpu,
        "nodes_seconds": told[-1] - told[0],
        "status": sent.record.verdict.detail.value,
        "nodes": len(sent.record.invocations),
        "problems": [*sent.problems, *sent.untidy],
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _git_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
