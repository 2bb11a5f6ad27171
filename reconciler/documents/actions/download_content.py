"""aws:downloadContent: files from git, a web server or the document library into a folder of the run; read here, fetched elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import SplitResult, urlsplit

from reconciler.documents.actions.run_document import REFERENCE
from reconciler.documents.compact_json import as_text
from reconciler.documents.content import (
    NO_CREDENTIAL,
    Authentication,
    Credential,
    GitSource,
    HttpSource,
    S3Source,
    Source,
)
from reconciler.documents.error import InputError
from reconciler.ids import DocumentName
from reconciler.model.known import JsonValue
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Table, plain_json

SOURCE_TYPES = ("GitHub", "Git", "HTTP", "S3", "SSMDocument")
"""SSM: the value's case counts."""

_SECURE = re.compile(r"\{\{ *ssm-secure:([/\w.-]+) *\}\}", re.ASCII)
_GITHUB_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@#-]{0,199}")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*@[A-Za-z0-9_.-]+:[^-].*", re.DOTALL)
_HEX = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Halves of characters too: JSON may hold one, and no address and no path can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryDocument:
    """A document of the repository, as content: stored as `NAME.json`."""

    name: DocumentName
    version: str = "$DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadContent:
    """One download."""

    name: ClassVar[str] = "aws:downloadContent"
    source: Source | LibraryDocument
    destination: str = ""

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read interpolated inputs with lower-case keys; raises InputError where the step fails on SSM."""
        kind, destination = inputs.get("sourcetype"), inputs.get("destinationpath")
        destination = "" if destination is None else as_text(destination)
        _refuse_odd_path("destinationPath", destination)
        info = _Info(_map(inputs.get("sourceinfo")))
        match kind:
            case "Git":
                source: Source | LibraryDocument = _git(info)
            case "GitHub":
                source = _github(info)
            case "HTTP":
                source = _http(info)
            case "SSMDocument":
                source = _library_document(info)
            case "S3":
                source = _s3(info)
            case _:
                raise InputError(f"sourceType must be one of {', '.join(SOURCE_TYPES)}, not {as_text(kind)[:80]!r}")
        return cls(source=source, destination=destination)


class _Info:
    """The entries of sourceInfo, by their names in any case."""

    def __init__(self, entries: Mapping[str, JsonValue]) -> None:
        self._entries = {name.lower(): value for name, value in entries.items()}

    def text(self, name: str) -> str:
        """Give an entry as text; empty where there is none."""
        value = self._entries.get(name.lower())
        return "" if value is None else as_text(value)

    def required(self, name: str) -> str:
        """Give an entry that must be there."""
        text = self.text(name)
        if not text:
            raise InputError(f"sourceInfo has no {name}")
        return text

    def flag(self, name: str) -> bool:
        """Give an entry that is true or false; SSM takes text as well."""
        return self.text(name).lower() == "true"

    def secret(self, name: str) -> Credential:
        """Give an entry that names a secret: in plain text it would stand in git, and in every report of the document."""
        text = self.text(name).strip()
        if not text:
            return NO_CREDENTIAL
        match = _SECURE.fullmatch(text)
        if match is None:
            raise InputError(f"sourceInfo.{name} must be {{{{ssm-secure:NAME}}}}: it is never taken in plain text")
        return Credential(secret=match[1])

    def credential(self, name: str) -> Credential:
        """Give an entry that may be a secret."""
        text = self.text(name).strip()
        match = _SECURE.fullmatch(text)
        if match is None and ("{{" in text or _CONTROL.search(text)):
            raise InputError(f"sourceInfo.{name} is neither plain text nor {{{{ssm-secure:NAME}}}}")
        return Credential(literal=text) if match is None else Credential(secret=match[1])


def _map(value: JsonValue) -> Mapping[str, JsonValue]:
    """Give sourceInfo, which may be a map or JSON text."""
    if isinstance(value, str):
        read = read_json(value.encode("utf-8", "surrogatepass"), Mistakes("sourceInfo"))
        value = plain_json(read[0]) if read and isinstance(read[0], Table) else None
    if not isinstance(value, Mapping):
        raise InputError("sourceInfo must be a map, or a map as JSON text")
    return value


def _git(info: _Info) -> GitSource:
    repository = info.required("repository").strip()
    if _CONTROL.search(repository) or repository.startswith("-"):
        raise InputError("sourceInfo.repository is no address of a repository")
    over_ssh = repository.startswith("ssh://") or _SCP.fullmatch(repository) is not None
    username, password, key = info.credential("username"), info.secret("password"), info.secret("privateSSHKey")
    if not over_ssh:
        parts = _split(repository, "repository")
        if parts.scheme == "http":
            raise InputError("sourceInfo.repository: http:// shows everybody what it brings: write https:// or ssh://")
        if parts.scheme != "https" or not parts.hostname:
            raise InputError("sourceInfo.repository must begin with https:// or ssh://, or be USER@HOST:PATH")
        _refuse_login(parts, "repository")
        if key:
            raise InputError("sourceInfo.privateSSHKey is for addresses over ssh alone")
    elif username or password:
        raise InputError("sourceInfo.username and password are for https alone; ssh takes privateSSHKey")
    if over_ssh and info.flag("skipHostKeyChecking"):
        raise InputError(
            "sourceInfo.skipHostKeyChecking: host keys are always checked: add the server's to this host's known_hosts"
        )
    ref, commit = _ref_or_commit(info.text("getOptions"), "")
    return GitSource(
        repository=repository,
        ref=ref,
        commit=commit,
        path=_inner_path(info.text("path")),
        username=username,
        password=password,
        key=key,
    )


def _github(info: _Info) -> GitSource:
    owner, repository = info.required("owner"), info.required("repository").removesuffix(".git")
    for name, text in (("owner", owner), ("repository", repository)):
        if not _GITHUB_NAME.fullmatch(text) or text in {".", ".."}:
            raise InputError(f"sourceInfo.{name} {text[:100]!r} is no name of GitHub's")
    token = info.secret("tokenInfo")
    # SSM's agent asks for `master` where nothing is said.
    ref, commit = _ref_or_commit(info.text("getOptions"), "refs/heads/master")
    return GitSource(
        repository=f"https://github.com/{owner}/{repository}.git",
        ref=ref,
        commit=commit,
        path=_inner_path(info.text("path")),
        username=Credential(literal="x-access-token") if token else NO_CREDENTIAL,
        password=token,
    )


def _ref_or_commit(options: str, default: str) -> tuple[str, str]:
    """Read getOptions: `branch:NAME` or `commitID:SHA`."""
    options = options.strip()
    if not options:
        return default, ""
    kind, colon, value = options.partition(":")
    if not colon or ":" in value or kind not in {"branch", "commitID"}:
        raise InputError(f"sourceInfo.getOptions must be branch:NAME or commitID:SHA, not {options[:100]!r}")
    if kind == "commitID":
        if not _COMMIT.fullmatch(value):
            raise InputError(f"sourceInfo.getOptions: {value[:100]!r} is no full commit id: give all 40 digits")
        return "", value
    if not _REF.fullmatch(value) or ".." in value or "//" in value or value.endswith(("/", ".lock", ".")):
        raise InputError(f"sourceInfo.getOptions: {value[:100]!r} is no name of a branch")
    if value.startswith("refs/remotes/origin/"):
        return f"refs/heads/{value.removeprefix('refs/remotes/origin/')}", ""
    return (value if value.startswith("refs/") else f"refs/heads/{value}"), ""


def _http(info: _Info) -> HttpSource:
    url, sha256 = info.required("url").strip(), info.text("sha256").strip().lower()
    parts = _split(url, "url")
    insecure = info.flag("allowInsecureDownload")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError("sourceInfo.url must begin with https:// (or http://) and name a host")
    if parts.scheme == "http" and not insecure:
        raise InputError("sourceInfo.url is http://: set allowInsecureDownload to true, or write https://")
    _refuse_login(parts, "url")
    if sha256 and not _HEX.fullmatch(sha256):
        raise InputError("sourceInfo.sha256 must be 64 hexadecimal digits")
    try:
        authentication = Authentication(info.text("authMethod") or "None")
    except ValueError:
        raise InputError("sourceInfo.authMethod must be None, Basic or Digest") from None
    username, password = info.credential("username"), info.secret("password")
    if authentication is Authentication.NONE:
        username = password = NO_CREDENTIAL
    elif not (username and password):
        raise InputError(f"sourceInfo: authMethod {authentication.value} needs username and password")
    elif parts.scheme == "http" and authentication is Authentication.BASIC:
        raise InputError("sourceInfo: authMethod Basic over http:// would tell everybody the password")
    return HttpSource(
        url=url,
        sha256=sha256,
        insecure=insecure,
        authentication=authentication,
        username=username,
        password=password,
    )


def _s3(info: _Info) -> S3Source:
    url, sha256 = info.required("path").strip(), info.text("sha256").strip().lower()
    parts = _split(url, "path")
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(
            "sourceInfo.path must be https://s3.REGION.amazonaws.com/BUCKET/KEY, or name the bucket's host"
        )
    _refuse_login(parts, "path")
    source = S3Source(url=url, sha256=sha256)
    if parts.query or parts.fragment or not source.bucket_and_key[1]:
        raise InputError("sourceInfo.path names no object and no folder of a bucket")
    if sha256 and not (_HEX.fullmatch(sha256) and source.single):
        raise InputError("sourceInfo.sha256 must be 64 hexadecimal digits, and is for one object")
    return source


def _library_document(info: _Info) -> LibraryDocument:
    text = info.required("name")
    reference = REFERENCE.fullmatch(text)
    if reference is None:
        raise InputError(f"sourceInfo.name {text[:200]!r} is not NAME, NAME:VERSION or a document's ARN")
    return LibraryDocument(name=DocumentName(reference[1]), version=reference[2] or "$DEFAULT")


def _split(text: str, name: str) -> SplitResult:
    if _CONTROL.search(text) or " " in text:
        raise InputError(f"sourceInfo.{name} holds a blank or a control character")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (asked for its error: a port that is no number)
    except ValueError:
        raise InputError(f"sourceInfo.{name} is no URL: its host or port does not read") from None
    return parts


def _refuse_login(parts: SplitResult, name: str) -> None:
    if "@" in parts.netloc:
        raise InputError(f"sourceInfo.{name} holds a login: write username and password: {{{{ssm-secure:NAME}}}}")


def _inner_path(text: str) -> str:
    path = text.strip().strip("/")
    _refuse_odd_path("sourceInfo.path", path)
    return path


def _refuse_odd_path(name: str, path: str) -> None:
    """No path leaves what it counts from: a document of one folder must not write into another by `..`."""
    if ".." in path.split("/"):
        raise InputError(f"{name} {path[:200]!r} leads out of its folder: write it without '..'")
    if _CONTROL.search(path):
        raise InputError(f"{name} holds a control character")
