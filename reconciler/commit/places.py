"""Where reports go: the repository that holds the branch, and the remote it is pushed on to. Resolves, writes nothing."""

from dataclasses import dataclass

from reconciler.source.address import RepositoryAddress, Scheme
from reconciler.source.records import Remote
from reconciler.source.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The homes of the compliance branch, the heartbeat and the lease."""

    home: Remote
    """Holds the branch: the local repository that REPO is, or else the remote or our own clone."""
    further: Remote | None = None
    """Where it is pushed on to, once home has it."""

    @property
    def all(self) -> tuple[Remote, ...]:
        """Both, home first."""
        return (self.home,) if self.further is None else (self.home, self.further)

    @property
    def lease(self) -> Remote:
        """Where writers meet: on the remote, or in the repository itself where there is none."""
        return self.further or self.home


def find_places(repository: Repository, reports_remote: str | None) -> Places:
    """Find them for `Reports.Remote`; a remote that the repository does not have is a `SourceError`.

    A local REPO is itself the home. A URL is the home where `Reports.Remote` is given, and else nothing is pushed: our
    clone is.
    """
    if repository.address.is_local:
        home = Remote(name="home", address=repository.address)
        if reports_remote is None:
            return Places(home=home)
        return Places(home=home, further=Remote(name="further", address=repository.remote_address(reports_remote)))
    if reports_remote is not None:
        return Places(home=Remote(name="home", address=repository.remote_address(reports_remote)))
    own = repository.folder
    address = RepositoryAddress(scheme=Scheme.LOCAL, text=str(own), shown=str(own), path=own)
    return Places(home=Remote(name="home", address=address))
