"""Two management hosts, one fleet: what the tests of the compliance branch are made of."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reconciler.commit.branch import ReportsBranch
from reconciler.commit.lease import LeaseKeeper, holder_name
from reconciler.commit.message import Message
from reconciler.commit.places import find_places
from reconciler.source.address import parse_address
from reconciler.source.records import Person
from reconciler.source.repository import Repository
from tests.support.git_remote import GitRemote

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def a_message(subject: str = "Report") -> Message:
    return Message(
        subject=subject, body="web-01: motd was repaired", trailers={"State-Commit": "a" * 40, "Plan": "b" * 64}
    )


@dataclass
class Host:
    """One management host with its own state folder, on one repository."""

    repository: Repository
    reports: ReportsBranch
    keeper: LeaseKeeper
    at: datetime = field(default=NOON)

    def report(
        self, files: dict[str, bytes | None], subject: str = "Report", *, epoch: int | None = None
    ) -> str | None:
        """Commit and publish, as a pass does; what did not get through waits."""
        self.reports.look()
        made = self.reports.write(files, a_message(subject), now=self.at, epoch=epoch)
        self.reports.publish(epoch=epoch)
        return made


@contextmanager
def a_host(name: str, repo: GitRemote, tmp_path: Path, *, remote: str | None = None) -> Iterator[Host]:
    """A host of this name; `remote` is what `Reports.Remote` says."""
    with ExitStack() as stack:
        state_dir = tmp_path / f"state-of-{name}"
        address = parse_address(str(repo.path), cwd=tmp_path)
        repository = stack.enter_context(Repository.open(address, state_dir=state_dir))
        places = find_places(repository, remote)
        person = Person(email=f"reconciler@{name}.example.org")
        reports = ReportsBranch(repository=repository, places=places, branch="compliance", person=person)
        keeper = LeaseKeeper(repository=repository, remote=places.lease, holder=holder_name(name, state_dir))
        yield Host(repository=repository, reports=reports, keeper=keeper)
