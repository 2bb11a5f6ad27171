"""Run by the interpreter that has pyinfra, in the folder with inventory.py: the parts of a no-change `apt.packages`."""

import json
import runpy
import sys
import time
from pathlib import Path

from gevent import monkey

monkey.patch_all()  # as pyinfra's own command does before anything else: without it hosts are connected to one by one

from pyinfra.api import Config, Inventory, State  # noqa: E402 - see above
from pyinfra.api.connect import connect_all  # noqa: E402
from pyinfra.api.operation import add_op  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.operations import apt  # noqa: E402

hosts = runpy.run_path("inventory.py")["hosts"]
packages = json.loads(Path("packages.json").read_text(encoding="ascii"))

began = time.perf_counter()
state = State(Inventory((hosts, {})), Config())
connect_all(state)
connected = time.perf_counter()
add_op(state, apt.packages, packages=packages, present=True)
run_ops(state)
ended = time.perf_counter()

unchanged = 0
for host in state.activated_hosts:
    result = state.results[host]
    if result.error_ops == 0 and all(not state.ops[host][op].operation_meta.did_change() for op in state.ops[host]):
        unchanged += 1
sys.stdout.write(json.dumps({"connect": connected - began, "work": ended - connected, "unchanged": unchanged}) + "\n")
