"""What a document fetches: where from, and what it came to. Records, and how steps ask for them; nothing is fetched here.

A source is known from the rendered inputs alone. What it came to (`Content`) is resolved before planning: files by their
SHA-256, so that the rendered digest covers every byte that will reach a node.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from reconciler.documents.error import RenderError
from reconciler.errors import SourceError
from reconciler.model.package import PackageVersion, Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A value as written, or the name of a secret of the management host (`{{ssm-secure:NAME}}`); neither where there is none."""

    literal: str = field(default="", repr=False)
    secret: str = ""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.literal or self.secret)


NO_CREDENTIAL = Credential()


class Authentication(Enum):
    """SSM: authMethod of an HTTP download."""

    NONE = "None"
    BASIC = "Basic"
    DIGEST = "Digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A file, a folder or all of a git repository, at a commit or at a ref."""

    repository: str
    """`https://...`, `ssh://...` or `user@host:path`, without a login."""
    ref: str = ""
    """A full ref; empty: the remote's HEAD."""
    commit: str = ""
    """A full commit id: nothing else can ever be meant by it."""
    path: str = ""
    username: Credential = NO_CREDENTIAL
    password: Credential = NO_CREDENTIAL
    key: Credential = NO_CREDENTIAL

    @property
    def mutable(self) -> bool:
        """Whether it may come to something else tomorrow."""
        return not self.commit

    @property
    def shown(self) -> str:
        """For people; foreign text."""
        at = self.commit[:12] or self.ref or "HEAD"
        return f"{self.repository} at {at}{f', {self.path}' if self.path else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """One file of a web server."""

    url: str
    sha256: str = ""
    """What it must be; empty: whatever is there."""
    insecure: bool = False
    """SSM: allowInsecureDownload."""
    authentication: Authentication = Authentication.NONE
    username: Credential = NO_CREDENTIAL
    password: Credential = NO_CREDENTIAL

    @property
    def mutable(self) -> bool:
        """Whether it may come to something else tomorrow."""
        return not self.sha256

    @property
    def shown(self) -> str:
        """For people; foreign text. A query may hold a signature, and is left out."""
        bare, query, _ = self.url.partition("?")
        return f"{bare}{'?...' if query else ''}"

    @property
    def file_name(self) -> str:
        """What the file is called in a folder. SSM: `download` and something random; here the same each time."""
        return f"download{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Source:
    """An object of S3, or all objects of a folder."""

    url: str
    """`https://s3.REGION.amazonaws.com/BUCKET/KEY`, or with the bucket in the host's name; a folder ends with `/`."""
    sha256: str = ""
    """What an object must be; empty: whatever is there."""

    @property
    def mutable(self) -> bool:
        """Whether it may come to something else tomorrow."""
        return not self.sha256

    @property
    def shown(self) -> str:
        """For people; foreign text."""
        return self.url

    @property
    def single(self) -> bool:
        """Whether it is one object."""
        return not self.url.endswith("/")

    @property
    def bucket_and_key(self) -> tuple[str, str]:
        """Give the bucket's address, with a `/` at its end, and the key as it is called."""
        parts = urlsplit(self.url)
        path = parts.path.removeprefix("/")
        inside = ""
        if _BUCKET_IN_PATH.match(parts.hostname or "") or not _BUCKET_IN_HOST.search(parts.hostname or ""):
            inside, _, path = path.partition("/")
            inside += "/"
        return f"{parts.scheme}://{parts.netloc}/{inside}", unquote(path)


