"""Commands that were sent: listed and told from their records, and ended."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from reconciler.commands.record import CommandRecord, Invocation
from reconciler.commands.statuses import Detail
from reconciler.daemon.branches import Branches
from reconciler.daemon.cancelling import ask_to_end, is_being_sent, is_to_end
from reconciler.daemon.connections import Connections
from reconciler.daemon.progress_file import being_sent, read_progress
from reconciler.daemon.recording import as_of, read_commands
from reconciler.errors import NodeError, UsageError
from reconciler.ids import NodeId
from reconciler.model.node import Become
from reconciler.plan.run_id import command_subject, run_id
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.source.repository import Repository

CANCEL_PATIENCE = 30.0
"""Seconds that cancel-command waits for the sender: it looks every half second, and a node's answer takes at most a few."""

WORKERS = 32

SENDING = "it is being sent from this host, and has not begun on this node yet"
GONE = "this was known last; its sender is gone, and the next pass completes the record"
ELSEWHERE = "it is being sent from another host, or its sender is gone: then the next pass completes the record"


class Site(Protocol):
    """What it takes to find commands and to end them: a controller is one."""

    @property
    def state_dir(self) -> Path:
        """The state folder of this host."""
        ...

    @property
    def repository(self) -> Repository:
        """The clone to read records from."""
        ...

    @property
    def branches(self) -> Branches:
        """What is in force, and what was reported."""
        ...

    @property
    def connections(self) -> Connections:
        """How nodes are reached."""
        ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """What time it is."""
        ...

    @property
    def outputs(self) -> Path:
        """Where full outputs of runs are kept."""
        ...


def list_commands(site: Site) -> tuple[CommandRecord, ...]:
    """Give every command on record, newest first, as it stands by now."""
    base, _ = site.branches.in_force()
    before = being_sent(
        site.state_dir
    )  # one that ends while we read has told us how far it came, or the record tells more
    tip = site.branches.look(base.desired).standing.tip
    now = site.clock()
    found = [_as_far(site, each, before, now) for each in read_commands(site.repository, tip)]
    return tuple(sorted(found, key=lambda each: (each.requested, each.id), reverse=True))


def _as_far(
    site: Site, record: CommandRecord, before: Mapping[UUID, tuple[Invocation, ...]], now: datetime
) -> CommandRecord:
    """Take in what a sender on this host told meanwhile, and say of what nobody told who knows more."""
    if record.verdict.detail.ended:
        return record
    known = read_progress(site.state_dir, record.id) or before.get(record.id, ())
    is_sent = record.id in before or is_being_sent(site.state_dir, record.id)
    if not is_sent:
        known = tuple(each if each.detail.ended else replace(each, reason=f"{each.reason}; {GONE}") for each in known)
    record = as_of(record.with_invocations(known, cancelled=is_to_end(site.state_dir, record.id)), now)
    pending = (each for each in record.invocations if each.detail is Detail.PENDING and not each.reason)
    return record.with_invocations(replace(each, reason=SENDING if is_sent else ELSEWHERE) for each in pending)


def find_command(site: Site, command: str) -> CommandRecord:
    """Give the one command whose id starts so. Raises UsageError (SSM: InvalidCommandId)."""
    found = [record for record in list_commands(site) if str(record.id).startswith(command.lower())]
    if not command or not found:
        raise UsageError(f"InvalidCommandId: no command {command!r} is known; `reconciler list-commands` lists them")
    if len(found) > 1:
        raise UsageError(f"InvalidCommandId: {command!r} means {len(found)} commands; give more of the id")
    return found[0]


def find_invocation(site: Site, command: str, node: str) -> tuple[CommandRecord, Invocation]:
    """Give one invocation. Raises UsageError (SSM: InvocationDoesNotExist)."""
    record = find_command(site, command)
    invocation = record.of(node)
    if invocation is None:
        raise UsageError(f"InvocationDoesNotExist: command {record.id} was not sent to a node {node!r}")
    return record, invocation


def find_invocations(site: Site, command: str | None, node: str | None) -> tuple[tuple[CommandRecord, Invocation], ...]:
    """Give a command's invocations, or those of every command on record, on one node or on all. Raises UsageError."""
    if command is not None:
        if node is not None:
            return (find_invocation(site, command, node),)
        record = find_command(site, command)
        return tuple((record, each) for each in record.invocations)
    return tuple(
        (record, each)
        for record in list_commands(site)
        for each in record.invocations
        if node is None or each.node == node
    )


def output_of(site: Site, invocation: Invocation, step: int) -> tuple[bytes, bytes]:
    """Give the beginnings of stdout and stderr of one step, as kept on this host; SSM's limits."""
    if invocation.run is None:
        return b"", b""
    kept = OutputKeeper(site.outputs)
    return kept.head(invocation.run, step, "out"), kept.head(invocation.run, step, "err")


def cancel_command(site: Site, command: str, nodes: tuple[str, ...]) -> Iterator[str]:
    """End a command, everywhere or on these nodes; gives what became of it, in words. Raises UsageError."""
    record = find_command(site, command)
    named = tuple(NodeId(node) for node in nodes)
    strangers = sorted(node for node in named if record.of(node) is None)
    if strangers:
        raise UsageError(f"InvalidInstanceId: command {record.id} was not sent to {', '.join(strangers)}")
    if record.verdict.detail.ended:
        yield f"command {record.id} has ended already: {record.verdict.detail.value}"
        return
    if is_being_sent(site.state_dir, record.id):
        yield from _ask_sender(site, record, named)
        return
    going = [each.node for each in record.invocations if not each.detail.ended and (not named or each.node in named)]
    yield from _cancel_on_nodes(site, record, going)


def _ask_sender(site: Site, record: CommandRecord, nodes: tuple[NodeId, ...]) -> Iterator[str]:
    ask_to_end(site.state_dir, record.id, nodes)
    until = time.monotonic() + CANCEL_PATIENCE
    while not nodes and is_being_sent(site.state_dir, record.id) and time.monotonic() < until:
        time.sleep(0.2)
    if nodes or is_being_sent(site.state_dir, record.id):
        yield f"command {record.id}: its sender was asked to end it, and tells what became of it"
        return
    after = find_command(site, str(record.id))
    yield f"command {record.id}: {after.verdict.detail.value}, {after.verdict.reason}"


def _cancel_on_nodes(site: Site, record: CommandRecord, nodes: Iterable[NodeId]) -> Iterator[str]:
    """End the runs themselves: their sender is gone, or sends from another host."""
    base, _ = site.branches.in_force()
    connect = site.connections.pool(base.desired).connect
    subject = command_subject(record.id)
    runs = NodeRuns(OutputKeeper(site.outputs))

    def one(name: NodeId) -> str:
        node = base.desired.nodes.get(name)
        if node is None:
            return f"{name}: it is no node of this fleet any more"
        try:
            with connect(node) as session:
                run = run_id(base.desired.fleet.id, name, subject, 1)
                sight = runs.cancel(session, run, become=node.become is Become.SUDO, for_good=True)
        except NodeError as error:
            return f"{name}: it could not be asked: {error}"
        return f"{name}: {sight.status or sight.why or sight.standing.value}"

    asked = tuple(nodes)
    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(asked))), thread_name_prefix="cancel") as pool:
        yield from pool.map(one, asked)
    yield "nothing it did is undone; the next pass records what became of it"
