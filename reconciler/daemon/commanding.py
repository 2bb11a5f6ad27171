"""Commands, sent from this host: leads as a pass does, records before and after, and lets the nodes forget the runs.

What is committed last is what became of each node; whoever asked hears it then, and the nodes forget their runs behind it. A
command whose sender was killed goes on on the nodes; the next pass settles it like any other run.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from uuid import uuid4

from reconciler.commands.command import Announcement, Command, prepare
from reconciler.commands.dispatch import Surroundings, Tell, Watch, carry_out
from reconciler.commands.policy import why_not
from reconciler.commands.record import CommandRecord, begin_record, encode_record
from reconciler.commands.request import Request
from reconciler.commit.lease import Held
from reconciler.commit.message import Message
from reconciler.commit.state_folder import served_by, writing_from
from reconciler.daemon.branches import Branches
from reconciler.daemon.callers import Caller
from reconciler.daemon.cancelling import sending
from reconciler.daemon.contents import Contents
from reconciler.daemon.controller import Controller
from reconciler.daemon.host_errors import host_errors
from reconciler.daemon.output_delivery import Put, deliver, ready
from reconciler.daemon.patch_files import PatchFiles
from reconciler.daemon.patch_orders import Books, patch_orders
from reconciler.daemon.progress_file import progress_told
from reconciler.daemon.reports import Reports
from reconciler.daemon.tidying import Tidying
from reconciler.drift.epochs import Heard, heard_from
from reconciler.drift.lost_history import guarded
from reconciler.errors import CommitError, LeaseLost, NodeError, ReconcilerError, UsageError
from reconciler.ids import CommitId, FleetId, NodeId
from reconciler.inventory.collect import ask
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.command_rule import CommandRule
from reconciler.model.desired import DesiredState
from reconciler.model.document import Document
from reconciler.model.known import Observed
from reconciler.model.node import Node
from reconciler.model.patch_order import PatchOrder
from reconciler.model.pause import Pauses
from reconciler.model.questions import Questions
from reconciler.plan.run_id import run_id
from reconciler.rollout.fencing import announce
from reconciler.rollout.settle import forget

WORKERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Under what a command acts."""

    epoch: int
    until: Callable[[], datetime | None]
    """When our lease ends, as it stands at that moment; None: the nodes alone decide."""
    note: str | None = None
    """What a person should hear of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What it takes to send commands from this host: a process of its own has one, and each client of a daemon."""

    state_dir: Path
    branches: Branches
    contents: Contents
    patch_files: PatchFiles
    connect: Callable[[DesiredState], Connect]
    rules: tuple[CommandRule, ...]
    clock: Callable[[], datetime]
    outputs: Path
    pauses: Callable[[], Pauses]
    alone: Callable[[], AbstractContextManager[None]]
    """Keeps other writers of the state folder away while a command is under way, where they must be."""
    lead: Callable[[Command, DesiredState, Heard], Leads]
    """From the epochs that nodes know; raises LeaseLost where somebody else leads."""
    known: Callable[[], Mapping[NodeId, Facts]] = dict
    """What nodes last said to this process, or to the one before it."""
    tidying: Tidying = field(default_factory=Tidying)
    """Which nodes this process cleans up behind commands that were answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of send-command."""

    record: CommandRecord
    problems: tuple[str, ...]
    """Foreign text."""
    report_commit: str | None
    untidy: tuple[str, ...] = ()
    """Which nodes keep their run folders until the next pass, and why: known once all were told. Foreign text."""


def office_of(controller: Controller) -> Office:
    """Give what a process of its own sends with. Raises LeaseLost where a daemon serves from its state folder."""
    daemon = served_by(controller.state_dir)
    if daemon is not None:
        raise LeaseLost(
            f"{daemon}, leads from the state folder {controller.state_dir} and takes no commands: it is of an earlier "
            "version, or about to end; start it again, and send the command then"
        )

    def lead(command: Command, desired: DesiredState, heard: Heard) -> Leads:
        verdict = controller.lead(desired, command.expires - command.requested)
        if isinstance(verdict, Held):
            verdict = controller.lead_above(heard) or verdict
        if not isinstance(verdict, Held):
            raise LeaseLost(
                f"nothing was sent: {verdict.reason}; send it from that host, or lead from here with "
                "`reconciler once --take-over`"
            )
        end = verdict.lease.expires if verdict.confirmed else None
        return Leads(epoch=verdict.lease.epoch, until=lambda: end, note=None if verdict.confirmed else verdict.reason)

    return Office(
        state_dir=controller.state_dir,
        branches=controller.branches,
        contents=controller.contents,
        patch_files=controller.patch_files,
        connect=lambda desired: controller.connections.pool(desired).connect,
        rules=controller.command_rules,
        clock=controller.clock,
        outputs=controller.outputs,
        pauses=controller.pauses.read,
        alone=lambda: writing_from(controller.state_dir, "send-command"),
        lead=lead,
        known=controller.last_facts,
        tidying=controller.tidying,
    )


