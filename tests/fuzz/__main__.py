"""`python -m tests.fuzz TARGET... --seconds 600`: fuzz, print the figures, keep the inputs that are faults; exit 1 where there are any."""

import argparse
import sys

from tests.fuzz.campaign import engine, fuzz, store
from tests.fuzz.targets import TARGETS

parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--engine", choices=("own", "atheris"), default=engine())
given = parser.parse_args()
has_faults = False
for target in given.targets or TARGETS:
    figures = fuzz(target, seconds=given.seconds, seed=given.seed, engine=given.engine)
    sys.stdout.write(f"{figures}\n")
    for fault in figures.faults:
        has_faults = True
        sys.stdout.write(f"  {fault.where}: {fault.what}\n  kept as {store(fault, target)}\n")
    sys.stdout.flush()
sys.exit(1 if has_faults else 0)
