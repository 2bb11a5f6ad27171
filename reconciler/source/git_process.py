"""The one place that starts git: an argument list and bytes in, its answer out. It interprets nothing.

What a git of ours is: no settings but those below, no hooks, no prompts, no helpers, a clean environment, its own
process group, a limit on time, on output and on the size of a file it writes. gitpython tells whether there is a git.
"""

import fcntl
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Timer
from typing import IO

from reconciler.errors import SourceError
from reconciler.model.secret import Secret
from reconciler.source.address import RepositoryAddress
from reconciler.source.cut import Cut

QUICK = timedelta(seconds=120)
"""For what touches only this disk: generous, because a cold disk with 10,000 files is slow, and a hang must end."""
NETWORK = timedelta(seconds=600)
"""For fetch and push: the first clone of a long history over a slow line."""
MAX_OUTPUT = 256 * 1024 * 1024
"""Bytes of one answer kept in memory; a listing of a million files is less."""
MAX_FILE_BLOCKS = 16 * 1024 * 1024
"""In 512-byte blocks, as `ulimit -f` counts: no file of more than 8 GiB is written, whatever a remote sends."""
MAX_MEMORY = 4 * 1024 * 1024
"""In KiB of data, as `ulimit -d` counts: a delta of a few bytes may ask for a result of gigabytes."""
_MAX_STDERR = 64 * 1024

