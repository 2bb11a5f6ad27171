"""One real node that is asked for its patches, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.ids import NodeId
from reconciler.inventory.collect import Collected, collect
from reconciler.model.command import Answer, Program, Session
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Become, Node
from reconciler.model.patch import Patch
from reconciler.model.patch_lines import PatchTable
from reconciler.model.questions import Questions
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.support.nodes import Fleet, TestNode

ASKED = Questions(patches=True, ports=(), mounts=False)


class Counting:
    """A session that counts what goes over the wire."""

    def __init__(self, session: Session, answers: list[Answer]) -> None:
        self.node, self.host_key = session.node, session.host_key
        self._session, self._answers = session, answers

    def run(self, program: Program) -> Answer:
        answer = self._session.run(program)
        self._answers.append(answer)
        return answer

    def stream(self, program: Program) -> Iterator[bytes]:
        return self._session.stream(program)


class Site:
    """One node, and a way to ask it for its patches."""

    def __init__(self, fleet: Fleet, one: TestNode) -> None:
        self.on_disk = one
        self.node = Node(
            id=NodeId(one.name),
            address=one.address,
            port=one.port,
            user=one.user,
            identity_file=fleet.identity_file.name,
            become=Become.SUDO,
        )
        self._fleet = fleet
        self.answers: list[Answer] = []

    def open(self) -> None:
        self.pool = ConnectionPool(
            known_hosts=parse(self._fleet.known_hosts),
            nodes={self.node.id: self.node},
            key_directory=self._fleet.identity_file.parent,
        )

    def look(self, before: Collected | None = None, asked: Questions = ASKED) -> Collected:
        @contextmanager
        def connect(node: Node) -> Iterator[Session]:
            with self.pool.connect(node) as session:
                yield Counting(session, self.answers)

        self.answers.clear()
        held = {} if before is None else {self.node.id: before}
        return collect([self.node], {self.node.id: asked}, connect, before=held)[self.node.id]

    def sh(self, script: str) -> str:
        return self.on_disk.run(["sh", "-ec", script]).stdout


def rows(found: Collected, section: str) -> dict[str, object]:
    """Give the rows of a section that is known."""
    told = found.facts.section(section)
    assert isinstance(told, Known), (section, told)
    return dict(told.value.items())


def offers(found: Collected, row: str) -> list[Patch]:
    """Give what is on offer for one row, with its notices."""
    table = PatchTable()
    for told in rows(found, "notices").values():
        assert isinstance(told, list)
        table.add_notices(map(str, told))
    lines = rows(found, "available")[row]
    assert isinstance(lines, list)
    return [table.patch(str(line)) for line in lines]


def unknown(found: Collected, section: str) -> str:
    """Give why a section is unknown."""
    told = found.facts.section(section)
    assert isinstance(told, Unknown), (section, told)
    return told.why
