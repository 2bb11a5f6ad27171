"""Keeps files of patches on this host, for when their archives drop them: fetched beside passes, which never wait for one.

A node's word is a hint. Where a file lies is an address that the host's egress rules must allow, what it is its SHA-256 alone
decides, and its size is a bound. A file goes only to nodes whose own index showed that very checksum.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Final
from urllib.parse import urlsplit

from reconciler.content.egress import Egress
from reconciler.content.fetches import PATIENCE, Fetches, Looked
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.kept_files import MOST_OF_ONE_FILE, Held, KeptFiles, Wanted, choose, sha256_of
from reconciler.content.web import HttpFetcher, HttpLimits
from reconciler.documents.content import Content, ContentFile, HttpSource, Source, Unavailable
from reconciler.errors import SourceError
from reconciler.ids import NodeId
from reconciler.model.questions import Questions
from reconciler.patching.needed_files import FileToKeep
from reconciler.plan.ground import Ground
from reconciler.settings import HostSettings

MOST_AT_ONCE: Final = 500
"""Files that one pass begins to fetch; the next one goes on."""
IDLE: Final = 20.0
"""Seconds without a byte."""
TOTAL: Final = 1800.0
"""Seconds for one file: nobody waits for it."""
_LOOK_EVERY: Final = 0.05
FIRST_AGAIN: Final = timedelta(minutes=30)
LAST_AGAIN: Final = timedelta(days=1)
"""What cannot be had is asked for again, less and less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    reason: str
    again: datetime
    pause: timedelta


class PatchFiles:
    """Those of one host. For one thread; where the settings keep none it holds none, and fetches nothing."""

    def __init__(self, folder: Path, settings: HostSettings) -> None:
        self.keeps = settings.keep_patch_files
        self._files = KeptFiles(folder)
        self._most = settings.patch_files_bytes
        self._egress = Egress(allowed=settings.egress)
        self._fetches = Fetches()
        self._begun: dict[str, Source] = {}
        self._sizes: dict[str, int] = {}
        self._failed: dict[str, _Failure] = {}
        self._problems: dict[str, str] = {}
        self._asked_more: tuple[Mapping[NodeId, Questions], Mapping[NodeId, Questions]] | None = None
        self._lock = Lock()
        """Of `_problems`, which fetching threads fill."""

    def close(self) -> None:
        """Let go of servers; safe to call twice."""
        self._fetches.close()

    def kept(self) -> frozenset[str]:
        """Give the checksums of what is here; from any thread."""
        return frozenset(f"sha256:{sha256}" for sha256 in self._files.held()) if self.keeps else frozenset()

    def asking(self, base: Ground) -> Ground:
        """Ask nodes where their repositories lie, too, where this host keeps files of patches."""
        if not self.keeps:
            return base
        if self._asked_more is None or self._asked_more[0] is not base.questions:
            more = {
                node: replace(asked, addresses=True) if asked.patches else asked
                for node, asked in base.questions.items()
            }
            self._asked_more = base.questions, more
        return replace(base, questions=self._asked_more[1])

    def read_or(self, other: Callable[[str], bytes], sha256: str) -> bytes:
        """Give a file of ours, else what `other` gives. Raises SourceError where it is gone, or was changed; from any thread."""
        return self._files.read(sha256) if self.keeps and self._files.has(sha256) else other(sha256)

    def keep(self, needed: Sequence[FileToKeep], now: datetime) -> tuple[str, ...]:
        """Begin to fetch what is not here, and make room for it; gives what people should hear of it, each thing once."""
        if not self.keeps:
            return ()
        told = self._settle(now)
        files = {sha256_of(one.checksum): one for one in needed if one.size <= MOST_OF_ONE_FILE}
        self._failed = {sha256: failure for sha256, failure in self._failed.items() if sha256 in files}
        self._files.tidy(now)
        self._files.needed(files, now)
        under_way = [Held(sha256=sha256, size=self._sizes[sha256], needed=now) for sha256 in self._begun]
        held = {**self._files.held(), **{one.sha256: one for one in under_way}}
        wanted = tuple(
            Wanted(sha256=sha256, size=one.size, rank=int(one.need))
            for sha256, one in files.items()
            if sha256 in held or (one.addresses and not self._is_waiting(sha256, now))
        )
        choice = choose(held.values(), wanted, most=self._most, now=now)
        self._files.evict(one for one in choice.evict if one.sha256 not in self._begun)
        self._begin({one.sha256: files[one.sha256] for one in choice.fetch[:MOST_AT_ONCE]})
        is_full = bool(choice.left_out)
        if not self._files.was_told_full(is_full=is_full) and is_full:
            first = files[choice.left_out[0].sha256].name
            told.append(
                f"the files of patches that this host keeps have no room (PatchFiles, MaxBytes: {self._most}): "
                f"{len(choice.left_out)} that nodes need are not kept, the first is {first}"
            )
        return tuple(told)

    def wait(self, stop: Event, seconds: float = PATIENCE) -> None:
        """Wait for what is under way, for a process that is about to end; what does not come in time the next one fetches."""
        until = time.monotonic() + seconds
        while self._fetches.still_asked(self._begun.values()) and time.monotonic() < until:
            if stop.wait(_LOOK_EVERY):
                return

    def _settle(self, now: datetime) -> list[str]:
        """Take in what became of the fetches before."""
        still = self._fetches.still_asked(self._begun.values())
        self._fetches.late(source for source in self._begun.values() if source not in still)
        with self._lock:
            problems, self._problems = self._problems, {}
        fresh = {sha256: why for sha256, why in problems.items() if sha256 not in self._failed}
        for sha256, why in problems.items():
            before = self._failed.get(sha256)
            pause = FIRST_AGAIN if before is None else min(before.pause * 2, LAST_AGAIN)
            self._failed[sha256] = _Failure(reason=why, again=now + pause, pause=pause)
        self._begun = {sha256: source for sha256, source in self._begun.items() if source in still}
        self._sizes = {sha256: self._sizes[sha256] for sha256 in self._begun}
        if not fresh:
            return []
        first = fresh[min(fresh)]
        more = f", and {len(fresh) - 1} more" if len(fresh) > 1 else ""
        return [f"a file of a patch cannot be kept: {first}{more}"]

    def _is_waiting(self, sha256: str, now: datetime) -> bool:
        failure = self._failed.get(sha256)
        return failure is not None and now < failure.again

    def _begin(self, files: Mapping[str, FileToKeep]) -> None:
        for sha256, one in files.items():
            source = HttpSource(url=one.addresses[0], sha256=sha256, insecure=True)
            self._begun[sha256], self._sizes[sha256] = source, one.size
            self._fetches.begin([(urlsplit(source.url).netloc, source)], partial(self._look, one))

    def _look(self, one: FileToKeep, _source: Source) -> Looked:
        """Fetch one file from the first of its addresses that has it. In a thread of its own."""
        sha256, why = sha256_of(one.checksum), ""
        limits = HttpLimits(bytes=one.size, idle=IDLE, total=TOTAL)
        fetcher = HttpFetcher(self._egress, HostSecrets(known={}), limits, self._fetches.cut)
        for address in one.addresses:
            place = HttpSource(url=address, sha256=sha256, insecure=True)
            try:
                self._files.put(sha256, partial(fetcher.save, place))
            except SourceError as exc:
                why = why or f"{one.name}: {exc}"
                continue
            file = ContentFile(path=sha256, sha256=sha256, size=one.size)
            return Looked(found=Content(pin=f"sha256 {sha256}", files=(file,), single=True))
        with self._lock:
            self._problems[sha256] = why
        return Looked(found=Unavailable(reason=why))
