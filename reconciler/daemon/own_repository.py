"""Opens the repository that this host serves: little to import, so that git can read reports while the rest is loaded."""

from pathlib import Path

from reconciler.commit.branch import known_tip
from reconciler.errors import SourceError, UsageError
from reconciler.settings import HostSettings
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitOptions
from reconciler.source.repository import Repository


def open_repository(repo: str, settings: HostSettings, state_dir: Path) -> Repository:
    """Open our clone of it. Raises UsageError where the host settings name another remote, SourceError where git fails."""
    address = parse_address(repo, cwd=Path.cwd())
    if settings.remote is not None:
        served = parse_address(settings.remote, cwd=Path.cwd())
        if served.text != address.text:
            raise UsageError(f"{address.shown}: this host serves {served.shown} alone (host settings, Remote)")
    return Repository.open(address, state_dir=state_dir, options=GitOptions(signing_key=settings.signing_key))


def read_reports_ahead(repository: Repository) -> None:
    """Begin to read the last reports that this host knows of: they are what a plan waits for longest.

    Where our clone cannot tell of them nothing is begun: whoever asks for them meets that, and has the clone mended.
    """
    try:
        tip = known_tip(repository)
    except SourceError:
        return
    if tip is not None:
        repository.read_ahead(tip)