_BUCKET_IN_PATH = re.compile(r"s3[.-]([a-z0-9-]+\.)?amazonaws\.com")
_BUCKET_IN_HOST = re.compile(r"\.s3[.-]([a-z0-9-]+\.)?amazonaws\.com(\.cn)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A zip of a Distributor package, as the one tar that it is unpacked to. Its checksum is what it is, wherever it lies."""

    sha256: str
    path: str
    """In the state repository; of one that has a `url` only its name."""
    url: str = ""

    @property
    def mutable(self) -> bool:
        """Never."""
        return False

    @property
    def shown(self) -> str:
        """For people; foreign text."""
        return HttpSource(url=self.url).shown if self.url else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """The manifest of a package whose files lie elsewhere. It comes to who vouches for it; the bytes are those that were read."""

    path: str
    """In the state repository."""
    manifest: bytes = field(repr=False)
    signature: bytes | None = field(repr=False)
    """What lies beside it; None: nothing does."""

    @classmethod
    def of(cls, version: PackageVersion) -> "SignedManifest":
        """Give the one of a version."""
        return cls(path=f"{version.folder}/manifest.json", manifest=version.manifest, signature=version.signature)

    @property
    def mutable(self) -> bool:
        """Never: another manifest or signature is another commit."""
        return False

    @property
    def shown(self) -> str:
        """For people; foreign text."""
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """A file of the state repository, as the commit in force has it: reviewed with everything else, and never asked for elsewhere."""

    path: str
    """From the repository's root."""

    @property
    def mutable(self) -> bool:
        """Never: another content is another commit."""
        return False

    @property
    def shown(self) -> str:
        """For people; foreign text."""
        return self.path


Source = GitSource | HttpSource | S3Source | PackageSource | SignedManifest | StateFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """One file of a content."""

    path: str
    """Below the destination; of a single file its own name."""
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a source came to."""

    pin: str
    """`commit ID` or `sha256 DIGEST`."""
    files: tuple[ContentFile, ...]
    single: bool = False
    """The source names one file, and no folder."""


NOT_ASKED = Content(pin="", files=())
"""What a manifest comes to where nobody asks for signatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """A source that could not be resolved, and never was."""

    reason: str


class Contents(Protocol):
    """What is known of sources; asking fetches nothing."""

    def find(self, source: Source) -> Content | Unavailable | None:
        """Give what a source came to; None: nobody has looked yet."""
        ...

    def read(self, sha256: str) -> bytes:
        """Give a file's bytes. Raises SourceError where they are not there, or are not these."""
        ...


class NothingFetched:
    """Knows of nothing: for whoever never fetches."""

    def find(self, source: Source) -> Content | Unavailable | None:
        """Know of nothing."""
        del source
        return None

    def read(self, sha256: str) -> bytes:
        """Raise: there is nothing."""
        raise KeyError(sha256)


NOT_FETCHED = "not fetched"


class NotFetched:
    """Takes every source for one file that nobody has: to show a document without fetching for it."""

    def find(self, source: Source) -> Content:
        """Give a content that is none."""
        if isinstance(source, SignedManifest):
            return NOT_ASKED
        file = ContentFile(path=NOT_FETCHED, sha256="0" * 64, size=0)
        return Content(pin=NOT_FETCHED, files=(file,), single=isinstance(source, HttpSource))

    def read(self, sha256: str) -> bytes:
        """Raise: there is nothing."""
        raise SourceError(f"{NOT_FETCHED}: {sha256[:12]}")


class ContentUnknown(RenderError):
    """The document cannot be rendered before somebody has looked at these sources."""

    waits: ClassVar[bool] = True

    def __init__(self, sources: tuple[Source, ...]) -> None:
        super().__init__(sources)
        self.sources = sources

    def __str__(self) -> str:
        """Name the first of them."""
        return f"what it downloads was not looked at yet, and only a pass or a live plan does: {self.sources[0].shown}"


class ContentUnavailable(RenderError):
    """What it downloads could not be fetched: what uses it waits."""

    waits: ClassVar[bool] = True

    def __str__(self) -> str:
        """Say what went wrong where."""
        return f"what it downloads cannot be fetched: {self.args[0]}"


class NotVouchedFor(ContentUnavailable):
    """A package from outside, whose manifest nobody signed who counts: what uses it waits."""

    def __str__(self) -> str:
        """Say what is missing, and what to do."""
        return f"what it installs comes from outside, and nobody vouches for it: {self.args[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One content that a rendered document brings to its nodes, for the plan."""

    source: str
    """Foreign text."""
    pin: str
    mutable: bool

    @property
    def in_words(self) -> str:
        """Say what it is, and whether it may be something else tomorrow."""
        return f"{self.source}: {self.pin}{' (mutable: nothing pins it)' if self.mutable else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A package that a run brings: one of its tars, for the platform of the node."""

    version: PackageVersion
    tars: Mapping[str, ContentFile]
    """By the names of its files."""

    def tar_for(self, platform: Platform) -> ContentFile | None:
        """Give the one for a node; None where the package has none for it."""
        file = self.version.file_for(platform)
        return None if isinstance(file, str) else self.tars.get(file.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blobs:
    """The files that a run needs on its node, each by its SHA-256."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Those of them that the rendering itself made: they are in no store."""
    packages: tuple[Packaged, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything may have to be sent along."""
        return bool(self.sizes or self.packages)
