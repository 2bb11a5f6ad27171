"""Runs `reconciler ...` as its own process, forked from one that has loaded the program already.

Loading takes most of a short command's time. A process of its own it stays: its environment, folder, descriptors, signals
and exit code are its own, and nothing ran in what it was forked from. What a test looks at from outside in /proc
(arguments, environment) is another matter: there, and wherever the start itself counts, start the real thing.

    python -m tests.support.warm_program DESCRIPTOR    (of a socket that listens; ends with its standard input)
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

import reconciler
from tests.support.patience import be_patient

_ROOT = Path(__file__).parents[2]


def run_warm(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `reconciler ARGUMENTS`; gives how it ended and what it said. Raises TimeoutExpired, and it is killed then."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with start_warm(arguments, cwd=cwd, env=env, out=out, err=err) as process:
            status = process.wait(timeout)
        return subprocess.CompletedProcess(("reconciler", *arguments), status, _text(out), _text(err))


def start_warm(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: IO[Any], err: IO[Any]
) -> "WarmProcess":
    """Start `reconciler ARGUMENTS` in the background, with nothing to read."""
    call = socket.socket(socket.AF_UNIX)
    call.connect(_server())
    with Path(os.devnull).open("rb") as nothing:
        socket.send_fds(call, [b"."], [nothing.fileno(), out.fileno(), err.fileno()])
    call.sendall(json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode())
    call.shutdown(socket.SHUT_WR)
    return WarmProcess(call, ("reconciler", *arguments))


class WarmProcess:
    """One that was forked, in the words of `subprocess.Popen`. It is killed once nobody holds this any longer."""

    def __init__(self, call: socket.socket, args: Sequence[str]) -> None:
        self.args = args
        self.returncode: int | None = None
        self._call = call
        self._told = call.makefile("rb", buffering=0)  # what is not read yet is to be seen by select
        self.pid = int(self._told.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._told.close()
        self._call.close()

    def poll(self) -> int | None:
        """Give its exit code, if it has ended."""
        if self.returncode is None and select.select([self._call], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Give its exit code once it has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._call], [], [], timeout)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(self._told.readline())
            self.__exit__()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """As os.kill, as long as it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _text(file: IO[bytes]) -> str:
    """Give what was written, as `subprocess` gives text."""
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")


@cache
def _server() -> str:
    """Start what they are forked from, once for this process and until its end; gives where it listens."""
    folder = tempfile.mkdtemp(prefix="reconciler-warm-")
    path = f"{folder}/socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_program", str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=_ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT)},
        )
    ends = server.stdin
    assert ends is not None

    def end() -> None:
        ends.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return path


def _load() -> None:
    """Import all of ours, and with it what it needs of others."""
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if module.name != "reconciler.__main__":
            importlib.import_module(module.name)
    be_patient()
    gc.collect()
    gc.freeze()


def _serve(listening: socket.socket) -> None:
    """Fork for everybody who calls, until standard input ends. Returns in those that are to run the program, too."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who waits for the program
    while True:
        ready, _, _ = select.select([0, listening], [], [])
        if 0 in ready:
            os._exit(0)
        call, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            return _answer(call)
        call.close()


def _answer(call: socket.socket) -> None:
    """Fork once more, and tell how that one ended; it is killed where nobody waits for it any longer."""
    _, descriptors, _, _ = socket.recv_fds(call, 1, 3)
    with call.makefile("rb") as said:
        asked = json.loads(said.read())
    program = os.fork()
    if program == 0:
        call.close()
        return _become(descriptors, asked)
    with suppress(OSError):  # a caller that has gone already is one that hung up
        call.sendall(b"%d\n" % program)
    ended = os.pidfd_open(program)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(call, 0)  # tells of a hang-up only
    if ended in dict(waiting.poll()):
        _, status = os.waitpid(program, 0)
        call.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    else:
        os.kill(program, signal.SIGKILL)
    os._exit(0)


def _become(descriptors: Sequence[int], asked: Mapping[str, object]) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    arguments, cwd, env = asked["arguments"], asked["cwd"], asked["env"]
    assert isinstance(arguments, list)
    assert isinstance(cwd, str)
    assert isinstance(env, dict)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [str(_ROOT / "reconciler" / "__main__.py"), *arguments]


def _run() -> int:
    """Do what `python -m reconciler` does, to the end of its threads and of what it left for its exit."""
    try:
        importlib.import_module("reconciler.__main__")
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001  whatever the interpreter would show
        sys.excepthook(*sys.exc_info())
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _load()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(_run())  # the interpreter would take everything apart that was loaded, and copy it for that
