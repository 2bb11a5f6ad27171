"""Commands, sent from this host: takes the lease as a pass does, records before and after, and lets the nodes forget the runs.

What is committed last is what became of each node. A command whose sender was killed goes on on the nodes; the next pass
settles it like any other run.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from threading import Event
from uuid import uuid4

from reconciler.commands.command import Command, prepare
from reconciler.commands.dispatch import Surroundings, Tell, carry_out
from reconciler.commands.policy import why_not
from reconciler.commands.record import (
    CommandRecord,
    Invocation,
    begin_record,
    encode_record,
)
from reconciler.commands.request import Request
from reconciler.commands.statuses import Detail
from reconciler.commit.lease import Held
from reconciler.commit.message import Message
from reconciler.commit.state_folder import served_by, writing_from
from reconciler.daemon.cancelling import ask_to_end, is_being_sent, sending
from reconciler.daemon.controller import Controller
from reconciler.daemon.pause_file import login_name
from reconciler.daemon.recording import read_commands
from reconciler.daemon.reporting import Reports
from reconciler.drift.lost_history import guarded
from reconciler.errors import CommitError, LeaseLost, NodeError, UsageError
from reconciler.ids import FleetId, NodeId
from reconciler.inventory.collect import ask
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.node import Become, Node
from reconciler.model.questions import Questions
from reconciler.plan.run_id import command_subject, run_id
from reconciler.rollout.fencing import announce, epoch_on
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.settle import forget

CANCEL_PATIENCE = 30.0
"""Seconds that cancel-command waits for the sender: it looks every half second, and a node's answer takes at most a few."""

WORKERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of send-command."""

    record: CommandRecord
    problems: tuple[str, ...]
    """Foreign text."""
    report_commit: str | None


def send(
    controller: Controller,
    request: Request,
    *,
    login: str,
    stop: Event,
    tell: Tell,
    confirm: Callable[[Command], None],
) -> Sent:
    """Send a command and follow it to its end. Raises UsageError, LeaseLost and what git raises; nothing was sent then."""
    daemon = served_by(controller.state_dir)
    if daemon is not None:
        raise LeaseLost(
            f"{daemon}, leads from the state folder {controller.state_dir}: stop it, send the command, start it again; "
            "or write an association and `reconciler apply` it"
        )
    base, accepted = controller.branches.in_force()
    reports = controller.branches.look(base.desired)
    reports, accepted, base = controller.branches.agree(reports, accepted, base)
    command = controller.contents.settle(
        base.desired,
        lambda contents: prepare(
            request, base.desired, command=uuid4(), login=login, now=controller.clock(), contents=contents
        ),
    )
    refused = why_not(controller.command_rules, login_name(), command, base.desired)
    if refused is not None:
        raise UsageError(f"AccessDenied: {refused}; nothing was sent")
    confirm(command)
    with writing_from(controller.state_dir, "send-command"):
        return _send(controller, command, base.desired, reports, stop, tell, list(accepted.problems))


def _send(
    controller: Controller,
    command: Command,
    desired: DesiredState,
    reports: Reports,
    stop: Event,
    tell: Tell,
    problems: list[str],
) -> Sent:
    if reports.standing.lost is not None:
        raise CommitError(f"nothing was sent, for it could not be recorded: {reports.standing.lost}")
    connect = controller.connections.pool(desired).connect
    facts = _asked([desired.nodes[node] for node in command.nodes], desired.fleet.id, connect)
    lost = guarded(reports.read.history, facts, command.requested, partial(run_id, desired.fleet.id)).lost
    if lost is not None:
        raise CommitError(f"nothing was sent: {lost}")
    held = _lead(controller, command, desired, facts)
    if not held.confirmed:
        problems.append(held.reason)
    books = _Books(controller, reports, held.lease.epoch, problems)
    record = begin_record(command, desired.commit)
    books.write(record, f"Send {command.document.name} to {len(command.nodes)} nodes")
    with sending(controller.state_dir, command.id) as cancel:
        invocations = carry_out(
            command,
            desired,
            Surroundings(
                connect=connect,
                epoch=held.lease.epoch,
                not_after=held.lease.expires if held.confirmed else None,
                clock=controller.clock,
                outputs=controller.outputs,
                stop=stop,
                pauses=controller.pauses.read,
                cancelled=cancel.of,
                tell=tell,
                read=controller.contents.read,
            ),
        )
        record = record.with_invocations(invocations, cancelled=cancel.asked)
    words = f"{command.document.name}: {record.verdict.detail.value}, {record.verdict.reason}"
    made, published = books.write(record, words)
    if published:
        runs = {each.node: each.run for each in record.invocations if each.run is not None and each.detail.ended}
        untold = forget(runs, desired, connect=connect, epoch=held.lease.epoch)
        problems.extend(f"{node}: it keeps its run folder until the next pass: {why}" for node, why in untold.items())
    return Sent(record=record, problems=tuple(problems), report_commit=made)


def _lead(controller: Controller, command: Command, desired: DesiredState, facts: Mapping[NodeId, Facts]) -> Held:
    """Take the lease for as long as the command may take, with an epoch that its nodes accept."""
    verdict = controller.lead(desired, command.expires - command.requested)
    if isinstance(verdict, Held):
        seen = max((epoch_on(found, desired.fleet.id) for found in facts.values()), default=0)
        verdict = controller.lead_above(seen) or verdict
        if isinstance(verdict, Held):
            announce(facts, desired, verdict.lease.epoch, connect=controller.connections.pool(desired).connect)
            return verdict
    raise LeaseLost(
        f"nothing was sent: {verdict.reason}; send it from that host, or lead from here with `reconciler once --take-over`"
    )


def _asked(nodes: list[Node], fleet: FleetId, connect: Connect) -> Mapping[NodeId, Facts]:
    """Ask nodes for the leaders they have heard of, and what they remember; one that is away now decides for itself later."""
    questions = Questions(fleet=fleet)

    def one(node: Node) -> Facts | None:
        try:
            with connect(node) as session:
                return ask(session, node, questions, only=frozenset({"epochs", "markers", "identity"})).facts
        except NodeError:
            return None

    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(nodes))), thread_name_prefix="ask") as pool:
        answers = list(pool.map(one, nodes))
    return {node.id: found for node, found in zip(nodes, answers, strict=True) if found is not None}


class _Books:
    """Writes a command's record to the compliance branch, and brings it where reports go."""

    def __init__(self, controller: Controller, reports: Reports, epoch: int, problems: list[str]) -> None:
        self._clock = controller.clock
        self._branch = reports.branch
        self._epoch = epoch
        self._problems = problems

    def write(self, record: CommandRecord, subject: str) -> tuple[str | None, bool]:
        """Commit and publish; gives the commit, and whether every place has it."""
        message = Message(
            subject=subject,
            body=f"Sent by {record.login}",
            trailers={"State-Commit": str(record.state_commit), "Command": str(record.id)},
        )
        files = {record.path: encode_record(record)}
        made = self._branch.write(files, message, now=self._clock(), epoch=self._epoch)
        try:
            publication = self._branch.publish(epoch=self._epoch)
        except LeaseLost as exc:
            self._problems.append(str(exc))
            return made, False
        self._problems.extend(publication.reasons)
        return made, publication.complete


# What was sent


def list_commands(controller: Controller) -> tuple[CommandRecord, ...]:
    """Give every command on record, newest first, as it stands by now."""
    base, _ = controller.branches.in_force()
    tip = controller.branches.look(base.desired).standing.tip
    now = controller.clock()
    found = [as_of(each, now) for each in read_commands(controller.repository, tip)]
    return tuple(sorted(found, key=lambda each: (each.requested, each.id), reverse=True))


def as_of(record: CommandRecord, now: datetime) -> CommandRecord:
    """Give a record as it stands at an instant: what has not ended when the command expires counts as not delivered."""
    if now < record.expires:
        return record
    late = "no end of it was reported before the command expired"
    return record.with_invocations(
        replace(each, detail=Detail.DELIVERY_TIMED_OUT, reason=each.reason or late)
        for each in record.invocations
        if not each.detail.ended
    )


