"""Whether the key that pushes reports could push the state branch too: asked once a day, remembered in the state folder.

Reports are pushed by a host that holds keys to every node. Where the same key may move the state branch, whoever takes
the host changes what was reviewed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from reconciler.commit.places import Places
from reconciler.errors import CommitError, SourceError
from reconciler.source.records import Person, Remote
from reconciler.source.repository import Repository

NAME = "push-rights.json"
ASKED_EVERY = timedelta(days=1)
"""Rights seldom change, and each question is one more connection."""
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRights:
    """What is remembered of the remotes that reports are pushed to."""

    repository: Repository
    folder: Path
    silenced: bool
    """The host settings say that it may."""

    def concern(self, places: Places) -> bool:
        """Tell whether there is a remote to ask at all."""
        return not self.silenced and bool(_asked(places))

    def warnings(self, places: Places, branch: str) -> tuple[str, ...]:
        """Give the warnings as they were found last; asks nobody."""
        known = {} if self.silenced else self._read()
        return tuple(
            _warning(place, branch)
            for place in _asked(places)
            if known.get(_key(place, branch), {}).get("could") is True
        )

    def ask(self, places: Places, branch: str, person: Person, now: datetime) -> None:
        """Ask the remotes that were not asked for a day; who gives no answer now is asked again after the next pass."""
        if self.silenced:
            return
        known = self._read()
        due = [place for place in _asked(places) if not _fresh(known.get(_key(place, branch), {}), now)]
        for place in due:
            try:
                could = self.repository.could_push(place, f"refs/heads/{branch}", person, now)
            except (SourceError, CommitError):
                continue
            known[_key(place, branch)] = {"at": int(now.timestamp()), "could": could}
        if due:
            self._write(known)

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read what is remembered; what does not read is asked again."""
        try:
            with (self.folder / NAME).open("rb") as file:
                found = orjson.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        entries = found.items() if isinstance(found, dict) else ()
        return {name: entry for name, entry in entries if isinstance(entry, dict)}

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        made = self.folder / f"{NAME}.new"
        try:
            made.write_bytes(orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
            made.rename(self.folder / NAME)
        except OSError:
            return  # it is asked again after the next pass, and told then


def _asked(places: Places) -> tuple[Remote, ...]:
    """Leave out what is on this disk: whoever runs us may write there, or not, by the folder's own permissions."""
    return tuple(place for place in places.all if place.address.path is None)


def _key(place: Remote, branch: str) -> str:
    return f"{place.address.shown} {branch}"


def _fresh(entry: dict[str, Any], now: datetime) -> bool:
    at = entry.get("at")
    if not isinstance(at, int) or not 0 <= at < 1 << 40 or not isinstance(entry.get("could"), bool):
        return False
    return abs(now - datetime.fromtimestamp(0, UTC) - timedelta(seconds=at)) < ASKED_EVERY


def _warning(place: Remote, branch: str) -> str:
    return (
        f"{place.address.shown}: the key that pushes reports could push the state branch {branch} too, as far as "
        "`git push --dry-run` tells; whoever takes this host could then change what runs. Give it a key that may push the "
        "reports' branch and refs/reconciler/* alone, or another repository for reports. Rules and hooks of the server "
        "are not seen from here: where they forbid it, set MayPushState: true in the host settings"
    )
