"""Whether trouble with git is our own clone's: then it is made anew, and what met the trouble is tried once more."""

from collections.abc import Callable
from typing import TypeVar

from reconciler.errors import CommitError, LeaseLost, SourceError
from reconciler.source.repository import Repository

_MOST_REMEMBERED = 50

T = TypeVar("T")


class CloneHealth:
    """Our clone of one repository. The clone alone is looked at: a remote that is away or broken makes nothing anew."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._sound_with: dict[tuple[str, ...], None] = {}
        """Troubles that our clone was found sound with: while a remote is away, nothing is looked at again each pass."""

    def kept_sound(self, work: Callable[[], T], trouble: Callable[[T], tuple[str, ...]] = lambda _: ()) -> T:
        """Do work of git's; where it fails or comes to trouble and our clone is the cause, do it again on a fresh one."""
        try:
            done = work()
        except LeaseLost:
            raise
        except (SourceError, CommitError) as exc:
            if not self._repaired((str(exc),)):
                raise
            return work()
        met = trouble(done)
        return work() if met and self._repaired(met) else done

    def _repaired(self, trouble: tuple[str, ...]) -> bool:
        if trouble in self._sound_with:
            return False
        if self._repository.repair() is not None:
            return True
        self._sound_with = {trouble: None, **dict(list(self._sound_with.items())[:_MOST_REMEMBERED])}
        return False

    def told(self) -> tuple[str, ...]:
        """Give what the last repair came to, until a report was made with it."""
        note = self._repository.told_repair()
        return () if note is None else (note,)

    def forget(self) -> None:
        """Say that it was told."""
        self._repository.forget_repair()
