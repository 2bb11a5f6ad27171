"""Sources -> what they come to now: fetched into the store, or recalled from it. The one door to everything that fetches."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from reconciler.content.egress import Egress
from reconciler.content.fetches import SECOND_CHANCE, Fetches, Looked
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.package_archive import tar_of
from reconciler.content.s3 import S3, names_below, object_url
from reconciler.content.store import Known, Store, content_fields, read_content, source_key
from reconciler.content.web import HttpFetcher
from reconciler.documents.content import (
    NOT_ASKED,
    Content,
    ContentFile,
    ContentUnknown,
    GitSource,
    HttpSource,
    PackageSource,
    S3Source,
    SignedManifest,
    Source,
    StateFile,
    Unavailable,
)
from reconciler.documents.downloads import MOST_CONTENT
from reconciler.errors import SourceError, UsageError
from reconciler.model.secret import Secret
from reconciler.source.address import RepositoryAddress, Scheme, parse_address
from reconciler.source.content import ContentRepository, Reach

MOST_SOURCES = 200
"""Of one round: each is a connection or two."""
MOST_ROUNDS = 10
"""A downloaded document may download another one, and documents run each other three deep."""
_PORTS = {Scheme.HTTPS: 443, Scheme.SSH: 22}

_LFS = b"version https://git-lfs"

T = TypeVar("T")

ReadState = Callable[[str], bytes | None]
"""Path -> a file of the state repository, at the commit in force; None: it is not there."""


Vouch = Callable[[SignedManifest], Content | Unavailable]
"""Says who vouches for a package from outside, or why nobody does."""


def no_state(_path: str) -> bytes | None:
    """Have no state repository."""
    return None


def nobody_asks(_source: SignedManifest) -> Content | Unavailable:
    """Ask for no signatures."""
    return NOT_ASKED


class Found:
    """What was looked at, for one pass: the same question has the same answer to its end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[Source, Content | Unavailable] = {}

    def find(self, source: Source) -> Content | Unavailable | None:
        """Give what a source came to; None: nobody has looked yet."""
        return self._found.get(source)

    def read(self, sha256: str) -> bytes:
        """Give a file of the store."""
        return self._store.read(sha256)

    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """Give everything that was resolved, by what each source is known by, for the report."""
        return {
            source_key(source): {**content_fields(found), "source": source.shown, "mutable": source.mutable}
            for source, found in self._found.items()
            if isinstance(found, Content) and not isinstance(source, SignedManifest)
        }

    def add(self, source: Source, found: Content | Unavailable) -> None:
        """Take in what a source came to."""
        self._found[source] = found


def package_content(source: PackageSource, data: bytes | None) -> tuple[Content, bytes]:
    """Give what the zip of a package comes to, and the tar itself. Raises SourceError where it is not what its manifest says."""
    if data is None:
        raise SourceError(f"{source.shown} is not there")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != source.sha256:
        lfs = "; it is a pointer of git LFS: name a url in the manifest" if data.startswith(_LFS) else ""
        raise SourceError(f"{source.shown} has SHA-256 {sha256}, and its manifest says {source.sha256}{lfs}")
    try:
        tar = tar_of(data)
    except SourceError as exc:
        raise SourceError(f"{source.shown}: {exc}") from exc
    file = ContentFile(path="package.tar", sha256=hashlib.sha256(tar).hexdigest(), size=len(tar))
    return Content(pin=f"sha256 {sha256}", files=(file,), single=True), tar


