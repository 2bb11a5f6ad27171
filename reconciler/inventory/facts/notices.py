"""Notices (updateinfo) that name a version on offer; they come in the frame of `available`, whose lines refer to them."""

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.rpm import offers


def parse(stdout: str, _: Asked) -> Rows:
    """Give ID -> lines of notices; none with apt, whose archives publish none."""
    return offers.read_notices(stdout) if stdout.startswith("repositories ") else {}


FACT = Fact(section="notices", frame="available", parse=parse)