_KEPT_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""All else is dropped: GIT_DIR, GIT_CONFIG_*, GIT_TRACE*, GIT_SSH and friends redirect git or run programs."""

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=true",  # a repository's own config may name a shell command here; `true` prints nothing
    "core.askPass=",
    "core.logAllRefUpdates=false",
    "core.bigFileThreshold=16m",  # what is bigger is passed through, and never held whole
    "credential.helper=",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "protocol.ssh.allow=always",
    "protocol.https.allow=always",
    "protocol.ext.allow=never",
    "protocol.version=2",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "receive.fsckObjects=true",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "gpg.program=/bin/false",  # `signature.py` alone allows gpg and ssh-keygen, for one question, by name
    "gpg.x509.program=/bin/false",
    "gpg.ssh.program=/bin/false",
    "gpg.ssh.defaultKeyCommand=",
    "gpg.ssh.allowedSignersFile=/dev/null",
    "log.showSignature=false",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
)
_ON_THE_OTHER_SIDE = tuple(
    setting
    for setting in _SETTINGS
    if setting.startswith(("core.", "protocol.", "submodule.", "transfer.", "receive.", "maintenance."))
)
"""What git at the other end of a push or fetch is told where that end is a folder on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """What the management host decides about git; nothing of it comes from a repository."""

    ssh_identity: Path | None = None
    """The private key for git over ssh; None: the ssh agent, and what the host's ssh_config says."""
    ssh_known_hosts: Path | None = None
    """Host keys for git over ssh; None: the host's own known_hosts. Always strict."""
    ssh_choices: tuple[str, ...] = ()
    """Further `-o` choices of ssh; they come first, and ssh takes the first."""
    ssh_config: str = ""
    """Which settings ssh reads, as its `-F` takes it; empty: this host's own."""
    signing_key: Path | None = None
    """The ssh key that our commits are signed with; None: they are not signed."""
    quick: timedelta = QUICK
    network: timedelta = NETWORK
    max_file_blocks: int = MAX_FILE_BLOCKS
    max_memory: int = MAX_MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What one git said."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """Give git's own words in one line; foreign text: render it before printing."""
        lines = [line.strip() for line in self.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return " / ".join(lines[-6:]) or f"git ended with status {self.status} and said nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitProcess:
    """Starts git in one bare repository."""

    folder: Path
    options: GitOptions = field(default_factory=GitOptions)
    users: int | None = None
    """A descriptor every git of ours inherits and holds locked: while one lives, nobody calls its locks stale."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What git and the programs it starts see besides, for one question."""
    settings: tuple[str, ...] = ()
    """Settings beyond ours, which they win over: for a repository that is allowed less."""
    cut: Cut = field(default_factory=Cut, compare=False)
    """Ends what runs, from another thread."""

    def ask(self, *arguments: str, stdin: bytes | Iterable[bytes] = b"", limit: timedelta | None = None) -> bytes:
        """Give what git answers; anything but status 0 is a `SourceError` with git's words."""
        finished = self.run(*arguments, stdin=stdin, limit=limit)
        if finished.status != 0:
            raise SourceError(f"git {arguments[0]} in {self.folder}: {finished.complaint}")
        return finished.stdout

    def run(
        self,
        *arguments: str,
        stdin: bytes | Iterable[bytes] = b"",
        limit: timedelta | None = None,
        login: Secret | None = None,
        most: int = MAX_OUTPUT,
    ) -> Finished:
        """Run one git to its end; only a passed limit of time or output (`most` bytes) is an error here.

        `login` is for a remote that asks.
        """
        limit = limit or self.options.quick
        with self._started(arguments, stdin, login) as process:
            stdout, stderr = _drain(process, arguments[0], limit, most)
            return Finished(status=process.wait(), stdout=stdout, stderr=stderr)

    @contextmanager
    def stream(
        self, *arguments: str, stdin: bytes | Iterable[bytes] = b"", limit: timedelta | None = None
    ) -> Iterator[IO[bytes]]:
        """Give git's answer while it is being written; the process ends with the block, read to its end or not."""
        limit = limit or self.options.quick
        with self._started(arguments, stdin) as process:
            timer = Timer(limit.total_seconds(), _end, args=(process,))
            timer.daemon = True  # whoever stopped reading may keep this generator in a traceback: no end waits for that
            timer.start()
            try:
                assert process.stdout is not None  # noqa: S101  it was started with a pipe
                _widen(process.stdout)
                yield process.stdout
            finally:
                timer.cancel()
                timer.join()

    @contextmanager
    def _started(
        self, arguments: Sequence[str], stdin: bytes | Iterable[bytes], login: Secret | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        program = _find_git()
        environment = self._environment()
        with tempfile.TemporaryFile() as given, _handed_over(login) as held:
            command = (
                *_limited(self.options),
                program,
                *self._choices(),
                *_asking_for(held),
                *arguments,
            )
            try:
                given.writelines((stdin,) if isinstance(stdin, bytes) else stdin)
                given.seek(0)
                process = subprocess.Popen(
                    command,
                    cwd=self.folder.absolute(),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    env=dict(environment),
                    pass_fds=tuple(each for each in (self.users, held) if each is not None),
                )
            except OSError as exc:
                raise SourceError(f"git cannot be started in {self.folder}: {exc.strerror}") from exc
            try:
                with self.cut.watching(lambda: _ask_to_end(process)):
                    yield process
            finally:
                _end(process)
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()

    def _choices(self) -> tuple[str, ...]:
        settings = (argument for setting in (*_SETTINGS, *self.settings) for argument in ("-c", setting))
        return (
            "--no-pager",
            "--no-replace-objects",
            "--literal-pathspecs",
            f"--git-dir={self.folder.absolute()}",
            *settings,
        )

    def _environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        return kept | {
            "LC_ALL": "C",
            "LANGUAGE": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_GLOBAL": str(self.folder.absolute() / OWN_SETTINGS),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "ssh:https:file",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_SSH_COMMAND": self._ssh(),
            "GIT_SSH_VARIANT": "ssh",
            "SSH_ASKPASS_REQUIRE": "never",
            "GNUPGHOME": "/nonexistent",
            **self.environment,
        }

    def _ssh(self) -> str:
        chosen = [
            *self.options.ssh_choices,
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=20",
            "ClearAllForwardings=yes",
        ]
        chosen += ["PermitLocalCommand=no", "ForwardAgent=no", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
        if self.options.ssh_identity is not None:
            chosen += [f'IdentityFile="{self.options.ssh_identity}"', "IdentitiesOnly=yes"]
        if self.options.ssh_known_hosts is not None:
            chosen += [f'UserKnownHostsFile="{self.options.ssh_known_hosts}"']
        config = ("-F", self.options.ssh_config) if self.options.ssh_config else ()
        return shlex.join(["ssh", *config, *(part for choice in chosen for part in ("-o", choice))])


OWN_SETTINGS = "reconciler.gitconfig"
OWN_SETTINGS_TEXT = "[safe]\n\tdirectory = *\n"
"""Git refuses a repository that somebody else owns unless a file of this rank allows it (`-c` is not enough for the git
at the other end of a local fetch). Ours only ever opens its own clone and the one repository the operator named, with
hooks and every setting that runs a program off."""


def other_side(address: RepositoryAddress, service: str, *further: str) -> tuple[str, ...]:
    """Give the option that keeps a local remote's hooks and settings from running anything; none for another host.

    `further` are settings of ours for this once.
    """
    if not address.is_local:
        return ()
    settings = " ".join(f"-c {setting}" for setting in (*_ON_THE_OTHER_SIDE, *further))
    return (f"--{service}=exec git {settings} {service}",)  # git gives it to a shell, which need not stay


def _limited(options: GitOptions) -> tuple[str, ...]:
    limits = f"ulimit -f {options.max_file_blocks} 2>/dev/null; ulimit -d {options.max_memory} 2>/dev/null"
    return ("/bin/sh", "-c", f'{limits}; exec "$@"', "sh")


@contextmanager
def _handed_over(login: Secret | None) -> Iterator[int | None]:
    """Put a login where git alone inherits it: arguments, environments and files of ours are seen by others, or stay."""
    if login is None:
        yield None
        return
    held = os.memfd_create("login")
    try:
        os.write(held, login.reveal().encode())
        yield held
    finally:
        os.close(held)


def _asking_for(held: int | None) -> tuple[str, ...]:
    """Give the setting by which git finds the login."""
    if held is None:
        return ()
    return ("-c", f'credential.helper=!f() {{ test "$1" != get || cat /proc/self/fd/{held}; }}; f')


def _find_git() -> str:
    """Give its path, which the shell that sets its limits then need not look for. Raises SourceError where there is none."""
    found = shutil.which("git")
    if found is None:
        raise SourceError("git cannot be started: install git, or put it on PATH")
    return str(Path(found).absolute())


def _widen(pipe: IO[bytes]) -> None:
    """Ask for a pipe of a mebibyte: at 64 KiB, git and we wait for each other 4,000 times in 250 MB."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


def _drain(process: subprocess.Popen[bytes], name: str, limit: timedelta, most: int) -> tuple[bytes, bytes]:
    """Read both pipes to their ends, within the limits."""
    assert process.stdout is not None  # noqa: S101  it was started with pipes
    assert process.stderr is not None  # noqa: S101
    end = time.monotonic() + limit.total_seconds()
    read: dict[str, list[bytes]] = {"out": [], "err": []}
    size = {"out": 0, "err": 0}
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ, "out")
        waiting.register(process.stderr, selectors.EVENT_READ, "err")
        while waiting.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise SourceError(f"git {name} took longer than {limit.total_seconds():g} s and was ended")
            for key, _ in waiting.select(left):
                chunk = os.read(key.fd, 1 << 20)
                size[key.data] += len(chunk)
                if not chunk:
                    waiting.unregister(key.fileobj)
                elif size["out"] > most:
                    raise SourceError(f"git {name} answered more than {most} bytes and was ended")
                elif key.data == "out" or size["err"] <= _MAX_STDERR:
                    read[key.data].append(chunk)
    return b"".join(read["out"]), b"".join(read["err"])


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Have git end soon, and all it started; whoever reads its answer hears that it did."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and all it started: politely first, because then it removes its own lock files."""
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return
