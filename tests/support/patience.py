"""How long connections of tests may take: this machine, which is all of their nodes, may stand still for many seconds."""

from datetime import timedelta

from reconciler.transport.wire import Patience

STEP = timedelta(seconds=25)
"""For each step towards a connection, where a test does not say otherwise. A stall of both ends at once, which only tests
know, uses up what an operator's nodes get: the daemon would truly say of them that they did not answer in time. Less than
the 30 s after which a pass goes on without a node: what a node does not do is told, not that nobody waits for it."""


def be_patient() -> None:
    """Give every connection that this process opens from now on so much time."""
    defaults = Patience.__init__.__kwdefaults__
    for step in ("connect", "greeting", "handshake", "login", "channel"):
        assert step in defaults, step
        defaults[step] = STEP
