"""The daemon's local socket: takes commands from this host's users, and runs them on the daemon's own connections and lease.

Each client has a thread of its own, and each command another repository handle: a client that is slow, silent or gone
holds up nobody, and its command goes on. What a client says of itself counts for nothing; the kernel says who it is.
"""

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import structlog

from reconciler.commands.command import Announcement, Command
from reconciler.commands.record import encode_record
from reconciler.commands.request import read_request
from reconciler.commit.lease import Held, HeldBy
from reconciler.daemon.branches import Branches
from reconciler.daemon.callers import Caller, peer_of
from reconciler.daemon.command_wire import (
    MOST_ASKED,
    VERSION,
    Gone,
    Line,
    Malformed,
    address_in,
    decode_brought,
    decode_typed,
    refusal,
    texts,
)
from reconciler.daemon.commanding import Leads, Office, Sent, send
from reconciler.daemon.connections import Connections
from reconciler.daemon.contents import Contents
from reconciler.daemon.controller import Controller
from reconciler.daemon.following import Following
from reconciler.daemon.host_errors import host_errors
from reconciler.daemon.sent_commands import cancel_command
from reconciler.daemon.under_way import Places
from reconciler.drift.epochs import Heard
from reconciler.errors import LeaseLost, ReconcilerError, SettingsError, UsageError
from reconciler.model.desired import DesiredState
from reconciler.source.repository import Repository

log = structlog.get_logger()

REQUEST_PATIENCE = 10.0
"""Seconds a client has for its request: a program of ours sends it at once."""

CONFIRM_PATIENCE = 600.0
"""Seconds a person has to type a number of nodes. Nothing is held meanwhile but a thread."""

WRITE_PATIENCE = 20.0
"""Seconds a client may take for one line before it counts as gone."""

FIRST_PASS_PATIENCE = 60.0
"""Seconds a command waits for the daemon's first look at the lease."""

MOST_CLIENTS = 32
MOST_UNDER_WAY = 8
"""Commands at a time, each with up to 32 threads. SSM's agent takes 5 at a time on a node; one document runs there at a time here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What ending commands takes, from a thread of its own."""

    state_dir: Path
    repository: Repository
    branches: Branches
    connections: Connections
    clock: Callable[[], datetime]
    outputs: Path


