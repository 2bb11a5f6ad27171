"""Sessions for these tests: one runs programs in a real shell on this machine, the other gives canned answers."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

from reconciler.errors import NodeError
from reconciler.ids import NodeId
from reconciler.inventory.facts import FACTS
from reconciler.model.command import Answer, Program, Session
from reconciler.model.node import Node
from reconciler.model.questions import Questions, WantedSource

SHELLS = {
    "dash": ("dash",),
    "bash": ("bash",),
    "bash as sh": ("bash", "--posix"),
    "busybox": ("busybox", "sh"),
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WEB = Node(id=NodeId("web-01"))


FOR_PATCHES = frozenset(
    name for name, fact in FACTS.items() if not (fact.script(Questions()) or fact.reads(Questions()))
)
"""Sections that are asked for only where a baseline applies."""
EVERY_PATCH = Questions(
    patches=True,
    addresses=True,
    sources=(WantedSource(id="ours-0123456789ab", configuration="deb https://mirror.files.test/x ours main"),),
)
"""Asks for all of these."""


class ShellSession:
    """A Session that runs programs in one of this machine's shells, as the transport's loader does."""

    def __init__(
        self, shell: tuple[str, ...], *, node: Node = WEB, environment: Mapping[str, str] | None = None
    ) -> None:
        self.node = node.id
        self.host_key: str | None = "ssh-ed25519 AAAA"
        self.programs: list[Program] = []
        self.answers: list[Answer] = []
        self._shell = shell
        self._environment = environment

    def run(self, program: Program) -> Answer:
        done = subprocess.run(
            [*self._shell, "-c", 'eval "$1"', "sh", program.text.decode()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
            env=self._environment,
        )
        answer = Answer(stdout=done.stdout, stderr=done.stderr, exit_status=done.returncode)
        self.programs.append(program)
        self.answers.append(answer)
        return answer

    def stream(self, program: Program) -> Iterator[bytes]:
        yield self.run(program).stdout


class CannedSession:
    """A Session whose answers are given by a function of the program; it counts what it was asked."""

    def __init__(self, node: Node, answer: Callable[[Program], Answer], host_key: str = "ssh-ed25519 AAAA") -> None:
        self.node = node.id
        self.host_key: str | None = host_key
        self._answer = answer

    def run(self, program: Program) -> Answer:
        return self._answer(program)

    def stream(self, program: Program) -> Iterator[bytes]:
        yield self.run(program).stdout


def connect_by(sessions: Mapping[str, Session | NodeError]) -> Callable[[Node], AbstractContextManager[Session]]:
    """Give a `Connect` over ready sessions; an error in place of one is raised."""

    @contextmanager
    def connect(node: Node) -> Iterator[Session]:
        found = sessions[node.id]
        if isinstance(found, NodeError):
            raise found
        yield found

    return connect


def asked_of(program: Program) -> str:
    """Give the nonce of a program."""
    text = program.text.decode()
    return text[text.index("\nN='") + 4 :].split("'", 1)[0]


def framed(nonce: str, sections: Mapping[str, str | tuple[str, str]]) -> bytes:
    """Write an answer: section -> text, or (status, text)."""
    parts = []
    for name, said in sections.items():
        status, text = ("ok", said) if isinstance(said, str) else said
        parts.append(f"{nonce} {name} {status} {len(text.encode())}\n{text}\n")
    return ("".join(parts) + f"{nonce} end {len(sections)}\n").encode()