def _nobody(_sent: Sent) -> None:
    """Tell nobody."""


def send(  # noqa: PLR0913  (all but two by keyword, and none of them is known to the others)
    office: Office,
    request: Request,
    *,
    who: Caller,
    stop: Event,
    tell: Tell,
    confirm: Callable[[Announcement], None],
    brought: Document | None = None,
    watch: Watch | None = None,
    answer: Callable[[Sent], None] = _nobody,
) -> Sent:
    """Send a command and follow it to its end. Raises UsageError, LeaseLost and what git raises; nothing was sent then.

    `answer` hears the result once it is recorded; only then the nodes forget their runs, and this returns. Until it does we are
    the command's sender for everybody else: whoever makes a pass meanwhile leaves its runs alone.
    """
    base, accepted = office.branches.in_force()
    reports = office.branches.look(base.desired)
    reports, accepted, base = office.branches.agree(reports, accepted, base)
    known = base.desired
    if request.version.isdigit():
        known = office.branches.with_numbers(known, str(request.document))
    command = office.contents.settle(
        base.desired,
        lambda contents: prepare(
            request,
            known,
            command=uuid4(),
            login=who.words,
            now=office.clock(),
            contents=contents,
            brought=brought,
        ),
    )
    refused = why_not(office.rules, who.login, command, base.desired)
    if refused is not None:
        raise UsageError(f"AccessDenied: {refused}; nothing was sent")
    with ready(request.output) as put:
        confirm(command.announcement)
        with office.alone():
            return _send(
                office,
                command,
                base.desired,
                reports,
                _Ears(stop=stop, tell=tell, watch=watch, put=put, answer=answer),
                list(accepted.problems),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ears:
    """Who hears of a command under way, and may end the waiting for it."""

    stop: Event
    tell: Tell
    watch: Watch | None
    put: Put | None
    """Brings output to where the request wants it."""
    answer: Callable[[Sent], None]


def _send(
    office: Office,
    command: Command,
    desired: DesiredState,
    reports: Reports,
    ears: "_Ears",
    problems: list[str],
) -> Sent:
    if reports.standing.lost is not None:
        raise CommitError(f"nothing was sent, for it could not be recorded: {reports.standing.lost}")
    direct = office.connect(desired)
    connect = office.tidying.behind(direct)
    leads = _leading(office, command, desired, reports, connect)
    if leads.note is not None:
        problems.append(leads.note)
    books = _Books(office, reports, leads.epoch, problems)
    record = begin_record(command, desired.commit)
    # From before the first word of it to the last: whoever makes a pass meanwhile leaves its runs to us.
    with sending(office.state_dir, command.id) as cancel, progress_told(office.state_dir, record) as note:
        books.begin(record, f"Send {command.document.name} to {len(command.nodes)} nodes")
        invocations = carry_out(
            command,
            desired,
            Surroundings(
                connect=connect,
                epoch=leads.epoch,
                not_after=leads.until,
                clock=office.clock,
                outputs=office.outputs,
                stop=ears.stop,
                pauses=office.pauses,
                cancelled=cancel.of,
                is_any_cancelled=lambda: cancel.asked,
                tell=ears.tell,
                note=note,
                read=partial(office.patch_files.read_or, office.contents.read),
                watch=ears.watch,
                patches=_patches(command, desired, _known(reports, office), connect, office.clock()),
            ),
        )
        if ears.put is not None and command.request.output is not None:
            ended = [each for each in invocations if each.detail.ended]
            undelivered = deliver(ears.put, command.request.output, command, ended, office.outputs)
            problems.extend(undelivered)
            record = record.with_undelivered(undelivered)
        record = record.with_invocations(invocations, cancelled=cancel.asked)
        words = f"{command.document.name}: {record.verdict.detail.value}, {record.verdict.reason}"
        made, published = books.end(record, words)
        sent = Sent(record=record, problems=tuple(problems), report_commit=made)
        known = record.invocations if published else ()
        runs = {each.node: each.run for each in known if each.run is not None and each.detail.ended}
        with office.tidying.of(runs, direct) as tidying:  # from before the answer on: the next command may come at once
            try:
                ears.answer(sent)
            finally:  # who asked may be gone: the nodes forget all the same
                untold = forget(runs, desired, connect=tidying, epoch=leads.epoch)
    untidy = tuple(f"{node}: it keeps its run folder until the next pass: {why}" for node, why in untold.items())
    return replace(sent, untidy=untidy)


def _known(reports: Reports, office: Office) -> Books:
    return Books(ledger=reports.read.ledger, nodes=reports.read.history.nodes, kept=office.patch_files.kept())


def _patches(
    command: Command, desired: DesiredState, books: Books, connect: Connect, now: datetime
) -> Mapping[NodeId, Observed[PatchOrder | None]]:
    """Ask the nodes of a patch document what they miss; other documents ask nothing."""
    request = command.definition.rendered.patch_request
    if request is None:
        return {}
    nodes = [desired.nodes[node] for node in command.nodes if node not in command.denied]
    return patch_orders(request, nodes, desired, books, connect, now)


def _leading(office: Office, command: Command, desired: DesiredState, reports: Reports, connect: Connect) -> Leads:
    """Lead, above whatever nodes know. Raises LeaseLost, and CommitError where nodes remember more than the branch.

    Nodes are asked for that where somebody else may have led since they last spoke to us: only then their epochs decide. A
    lease that stands keeps everybody else away, and each start is refused by its own node where that knows a higher epoch.
    """
    nodes, history = [desired.nodes[node] for node in command.nodes], reports.read.history
    known = office.known()
    if history.commit is not None and all(node.id in known for node in nodes):
        leads = office.lead(command, desired, heard_from({node.id: known[node.id] for node in nodes}, desired))
        if leads.until() is not None:
            return leads
    facts = _asked(nodes, desired.fleet.id, connect)
    lost = guarded(history, facts, command.requested, partial(run_id, desired.fleet.id)).lost
    if lost is not None:
        raise CommitError(f"nothing was sent: {lost}")
    leads = office.lead(command, desired, heard_from(facts, desired))
    announce(facts, desired, leads.epoch, connect=connect)
    return leads


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

    def __init__(self, office: Office, reports: Reports, epoch: int, problems: list[str]) -> None:
        self._clock = office.clock
        self._branch = reports.branch
        self._epoch = epoch
        self._problems = problems

    def begin(self, record: CommandRecord, subject: str) -> None:
        """Write it before anything is sent. Raises LeaseLost where somebody else leads by now, and what git raises."""
        try:
            self._branch.check_epoch(self._epoch)  # as last seen: then not even a record is made
            self._write(record, subject)
            publication = self._branch.publish(epoch=self._epoch)
        except LeaseLost as exc:
            raise LeaseLost(f"nothing was sent: {exc}") from exc
        self._problems.extend(publication.reasons)

    def end(self, record: CommandRecord, subject: str) -> tuple[str | None, bool]:
        """Write what came of it; gives the commit, and whether every place has it. It ran, whatever hinders that: told as a problem."""
        made: str | None = None
        try:
            with host_errors():
                made = self._write(record, subject)
                publication = self._branch.publish(epoch=self._epoch)
        except LeaseLost as exc:
            self._problems.append(str(exc))
        except ReconcilerError as exc:
            self._problems.append(
                f"the result is not recorded: {exc}; the next pass completes it from what the nodes say"
            )
        else:
            self._problems.extend(publication.reasons)
            return made, publication.complete
        return made, False

    def _write(self, record: CommandRecord, subject: str) -> CommitId | None:
        message = Message(
            subject=subject,
            body=f"Sent by {record.login}",
            trailers={"State-Commit": str(record.state_commit), "Command": str(record.id)},
        )
        return self._branch.write({record.path: encode_record(record)}, message, now=self._clock(), epoch=self._epoch)
