"""Whatever the SSH libraries raise leaves the transport as a NodeError in words."""

import importlib
import inspect
import pickle
import pkgutil
import socket
from collections.abc import Iterator

import cryptography.exceptions
import fabric.exceptions
import invoke.exceptions
import paramiko
import pytest

from reconciler.errors import (
    AnswerGarbled,
    HostKeyMismatch,
    LoginRefused,
    NameNotFound,
    NodeError,
    NodeTimeout,
    NodeUnreachable,
)
from reconciler.ids import NodeId
from reconciler.transport.node_errors import node_errors, translated

WEB = NodeId("web-01")


def paramiko_modules() -> Iterator[object]:
    for info in pkgutil.iter_modules(paramiko.__path__):
        if info.name not in {"_winapi", "win_pageant", "win_openssh"}:
            yield importlib.import_module(f"paramiko.{info.name}")


def exception_classes() -> list[type[Exception]]:
    modules = [*paramiko_modules(), fabric.exceptions, invoke.exceptions, cryptography.exceptions, socket]
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


def made(kind: type[Exception]) -> Exception:
    """An instance, with as many plain arguments as its constructor wants."""
    if kind is paramiko.ssh_exception.NoValidConnectionsError:
        return kind({("10.0.0.1", 22): ConnectionRefusedError()})
    for count in range(7):
        try:
            return kind(*(["word"] * count))
        except TypeError:
            continue
    return kind.__new__(kind)


def test_there_are_classes_to_walk() -> None:
    assert {paramiko.SSHException, paramiko.BadHostKeyException, socket.gaierror} <= set(exception_classes())


@pytest.mark.parametrize("kind", exception_classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_class_is_translated(kind: type[Exception]) -> None:
    error = made(kind)
    with pytest.raises(NodeError) as caught, node_errors(WEB, "doing it"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.node == WEB
    assert str(caught.value).startswith("doing it: ")
    assert len(str(caught.value)) > len("doing it: ")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(paramiko.AuthenticationException("Authentication failed."), LoginRefused, "failed", id="login"),
        pytest.param(
            paramiko.AuthenticationException("Authentication timeout."), NodeTimeout, "in time", id="slow login"
        ),
        pytest.param(paramiko.SSHException("Timeout opening channel."), NodeTimeout, "in time", id="slow channel"),
        pytest.param(paramiko.SSHException("No existing session"), NodeTimeout, "in time", id="slow handshake"),
        pytest.param(paramiko.ChannelException(1, "no"), NodeUnreachable, "AllowTcpForwarding", id="forbidden"),
        pytest.param(paramiko.ChannelException(9, "odd"), NodeUnreachable, "code 9: odd", id="odd code"),
        pytest.param(EOFError(), NodeUnreachable, "closed the connection", id="end"),
        pytest.param(ConnectionResetError(104, "reset"), NodeUnreachable, "closed the connection", id="reset"),
        pytest.param(ConnectionRefusedError(111, "refused"), NodeUnreachable, "no sshd listens", id="refused"),
        pytest.param(OSError(113, "No route to host"), NodeUnreachable, "no route", id="no route"),
        pytest.param(TimeoutError(), NodeTimeout, "no answer in time", id="timeout"),
        pytest.param(UnicodeError("label empty or too long"), NodeUnreachable, "label", id="a name that is none"),
        pytest.param(socket.gaierror(socket.EAI_NONAME, "no such"), NameNotFound, "not found", id="name"),
        pytest.param(socket.gaierror(socket.EAI_AGAIN, "later"), NodeUnreachable, "later", id="no name service"),
        pytest.param(AssertionError(), NodeUnreachable, "AssertionError", id="a hostile server breaks paramiko"),
    ],
)
def test_what_the_loop_does_next_follows_from_the_class(error: Exception, kind: type[NodeError], words: str) -> None:
    translation = translated(WEB, "doing it", error)
    assert type(translation) is kind
    assert words in str(translation)


def test_our_own_errors_pass_as_they_are() -> None:
    ours = AnswerGarbled(WEB, "odd")
    with pytest.raises(AnswerGarbled) as caught, node_errors(WEB, "doing it"):
        raise ours
    assert caught.value is ours


def test_a_translated_error_can_be_handed_to_another_process() -> None:
    error = HostKeyMismatch(WEB, "changed")
    assert pickle.loads(pickle.dumps(error)).args == error.args  # noqa: S301  (our own bytes)
