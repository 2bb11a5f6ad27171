"""One document on this machine, without a repository: the same programs, lock and rules as on a node. Nothing is recorded."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from uuid import uuid4

from reconciler.commands.command import prepare
from reconciler.commands.dispatch import Surroundings, Watch, carry_out
from reconciler.commands.record import Invocation
from reconciler.commands.request import Typed, read_request
from reconciler.daemon.callers import caller
from reconciler.daemon.contents import Contents
from reconciler.daemon.documents import Meant
from reconciler.ids import FleetId, NodeId
from reconciler.model.command import Session
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.node import Node, Transport
from reconciler.model.pause import Pauses
from reconciler.rollout.settle import forget
from reconciler.settings import HostSettings
from reconciler.transport.local import LocalSession

THIS_MACHINE = NodeId("this-machine")
FLEET = FleetId("document-run")
EPOCH = 1
"""Nobody leads here: the lock of the machine alone keeps two documents apart."""


def run_here(
    meant: Meant, parameters: tuple[str, ...], *, settings: HostSettings, interrupted: Event, watch: Watch
) -> Invocation:
    """Run a document on this machine, as who calls, and follow it to its end; gives what came of it. Raises UsageError.

    `interrupted` kills what runs. A document that asks for a reboot fails: nobody would let it go on afterwards.
    """
    node = Node(id=THIS_MACHINE, transport=Transport.LOCAL)
    desired = DesiredState(
        commit=None,
        fleet=Fleet(id=FLEET),
        nodes={THIS_MACHINE: node},
        documents=meant.library.documents,
        parameters=meant.library.parameters,
        packages=meant.library.packages,
    )
    typed = Typed(document_name="AWS-Noop", instance_ids=(THIS_MACHINE,), parameters=parameters)
    with (
        tempfile.TemporaryDirectory(prefix="reconciler-") as outputs,
        closing(
            Contents(Path(outputs, "content"), settings, lambda _commit, _path: None, _now, checkout=meant.read)
        ) as downloads,
    ):
        command = downloads.settle(
            desired,
            lambda contents: prepare(
                read_request(typed),
                desired,
                command=uuid4(),
                login=caller(),
                now=_now(),
                contents=contents,
                brought=meant.document,
            ),
        )
        (invocation,) = carry_out(
            command,
            desired,
            Surroundings(
                connect=_connect,
                epoch=EPOCH,
                not_after=lambda: None,
                clock=_now,
                outputs=Path(outputs),
                stop=Event(),
                pauses=Pauses,
                cancelled=lambda _: interrupted.is_set(),
                tell=lambda *_: None,
                watch=watch,
                read=downloads.read,
                most_reboots=0,
            ),
        )
        if invocation.run is not None and invocation.detail.ended:
            forget({THIS_MACHINE: invocation.run}, desired, connect=_connect, epoch=EPOCH)
    return invocation


@contextmanager
def _connect(node: Node) -> Iterator[Session]:
    yield LocalSession(node)


def _now() -> datetime:
    return datetime.now(UTC)