def find_command(controller: Controller, command: str) -> CommandRecord:
    """Give the one command whose id starts so. Raises UsageError (SSM: InvalidCommandId)."""
    found = [record for record in list_commands(controller) if str(record.id).startswith(command.lower())]
    if not command or not found:
        raise UsageError(f"InvalidCommandId: no command {command!r} is known; `reconciler list-commands` lists them")
    if len(found) > 1:
        raise UsageError(f"InvalidCommandId: {command!r} means {len(found)} commands; give more of the id")
    return found[0]


def find_invocation(controller: Controller, command: str, node: str) -> tuple[CommandRecord, Invocation]:
    """Give one invocation. Raises UsageError (SSM: InvocationDoesNotExist)."""
    record = find_command(controller, command)
    invocation = record.of(node)
    if invocation is None:
        raise UsageError(f"InvocationDoesNotExist: command {record.id} was not sent to a node {node!r}")
    return record, invocation


def output_of(controller: Controller, invocation: Invocation, step: int) -> tuple[bytes, bytes]:
    """Give the beginnings of stdout and stderr of one step, as kept on this host; SSM's limits."""
    if invocation.run is None:
        return b"", b""
    kept = OutputKeeper(controller.outputs)
    return kept.head(invocation.run, step, "out"), kept.head(invocation.run, step, "err")


# Ending one


def cancel_command(controller: Controller, command: str, nodes: tuple[str, ...]) -> Iterator[str]:
    """End a command, everywhere or on these nodes; gives what became of it, in words. Raises UsageError."""
    record = find_command(controller, command)
    named = tuple(NodeId(node) for node in nodes)
    strangers = sorted(node for node in named if record.of(node) is None)
    if strangers:
        raise UsageError(f"InvalidInstanceId: command {record.id} was not sent to {', '.join(strangers)}")
    if record.verdict.detail.ended:
        yield f"command {record.id} has ended already: {record.verdict.detail.value}"
        return
    if is_being_sent(controller.state_dir, record.id):
        yield from _ask_sender(controller, record, named)
        return
    going = [each.node for each in record.invocations if not each.detail.ended and (not named or each.node in named)]
    yield from _cancel_on_nodes(controller, record, going)


def _ask_sender(controller: Controller, record: CommandRecord, nodes: tuple[NodeId, ...]) -> Iterator[str]:
    ask_to_end(controller.state_dir, record.id, nodes)
    until = time.monotonic() + CANCEL_PATIENCE
    while not nodes and is_being_sent(controller.state_dir, record.id) and time.monotonic() < until:
        time.sleep(0.2)
    if nodes or is_being_sent(controller.state_dir, record.id):
        yield f"command {record.id}: its sender was asked to end it, and tells what became of it"
        return
    after = find_command(controller, str(record.id))
    yield f"command {record.id}: {after.verdict.detail.value}, {after.verdict.reason}"


def _cancel_on_nodes(controller: Controller, record: CommandRecord, nodes: Iterable[NodeId]) -> Iterator[str]:
    """End the runs themselves: their sender is gone, or sends from another host."""
    base, _ = controller.branches.in_force()
    connect = controller.connections.pool(base.desired).connect
    subject = command_subject(record.id)
    runs = NodeRuns(OutputKeeper(controller.outputs))

    def one(name: NodeId) -> str:
        node = base.desired.nodes.get(name)
        if node is None:
            return f"{name}: it is no node of this fleet any more"
        try:
            with connect(node) as session:
                run = run_id(base.desired.fleet.id, name, subject, 1)
                sight = runs.cancel(session, run, become=node.become is Become.SUDO)
        except NodeError as error:
            return f"{name}: it could not be asked: {error}"
        return f"{name}: {sight.status or sight.standing.value}"

    asked = tuple(nodes)
    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(asked))), thread_name_prefix="cancel") as pool:
        yield from pool.map(one, asked)
    yield "nothing it did is undone; the next pass records what became of it"