class CommandSocket:
    """Listens from its making until it is closed, which waits for what is under way."""

    def __init__(
        self, controller: Controller, stop: threading.Event, on_bug: Callable[[], None] = lambda: None
    ) -> None:
        """Begin to listen. Raises SettingsError where the state folder takes no socket. `on_bug` hears of `broken`."""
        self._controller = controller
        self._stop = stop
        self._on_bug = on_bug
        self._lines: set[Line] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._under_way = Places(MOST_UNDER_WAY)
        self.broken: BaseException | None = None
        """A bug met by a client's thread: for the daemon to end by."""
        self._listener = _listening(controller.state_dir)
        self._accepting = threading.Thread(target=self._accept, name="command-socket")
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Take nobody more, end what is only being asked, stop what is under way, and wait for it to be recorded."""
        self._stop.set()
        self._closing.set()
        with _path_of(self._controller.state_dir) as path, _ignoring(FileNotFoundError):
            Path(path).unlink()
        with _ignoring(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        with self._lock:
            asking, threads = tuple(self._lines), tuple(self._threads)
        for line in asking:
            line.close()
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closing.wait(0.1):  # else: no descriptors left, or a client that was gone at once
                    return
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="command-client")
            with self._lock:
                is_taken = len(self._threads) < MOST_CLIENTS
                if is_taken:
                    self._threads.add(thread)
            if is_taken:
                thread.start()
            else:
                _turn_away(connection)

    def _serve(self, connection: socket.socket) -> None:
        line = Line(connection, most=MOST_ASKED)
        with self._lock:
            self._lines.add(line)
        try:
            self._answer(line, peer_of(connection))
        except Gone:
            pass
        except BaseException as error:  # noqa: BLE001  (the daemon's own thread raises it again)
            self.broken = error
            self._on_bug()
        finally:
            line.close()
            with self._lock:
                self._lines.discard(line)
                self._threads.discard(threading.current_thread())

    def _answer(self, line: Line, who: Caller) -> None:
        try:
            asked = line.read(REQUEST_PATIENCE)
            with host_errors():
                self._do(line, who, asked)
        except TimeoutError:
            line.write(refusal(UsageError("no request came: nothing was done")), WRITE_PATIENCE)
        except Malformed as exc:
            line.write(refusal(UsageError(f"a request that does not read: {exc}; nothing was done")), WRITE_PATIENCE)
        except ReconcilerError as exc:
            log.info("refused", by=who.words, kind=type(exc).__name__)  # the reason may quote a parameter
            line.write(refusal(exc), WRITE_PATIENCE)

    def _do(self, line: Line, who: Caller, asked: Mapping[str, Any]) -> None:
        if asked.get("version") != VERSION:
            raise Malformed(f"the daemon speaks version {VERSION} of this protocol: use the same release for both")
        (what,) = texts(asked, "do")
        self._check_repository(asked)
        match what:
            case "send":
                self._send(line, who, asked)
            case "cancel":
                self._cancel(line, who, asked)
            case _:
                raise Malformed(f"nobody here knows how to {what[:40]!r}")

    def _check_repository(self, asked: Mapping[str, Any]) -> None:
        (wanted,) = texts(asked, "repository")
        served = self._controller.shown_address
        if wanted != served:
            raise UsageError(f"the daemon of this state folder serves {served}, not {wanted}: nothing was done")

    # Sending

    def _send(self, line: Line, who: Caller, asked: Mapping[str, Any]) -> None:
        request = read_request(decode_typed(asked.get("options")))
        brought = decode_brought(asked.get("document"))
        if request.output is not None and not who.is_ours:
            raise UsageError(
                "AccessDenied: --output-s3-bucket-name beside a daemon is for the user that it runs as: it would write with "
                "that user's rights; nothing was sent"
            )
        following = Following(line, WRITE_PATIENCE)
        try:
            with self._controller.beside() as (_, branches, contents):
                sent = send(
                    self._office(branches, contents),
                    request,
                    who=who,
                    stop=self._stop,
                    tell=following.tell,
                    confirm=lambda announced: self._confirmed(line, following, announced, who),
                    brought=brought,
                    watch=following if asked.get("watch") is True and len(request.instance_ids) == 1 else None,
                    answer=lambda sent: _answered(following, sent),
                )
            for words in sent.untidy:
                log.warning("run folder left", command=str(sent.record.id), reason=words)
        finally:
            following.end()

    def _confirmed(self, line: Line, following: Following, announced: Announcement, who: Caller) -> None:
        told = {"event": "announced", "command": announced.command, "words": announced.words, "nodes": announced.nodes}
        try:
            line.write(told, WRITE_PATIENCE)
            answer = line.read(CONFIRM_PATIENCE)
        except TimeoutError as exc:
            raise UsageError("not confirmed in time: nothing was sent") from exc
        if answer.get("do") != "go" or self._stop.is_set():
            raise UsageError("not confirmed: nothing was sent")
        place = self._under_way.take()
        if place is None:
            raise UsageError(f"{MOST_UNDER_WAY} commands are under way already: nothing was sent; try again later")
        log.info("command", command=announced.command, by=who.words, nodes=announced.nodes)
        with self._lock:
            self._lines.discard(line)  # from here on the command is recorded, whoever listens
        following.begin(place)

    def _office(self, branches: Branches, contents: Contents) -> Office:
        controller = self._controller
        return Office(
            state_dir=controller.state_dir,
            branches=branches,
            contents=contents,
            patch_files=controller.patch_files,
            connect=lambda desired: controller.connections.pool(desired).connect,
            rules=controller.command_rules,
            clock=controller.clock,
            outputs=controller.outputs,
            pauses=controller.pauses.read,
            alone=nullcontext,  # its records are written as any process' would be: the branch takes both
            lead=self._lead,
            known=controller.last_facts,
            tidying=controller.tidying,
        )

    def _lead(self, _command: Command, _desired: DesiredState, heard: Heard) -> Leads:
        """Act under the daemon's own lease, for as long as it has it."""
        match self._standing():
            case Held(lease=lease, confirmed=confirmed, reason=reason):
                if heard.of_most > lease.epoch:
                    raise LeaseLost(
                        f"nothing was sent: nodes know a leader with epoch {heard.of_most}, this daemon has {lease.epoch}; "
                        "its next pass finds out who leads"
                    )
                if confirmed and lease.expires <= self._controller.clock():
                    raise LeaseLost(
                        f"nothing was sent: our lease ended at {lease.expires.isoformat(timespec='seconds')}, and no "
                        "pass has renewed it since; the daemon's log says why"
                    )
                return Leads(epoch=lease.epoch, until=self._until, note=None if confirmed else reason)
            case HeldBy(reason=reason):
                raise LeaseLost(f"nothing was sent: {reason}; send it from that host")
            case None:
                raise LeaseLost("nothing was sent: this daemon does not lead yet; its log says why")

    def _standing(self) -> Held | HeldBy | None:
        waited = 0.0
        while (leads := self._controller.leads) is None and waited < FIRST_PASS_PATIENCE and not self._stop.is_set():
            self._stop.wait(0.1)
            waited += 0.1
        return leads

    def _until(self) -> datetime | None:
        match self._controller.leads:
            case Held(lease=lease, confirmed=confirmed):
                return lease.expires if confirmed else None
            case _:
                return datetime.fromtimestamp(0, UTC)

    # Ending

    def _cancel(self, line: Line, who: Caller, asked: Mapping[str, Any]) -> None:
        (command,) = texts(asked, "command")
        named = asked.get("nodes")
        if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
            raise Malformed("nodes is no list of texts")
        rules = self._controller.command_rules
        if rules and not any(who.login in rule.logins for rule in rules):
            raise UsageError(f"AccessDenied: no rule of SendCommand in the host settings names {who.login}")
        log.info("cancel", command=command[:40], by=who.words)
        controller = self._controller
        with controller.beside() as (repository, branches, _):
            site = _Site(
                state_dir=controller.state_dir,
                repository=repository,
                branches=branches,
                connections=controller.connections,
                clock=controller.clock,
                outputs=controller.outputs,
            )
            for words in cancel_command(site, command, tuple(named)):
                line.write({"event": "said", "words": words}, WRITE_PATIENCE)
        line.write({"event": "ended"}, WRITE_PATIENCE)


