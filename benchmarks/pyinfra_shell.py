"""Run by the interpreter that has pyinfra, in the folder with inventory.py: connecting, and then `server.shell` with `true`."""

import json
import runpy
import sys
import time

from gevent import monkey

monkey.patch_all()  # as pyinfra's own command does before anything else: without it hosts are connected to one by one

from pyinfra.api import Config, Inventory, State  # noqa: E402 - see above
from pyinfra.api.connect import connect_all, disconnect_all  # noqa: E402
from pyinfra.api.operation import add_op  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.operations import server  # noqa: E402

hosts = runpy.run_path("inventory.py")["hosts"]
runs = int(sys.argv[1])

connecting, seconds, cpu, well = [], [], [], []
for _ in range(runs + 1):  # the first one loads what is loaded once
    began = time.perf_counter()
    state = State(Inventory((hosts, {})), Config())
    connect_all(state)
    connecting.append(time.perf_counter() - began)
    began, cpu_before = time.perf_counter(), time.process_time()
    add_op(state, server.shell, commands=["true"])
    run_ops(state)
    seconds.append(time.perf_counter() - began)
    cpu.append(time.process_time() - cpu_before)
    well.append(sum(1 for host in state.activated_hosts if state.results[host].error_ops == 0))
    disconnect_all(state)
told = {"connecting": connecting[1:], "seconds": seconds[1:], "cpu": cpu[1:], "well": min(well)}
sys.stdout.write(json.dumps(told) + "\n")
