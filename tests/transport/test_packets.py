"""Packets are read by the heap and written together, and nothing is lost between two of them."""

import socket
import threading
from collections import deque
from collections.abc import Iterator

import paramiko
import pytest

from reconciler.model.command import Program
from reconciler.transport.wire import PACKET_LIMIT, _BoundedPackets, _PromptSocket
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, pinned


@pytest.fixture
def ends() -> Iterator[tuple[_BoundedPackets, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.settimeout(60)
        yield _BoundedPackets(ours), theirs


def test_what_comes_with_the_banner_is_not_lost(ends: tuple[_BoundedPackets, socket.socket]) -> None:
    packets, theirs = ends
    theirs.sendall(b"SSH-2.0-x\r\n\0\0\0\x0cpacket and more")
    assert packets.readline(5) == "SSH-2.0-x"
    assert packets.read_all(10) == b"\0\0\0\x0cpacket"
    theirs.sendall(b" than that")
    assert packets.read_all(19) == b" and more than that"[:19]


def test_an_end_in_the_middle_is_an_end(ends: tuple[_BoundedPackets, socket.socket]) -> None:
    packets, theirs = ends
    theirs.sendall(b"abc")
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        packets.read_all(4)


def test_a_packet_beyond_any_limit_is_not_collected(ends: tuple[_BoundedPackets, socket.socket]) -> None:
    with pytest.raises(paramiko.SSHException, match="announced a packet"):
        ends[0].read_all(PACKET_LIMIT + 1)


def test_what_goes_together_is_written_once_and_in_order(ends: tuple[_BoundedPackets, socket.socket]) -> None:
    packets, theirs = ends
    other = threading.Thread(target=packets.send_message, args=(paramiko.Message(b"\x02third"),))
    with packets.together():
        packets.send_message(paramiko.Message(b"\x02first"))
        other.start()
        packets.send_message(paramiko.Message(b"\x02second"))
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
    other.join(60)
    theirs.settimeout(60)
    received = theirs.recv(1000)
    while b"third" not in received:
        received += theirs.recv(1000)
    assert received.index(b"first") < received.index(b"second") < received.index(b"third")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="as sshd likes it"),
        pytest.param(("Ciphers aes128-ctr", "MACs hmac-sha2-256-etm@openssh.com"), id="a MAC of its own"),
        pytest.param(("Ciphers aes256-ctr", "MACs hmac-sha2-512"), id="an old sshd"),
        pytest.param(("RekeyLimit 16K",), id="new keys all the time"),
    ],
)
def test_large_answers_arrive_whole_whatever_the_cipher(
    make_sshd: SshdMaker, make_pool: PoolMaker, options: tuple[str, ...]
) -> None:
    sshd: Sshd = make_sshd(*options)
    node = sshd.node()
    text = "x" * 60_000
    with make_pool(pinned((node.id, sshd)), node).connect(node) as session:
        for _ in range(3):
            answer = session.run(Program(text=f"printf %s {text}; echo $?".encode()))
            assert answer.stdout == text.encode() + b"0\n"
        for _ in range(3):
            assert session.run(Program(text=b"echo short")).stdout == b"short\n"


def test_a_connection_s_time_limits_are_the_kernel_s_and_end_as_any_other_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, _PromptSocket() as ours:
        ours.connect(server.getsockname())
        theirs, _ = server.accept()
        with theirs:
            ours.wait_in_kernel(0.05)
            assert ours.gettimeout() is None, "Python asks nothing beforehand"
            with pytest.raises(TimeoutError):
                ours.recv(10)
            theirs.sendall(b"hello")
            assert ours.recv(10) == b"hello"
            with pytest.raises(TimeoutError):
                deque(iter(lambda: ours.send(bytes(1 << 20)), 0))  # nobody reads: some time the kernel takes no more
