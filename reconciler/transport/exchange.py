"""One program over one channel: sent on stdin, answered on stdout and stderr, bounded in bytes, silence and total time.

Takes an open paramiko channel, a command line and a Program; gives the raw output, chunk by chunk. It knows nothing of
greetings, host keys or pools, and leaves the connection to its owner: after any error here, that connection is not reused.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from reconciler.errors import AnswerGarbled, LoginRefused, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Limits
from reconciler.transport.wire import LOST, close, together

CHUNK = 256 * 1024
"""Read what has piled up in one go; an answer of 300 KB takes a few calls."""

PACKET_HEAD = 64
"""Bytes that paramiko keeps free in a packet."""

MUCH = 32 * 1024
"""Bytes: where so many came at once there are more, and the node must not wait for us to take them."""

STDERR_KEPT = 64 * 1024
"""Stderr is for messages to people; what is beyond counts towards the answer's limit and is dropped."""

LOOK_AGAIN = 1.0
"""Seconds between looks at whether the program has ended while a child of its still holds its output open."""

EXIT_WAIT = 5.0
"""Seconds that sshd has for the exit status after the output has ended."""


class Exchange:
    """One program's way to the node and back."""

    def __init__(self, node: NodeId, transport: paramiko.Transport, channel: paramiko.Channel, limits: Limits) -> None:
        self._node = node
        self._transport = transport
        self._channel = channel
        self._limits = limits
        self._idle = limits.idle.total_seconds()
        self._ends = time.monotonic() + limits.total.total_seconds()
        self._received = 0
        self._stderr = bytearray()
        self._ready = threading.Event()
        channel.in_buffer.set_event(self._ready)
        channel.in_stderr_buffer.set_event(self._ready)

    def request(self, command: str) -> None:
        """Ask sshd to run `command`, without waiting for its consent: a refusal closes the channel, and is seen there.

        paramiko's own exec_command waits for the reply, without any limit of time.
        """
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self._channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        self._transport._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001  (the public way waits for ever)

    def send(self, text: bytes) -> None:
        """Send the program and close its stdin; a node that stopped reading is given up at the idle limit."""
        self._channel.settimeout(self._idle)
        try:
            with self._in_one_go(len(text)):
                self._channel.sendall(text)
                self._channel.shutdown_write()
        except TimeoutError as error:
            raise NodeTimeout(self._node, f"the node took no input for {self._idle:g} s") from error
        except OSError as error:
            if self._was_refused():
                raise self._refusal() from error
            # The loader may have ended already and said why: what it printed is worth more than a broken pipe.
            if not self._channel.closed or not self._transport.is_active():
                raise

    def say(self, line: bytes) -> None:
        """Send a short line, and leave stdin open for more."""
        self._channel.settimeout(self._idle)
        self._channel.sendall(line)

    def again(self, limits: Limits) -> "Exchange":
        """Give the same channel for one more question, with limits of its own."""
        return Exchange(self._node, self._transport, self._channel, limits)

    def limit(self, limits: Limits) -> None:
        """Hold what is still to come of this answer to other limits, from now on."""
        self._limits = limits
        self._idle = limits.idle.total_seconds()
        self._ends = time.monotonic() + limits.total.total_seconds()

    def has_begun(self, within: timedelta) -> bool:
        """Wait for the first byte, or the end."""
        return self._ready.wait(within.total_seconds())

    def end(self) -> None:
        """End the program's stdin, and give it a moment to end for it."""
        try:
            self._channel.shutdown_write()
        except LOST:
            return  # it has ended
        self._channel.status_event.wait(EXIT_WAIT)
        close(self._channel)

    def _in_one_go(self, length: int) -> AbstractContextManager[None]:
        """Let program and end of input leave in one write, where sshd takes them whole.

        sshd opens its window when it has begun to run the command, and not before.
        """
        channel = self._channel
        with channel.lock:
            channel.out_buffer_cv.wait_for(lambda: channel.out_window_size or channel.closed, self._idle)
            fits = length <= min(channel.out_window_size, channel.out_max_packet_size - PACKET_HEAD)
        return together(self._transport) if fits else nullcontext()

    def chunks(self, *, at_once: bool = True) -> Iterator[bytes]:
        """Give stdout as it comes, until the program has ended; raises NodeTimeout or AnswerGarbled at a limit.

        Not `at_once`: little is left lying until the end, which spares waking up for each packet.
        """
        much = at_once
        last_byte = time.monotonic()
        while True:
            ended = self._channel.eof_received or self._channel.closed
            chunk, any_byte = self._take()
            if chunk:
                yield chunk
            now = time.monotonic()
            if any_byte:
                last_byte, much = now, at_once or len(chunk) >= MUCH
                self._check_total(now)
                continue
            if ended:
                return
            self._check_total(now)
            silent = now - last_byte
            if silent >= self._idle:
                raise NodeTimeout(self._node, f"the node sent nothing for {self._idle:g} s")
            if silent >= LOOK_AGAIN and self._channel.exit_status_ready():
                return  # a background child holds the output open
            ending = self._channel.status_event
            awaited = self._ready if much or ending.is_set() else ending
            awaited.wait(min(self._idle - silent, self._ends - now, LOOK_AGAIN))

    def _take(self) -> tuple[bytes, bool]:
        out = self._channel.recv(CHUNK) if self._channel.recv_ready() else b""
        if not self._channel.recv_stderr_ready():
            err = b""
        else:
            err = self._channel.recv_stderr(CHUNK)
            self._stderr += err[: STDERR_KEPT - len(self._stderr)]
        self._received += len(out) + len(err)
        if self._received > self._limits.answer_bytes:
            raise AnswerGarbled(self._node, f"the answer is longer than {self._limits.answer_bytes} bytes")
        return out, bool(out or err)

    def _check_total(self, now: float) -> None:
        if now >= self._ends:
            total = self._limits.total.total_seconds()
            raise NodeTimeout(self._node, f"the program was not done after {total:g} s")

    @property
    def stderr(self) -> bytes:
        """What the program wrote to stderr so far, its first 64 KB."""
        return bytes(self._stderr)

    def close(self) -> None:
        """Close the channel; the connection stands."""
        close(self._channel)

    def exit_status(self) -> int:
        """Give the exit status after the last chunk; raise where the program did not end of itself."""
        left = max(0.0, self._ends - time.monotonic())
        self._channel.status_event.wait(min(left, EXIT_WAIT))
        status: int = self._channel.exit_status
        if status >= 0:
            return status
        if not self._transport.is_active():
            raise NodeUnreachable(self._node, "the connection was lost in the middle of the answer")
        if self._was_refused():
            raise self._refusal()
        raise AnswerGarbled(self._node, "the program ended without an exit status: a signal killed it")

    def _was_refused(self) -> bool:
        return bool(self._channel.closed and not self._channel.event_ready)

    def _refusal(self) -> LoginRefused:
        return LoginRefused(self._node, "the node's sshd lets this user in but refuses to run a command")