def _answered(following: Following, sent: Sent) -> None:
    """Tell the client what came of its command. A slow one keeps no node waiting: the line has a thread of its own."""
    log.info("command ended", command=str(sent.record.id), status=sent.record.verdict.detail.value)
    following.answer(_ended(sent))


def _ended(sent: Sent) -> Mapping[str, Any]:
    return {
        "event": "ended",
        "record": encode_record(sent.record).decode(),
        "problems": list(sent.problems),
        "report": sent.report_commit,
    }


def _listening(state_dir: Path) -> socket.socket:
    """Listen in the state folder: for its owner alone, or for its group where the folder lets that in, and not everybody."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _path_of(state_dir) as path:
            with _ignoring(FileNotFoundError):
                Path(path).unlink()  # of one that was killed: we alone serve from this folder
            folder = state_dir.stat()
            for_group = folder.st_mode & (stat.S_IXGRP | stat.S_IXOTH) == stat.S_IXGRP
            listener.bind(path)
            if for_group:
                os.chown(path, -1, folder.st_gid)
            Path(path).chmod(0o660 if for_group else 0o600)
            listener.listen(MOST_CLIENTS)  # nobody gets in before this, whatever the mode was
    except OSError as exc:
        listener.close()
        raise SettingsError(f"the state folder {state_dir} takes no socket: {exc.strerror}") from exc
    return listener


@contextmanager
def _path_of(state_dir: Path) -> Iterator[str]:
    folder, path = address_in(state_dir)
    try:
        yield path
    finally:
        os.close(folder)


@contextmanager
def _ignoring(kind: type[OSError]) -> Iterator[None]:
    try:
        yield
    except kind:
        return


def _turn_away(connection: socket.socket) -> None:
    """Say no at once: whoever accepts clients waits for none."""
    line = Line(connection, most=MOST_ASKED)
    with _ignoring(OSError):
        connection.setblocking(False)
    try:
        line.write(refusal(UsageError(f"{MOST_CLIENTS} clients are here already: try again later")), 0.0)
    except Gone:
        pass
    finally:
        line.close()