def state_content(source: StateFile, data: bytes | None) -> Content:
    """Give what a file of the state repository comes to. Raises SourceError where it is not there."""
    if data is None:
        raise SourceError(f"{source.shown} is not in the state repository")
    file = ContentFile(path=source.path.rpartition("/")[2], sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    return Content(pin=f"sha256 {file.sha256}", files=(file,), single=True)


class Committed:
    """What a pass found and committed, and packages that lie in git; fetches nothing, and knows the same on every host.

    Of the files themselves it has those that this host has.
    """

    def __init__(
        self, committed: bytes | None, store: Store, state_file: ReadState = no_state, vouch: Vouch = nobody_asks
    ) -> None:
        self._sources: dict[str, Content | Unavailable] = {}
        self._here: dict[str, bytes] = {}
        if committed is not None:
            self._sources.update(_read_committed(committed))
        self._store = store
        self._state_file = state_file
        self._vouch = vouch

    def find(self, source: Source) -> Content | Unavailable | None:
        """Give what a source came to in that pass; a package of the commit itself is unpacked for it, and kept nowhere."""
        if isinstance(source, StateFile):
            return self._in_commit(source)
        if isinstance(source, SignedManifest):
            return self._vouch(source)
        key = source_key(source)
        if key not in self._sources and isinstance(source, PackageSource) and not source.url:
            try:
                self._sources[key], _ = package_content(source, self._state_file(source.path))
            except SourceError as exc:
                self._sources[key] = Unavailable(reason=str(exc))
        return self._sources.get(key)

    def _in_commit(self, source: StateFile) -> Content | Unavailable:
        """Give what a file is in this commit, whatever the pass of another one found."""
        data = self._state_file(source.path)
        try:
            content = state_content(source, data)
        except SourceError as exc:
            return Unavailable(reason=str(exc))
        self._here[content.files[0].sha256] = data or b""
        return content

    def read(self, sha256: str) -> bytes:
        """Give a file of the commit, or of the store."""
        here = self._here.get(sha256)
        return self._store.read(sha256) if here is None else here


def _read_committed(data: bytes) -> Mapping[str, Content]:
    """Read `downloads.json`; a source that does not read was not looked at."""
    found: dict[str, Content] = {}
    try:
        sources = orjson.loads(data)["sources"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return found
    for key, value in sources:
        with suppress(ValueError, KeyError, TypeError):
            found[key] = read_content(value)
    return found


class Resolver:
    """Looks at sources, each once; opened for one pass, one plan or one command.

    `fetches` are those of this process. With `patience`, in seconds for all that is fetched, what has not come by then is
    left to them, and counts in the next pass; without, every server is waited for until its own limits.
    """

    def __init__(
        self,
        store: Store,
        egress: Egress,
        secrets: HostSecrets,
        *,
        known_hosts: Path | None = None,
        state_file: ReadState = no_state,
        fetches: Fetches | None = None,
        patience: float | None = None,
        vouch: Vouch = nobody_asks,
    ) -> None:
        self._store = store
        self._egress = egress
        self._secrets = secrets
        self._fetches = fetches or Fetches()
        self._patience = patience
        self._vouch = vouch
        self._until: float | None = None
        self._web = HttpFetcher(egress, secrets, cut=self._fetches.cut)
        self._s3 = S3(self._web, secrets)
        self._known_hosts = known_hosts
        self._state_file = state_file
        self.contents = Found(store)
        self.problems: list[str] = []
        """What could not be refreshed, and stays as it was; foreign text."""

    def settle(self, attempt: Callable[[Found], T]) -> T:
        """Do what needs contents, as often as it names new sources. Raises ContentUnknown where that does not end."""
        for _ in range(MOST_ROUNDS):
            try:
                return attempt(self.contents)
            except ContentUnknown as unknown:
                self.look(unknown.sources)
        return attempt(self.contents)

    def look(self, sources: Iterable[Source]) -> None:
        """Look at every source that was not looked at yet."""
        new = [source for source in dict.fromkeys(sources) if self.contents.find(source) is None]
        for source in new[MOST_SOURCES:]:
            self.contents.add(source, Unavailable(reason=f"more than {MOST_SOURCES} sources at once"))
        for source, looked in self._looked_at(new[:MOST_SOURCES]).items():
            self.contents.add(source, looked.found)
            if looked.problem:
                self.problems.append(looked.problem)

    def prune(self, now: datetime) -> None:
        """Remove what nobody has asked for lately."""
        self._store.prune(now)

    def _looked_at(self, sources: list[Source]) -> Mapping[Source, Looked]:
        """Give what each came to, in the order given, whoever was quicker."""
        # What lies here is read at once, and by this thread: the clone of the state repository is the pass's own.
        found = {source: looked for source in sources if (looked := self._without_asking(source)) is not None}
        asked = [source for source in sources if source not in found]
        awaited, until = asked, None
        if self._patience is not None:
            until = self._in_time(self._patience)
            found.update(self._fetches.late(asked))
            asked = [source for source in asked if source not in found]
            left = self._fetches.still_asked(asked)
            awaited = [source for source in asked if source not in left]
        self._fetches.begin(((_server(source), source) for source in awaited), self._look)
        found.update(self._fetches.take(awaited, until=until))
        return {source: found.get(source) or self._without(source) for source in sources}

    def _in_time(self, patience: float) -> float:
        """Give until when one round waits: all of them for `patience`, and what a download led to for a moment at least."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + patience
            return self._until
        return max(self._until, now + SECOND_CHANCE)

    def _without_asking(self, source: Source) -> Looked | None:
        """Give what no server has to be asked for."""
        if isinstance(source, StateFile):
            return self._in_commit(source)
        if isinstance(source, SignedManifest):
            return Looked(found=self._vouch(source))
        known = None if source.mutable else self._store.recall(source)
        if known is not None:
            return Looked(found=known.content)
        return self._look(source) if isinstance(source, PackageSource) and not source.url else None

    def _in_commit(self, source: StateFile) -> Looked:
        """Give what a file is in this commit: what it was in an earlier one counts for nothing."""
        data = self._state_file(source.path)
        try:
            content = state_content(source, data)
            self._store.put(data or b"")
        except SourceError as exc:
            return Looked(found=Unavailable(reason=str(exc)))
        return Looked(found=content)

    def _without(self, source: Source) -> Looked:
        """Give what stands for a source that is not waited for."""
        known = self._store.recall(source)
        if self._patience is None:
            words = "the asking was given up"
        else:
            words = f"its server did not answer within {self._patience:g} s: the pass went on without it, its answer counts in the next"
        return Looked(found=Unavailable(reason=words)) if known is None else _still(known, f"{source.shown}: {words}")

    def _look(self, source: Source) -> Looked:
        known = self._store.recall(source)
        try:
            fresh = self._fresh(source, known)
            self._store.remember(source, fresh)
        except SourceError as exc:
            return Looked(found=Unavailable(reason=str(exc))) if known is None else _still(known, str(exc))
        return Looked(found=fresh.content)

    def _fresh(self, source: Source, known: Known | None) -> Known:
        match source:
            case GitSource():
                return self._git(source)
            case PackageSource():
                return self._package(source)
            case StateFile() | SignedManifest():
                raise SourceError(f"{source.shown} is fetched from nowhere")
            case S3Source():
                return self._object(source, known) if source.single else self._folder(source, known)
            case _:
                return self._file(source, known)

    def _object(self, source: S3Source, known: Known | None) -> Known:
        got = self._s3.fetch(source.url, "" if known is None else known.mark)
        if got.data is None:
            if known is None:
                raise SourceError(f"{source.shown} cannot be fetched: the server answered 304")
            return known
        sha256 = hashlib.sha256(got.data).hexdigest()
        if source.sha256 and source.sha256 != sha256:
            raise SourceError(f"{source.shown} has SHA-256 {sha256}, and the document says {source.sha256}")
        name = source.bucket_and_key[1].rpartition("/")[2]
        file = ContentFile(path=name, sha256=self._store.put(got.data), size=len(got.data))
        return Known(content=Content(pin=f"sha256 {sha256}", files=(file,), single=True), mark=got.mark)

    def _folder(self, source: S3Source, known: Known | None) -> Known:
        """Give all objects of a folder; where the list says that none changed, none is fetched."""
        objects = self._s3.list(source)
        mark = hashlib.sha256(repr([(one.key, one.tag, one.size) for one in objects]).encode()).hexdigest()
        if known is not None and known.mark == mark:
            return known
        if sum(one.size for one in objects) > MOST_CONTENT:
            raise SourceError(f"{source.shown} holds more than {MOST_CONTENT} bytes: that many are not sent to a node")
        bucket = source.bucket_and_key[0]
        files = []
        for name, one in names_below(source, objects):
            data = self._s3.fetch(object_url(bucket, one.key)).data or b""
            files.append(ContentFile(path=name, sha256=self._store.put(data), size=len(data)))
        whole = hashlib.sha256(repr([(file.path, file.sha256) for file in files]).encode()).hexdigest()
        return Known(content=Content(pin=f"sha256 {whole}", files=tuple(files)), mark=mark)

    def _package(self, source: PackageSource) -> Known:
        """Give a package's file as a tar: from the state repository, or from where its manifest says."""
        by_web = bool(source.url)
        data = self._web.fetch(HttpSource(url=source.url), "").data if by_web else self._state_file(source.path)
        content, tar = package_content(source, data)
        self._store.put(tar)
        return Known(content=content)

    def _file(self, source: HttpSource, known: Known | None) -> Known:
        got = self._web.fetch(source, "" if known is None else known.mark)
        if got.data is None:
            if known is None:
                raise SourceError(f"{source.shown} cannot be fetched: the server answered 304")
            return known
        sha256 = hashlib.sha256(got.data).hexdigest()
        if source.sha256 and source.sha256 != sha256:
            raise SourceError(f"{source.shown} has SHA-256 {sha256}, and the document says {source.sha256}")
        self._store.put(got.data)
        file = ContentFile(path=source.file_name, sha256=sha256, size=len(got.data))
        return Known(content=Content(pin=f"sha256 {sha256}", files=(file,), single=True), mark=got.mark)

    def _git(self, source: GitSource) -> Known:
        address = _address(source)
        host, port = _host(address)
        reach = Reach(
            host=host,
            port=port,
            addresses=self._egress.addresses(host, port),
            login=self._login(source, host) if address.scheme is Scheme.HTTPS else None,
            identity=self._secrets.file(source.key, host) if source.key else None,
            known_hosts=self._known_hosts,
        )
        folder = self._store.repositories / f"{source_key(GitSource(repository=source.repository))[:32]}.git"
        with ContentRepository.open(address, reach, folder, self._fetches.cut) as repository:
            commit = source.commit or repository.commit_of(source.ref)
            repository.bring(commit)
            single, files = repository.files(commit, source.path)
        listed = tuple(
            ContentFile(path=path, sha256=self._store.put(data), size=len(data)) for path, data in files.items()
        )
        return Known(content=Content(pin=f"commit {commit}", files=listed, single=single))

    def _login(self, source: GitSource, host: str) -> Secret | None:
        if not source.username and not source.password:
            return None
        lines = list(_login_lines(self._secrets, source, host))
        return Secret("".join(f"{line}\n" for line in lines))


def _still(known: Known, why: str) -> Looked:
    """Give what a source was when it last could be read."""
    told = f"{why}; what it was when last seen ({known.content.pin[:30]}) stays in force"
    return Looked(found=known.content, problem=told)


def _server(source: Source) -> str:
    """Give whom a source is asked from."""
    if isinstance(source, GitSource):
        with suppress(SourceError):
            return _host(_address(source))[0]
        return ""
    if isinstance(source, (StateFile, SignedManifest)):
        return ""
    return (urlsplit(source.url).hostname or "").lower()


def _login_lines(secrets: HostSecrets, source: GitSource, host: str) -> Iterator[str]:
    for name, credential in (("username", source.username), ("password", source.password)):
        value = secrets.reveal(credential, host).reveal()
        if "\n" in value or "\0" in value:
            raise SourceError(f"the {name} for {host} has more than one line")
        yield f"{name}={value}"


def _address(source: GitSource) -> RepositoryAddress:
    try:
        address = parse_address(source.repository, cwd=Path("/"))
    except UsageError as exc:
        raise SourceError(str(exc)) from exc
    if address.is_local or address.login is not None:
        raise SourceError(f"{address.shown} is no address that documents may download from")
    return address


def _host(address: RepositoryAddress) -> tuple[str, int]:
    """Give the server of an address that read."""
    if "://" not in address.shown:
        host = address.shown.partition(":")[0].rpartition("@")[2]
        return host.lower(), _PORTS[Scheme.SSH]
    parts = urlsplit(address.shown)
    return (parts.hostname or "").lower(), parts.port or _PORTS[address.scheme]
