"""A git repository that a document names: which commit a ref is, and the files of a commit, from a bare clone of our own.

The repository was named by whoever writes documents, so less is allowed than for the state repository: nothing local, no
redirect, no proxy, no key or agent of this host's own, and only the addresses that the caller has checked.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.model.secret import Secret
from reconciler.source.address import OBJECT_ID, RepositoryAddress, Scheme
from reconciler.source.clone import clear_stale_locks, close_clone, open_clone
from reconciler.source.cut import Cut
from reconciler.source.git_process import GitOptions, GitProcess
from reconciler.source.objects import Objects
from reconciler.source.records import MEBIBYTE, ReadLimits, TreeEntry

CONTENT_LIMITS = ReadLimits(
    files=5_000, file_bytes=64 * MEBIBYTE, total_bytes=64 * MEBIBYTE, listing_bytes=8 * MEBIBYTE
)
"""What one content may hold: it is sent to every node."""
_MAX_REFS_BYTES = 4 * MEBIBYTE
_MAX_BLOCKS = 2 * 1024 * 1024
"""In 512-byte blocks: a pack of 1 GiB, of one commit of a repository of which a part is wanted."""
_NETWORK = timedelta(seconds=180)
"""Less than for the state repository: a pass waits for it."""
_KEPT = "refs/content/"
_SSH_PORT = 22
_BINDS_SINCE = (2, 37)
"""Which git first knew `http.curloptResolve`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How one repository may be reached."""

    host: str
    port: int
    addresses: Sequence[str]
    """Where the name may be taken to lead: checked, and nothing else is connected to."""
    login: Secret | None = None
    """For https: user and password as git's credential protocol has them."""
    identity: Path | None = None
    """For ssh: the file of the private key; None: no key at all is shown."""
    known_hosts: Path | None = None
    """For ssh: None is this host's own. Always strict."""


@dataclass(slots=True)
class ContentRepository:
    """Open with `ContentRepository.open(...)`, use it in a `with`."""

    address: RepositoryAddress
    reach: Reach
    _git: GitProcess
    _objects: Objects = field(init=False)

    def __post_init__(self) -> None:
        self._objects = Objects(self._git)

    @classmethod
    def open(cls, address: RepositoryAddress, reach: Reach, folder: Path, cut: Cut | None = None) -> Self:
        """Open the clone in `folder`, made where there is none. Nothing is fetched. `cut` ends what waits for the server."""
        if address.is_local:
            raise SourceError(f"{address.shown} is a folder of this host: documents download from servers alone")
        options = GitOptions(
            max_file_blocks=_MAX_BLOCKS,
            network=_NETWORK,
            ssh_known_hosts=reach.known_hosts,
            ssh_choices=_ssh_choices(address, reach),
            ssh_config="none",
        )
        git = replace(
            open_clone(folder, address, options),
            settings=_settings(address, reach),
            environment={"GIT_ALLOW_PROTOCOL": "ssh:https", "no_proxy": "*", "NO_PROXY": "*", "SSH_AUTH_SOCK": ""},
            cut=cut or Cut(),
        )
        found = cls(address, reach, git)
        try:
            found._require_binding()
        except BaseException:
            close_clone(git)
            raise
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_clone(self._git)

    def _require_binding(self) -> None:
        """Raise SourceError where git is too old to be bound to an address: it would take the setting without a word."""
        if self.address.scheme is not Scheme.HTTPS:
            return
        told = self._git.ask("version").decode("ascii", "replace")
        version = re.search(r"(\d+)\.(\d+)", told)
        if version is None or (int(version[1]), int(version[2])) < _BINDS_SINCE:
            wanted = ".".join(map(str, _BINDS_SINCE))
            raise SourceError(
                f"{told.strip()[:80]}: git {wanted} or newer is needed to download over https; or use ssh"
            )

    def commit_of(self, ref: str) -> CommitId:
        """Ask which commit `ref` is now; empty: the remote's HEAD. Raises SourceError where it is none."""
        wanted = (ref, f"{ref}^{{}}") if ref else ("HEAD",)
        asked = ("ls-remote", "--end-of-options", self.address.shown, *wanted)
        finished = self._git.run(*asked, limit=self._git.options.network, login=self.reach.login, most=_MAX_REFS_BYTES)
        if finished.status != 0:
            raise SourceError(f"{self.address.shown} cannot be read: {finished.complaint}")
        told = (line.partition("\t") for line in finished.stdout.decode("utf-8", "replace").splitlines())
        ids = {name: value for value, _, name in told if OBJECT_ID.match(value)}
        # A tag that is an object of its own is told twice: what it is of counts.
        found = ids.get(f"{ref}^{{}}") or ids.get(ref or "HEAD")
        if found is None:
            what = f"ref {ref}" if ref else "commit"
            raise SourceError(f"{self.address.shown} has no {what}: write getOptions: branch:NAME of one it has")
        return CommitId(found)

    def bring(self, commit: str) -> None:
        """Fetch one commit without its history, unless the clone holds it. Raises SourceError."""
        kept = f"{_KEPT}{commit}"
        if self._git.run("cat-file", "-e", f"{kept}^{{commit}}").status == 0:
            return
        options = ("--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        asked = ("fetch", *options, "--end-of-options", self.address.shown, f"+{commit}:{kept}")
        try:
            finished = self._git.run(*asked, limit=self._git.options.network, login=self.reach.login)
        finally:
            clear_stale_locks(self._git)
        if finished.status != 0:
            raise SourceError(f"{self.address.shown} cannot be fetched at {commit[:12]}: {finished.complaint}")

    def files(self, commit: str, path: str, limits: ReadLimits = CONTENT_LIMITS) -> tuple[bool, Mapping[str, bytes]]:
        """Give whether `path` is one file, and every file of it by its path below `path`. Raises SourceError in words."""
        entries = self._objects.listing(commit, (path,) if path else (), limits)
        single = any(entry.kind == "blob" and entry.path == path for entry in entries)
        chosen: dict[str, TreeEntry] = {}
        for entry in entries:
            inside = entry.path == path or not path or entry.path.startswith(f"{path}/")
            if entry.kind == "tree" or not inside:
                continue
            name = entry.path.rpartition("/")[2] if single else entry.path.removeprefix(f"{path}/" if path else "")
            chosen[name] = _plain(entry, name)
        total = sum(entry.size for entry in chosen.values())
        if not chosen:
            raise SourceError(f"{self.address.shown} has no {path or 'file'} at {commit[:12]}")
        if len(chosen) > limits.files or total > limits.total_bytes:
            raise SourceError(
                f"{self.address.shown} holds {len(chosen)} files of {total} bytes there: at most {limits.files} files of "
                f"{limits.total_bytes} bytes are sent to a node; name a folder of it as path"
            )
        blobs = self._objects.read_blobs(sorted({entry.id for entry in chosen.values()}))
        return single, {name: blobs[entry.id] for name, entry in sorted(chosen.items())}


def _plain(entry: TreeEntry, name: str) -> TreeEntry:
    """Give an entry that is a plain file with a plain path; a link could lead anywhere on the node."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if entry.mode == "120000":
        raise SourceError(f"{shown} is a symbolic link: links are never followed; name a path without it")
    if entry.kind == "commit":
        raise SourceError(f"{shown} is a submodule: it is not fetched; name a path without it")
    odd = any(ord(char) < ord(" ") or char == "\x7f" for char in name) or shown != name
    if odd or {"", ".", ".."} & set(name.split("/")):
        raise SourceError(f"{shown[:200]} is no name that can be written on a node")
    return entry


def _settings(address: RepositoryAddress, reach: Reach) -> tuple[str, ...]:
    """Bind git to the checked addresses: libcurl asks no resolver for a name it was given the answer of."""
    if address.scheme is not Scheme.HTTPS:
        return ()
    addresses = ",".join(f"[{one}]" if ":" in one else one for one in reach.addresses)
    resolve = (f"http.curloptResolve={reach.host}:{reach.port}:{addresses}",)
    trusted = os.environ.get("SSL_CERT_FILE")
    return (
        "http.followRedirects=false",
        "http.proxy=",
        *resolve,
        *((f"http.sslCAInfo={trusted}",) if trusted else ()),
    )


def _ssh_choices(address: RepositoryAddress, reach: Reach) -> tuple[str, ...]:
    """Bind ssh to one checked address, under the name its host key is known by; no key is shown but the one named."""
    if address.scheme is not Scheme.SSH:
        return ()
    alias = reach.host if reach.port == _SSH_PORT else f"[{reach.host}]:{reach.port}"
    return (
        f"HostName={reach.addresses[0]}",
        f"HostKeyAlias={alias}",
        "CheckHostIP=no",
        "IdentityAgent=none",
        "IdentitiesOnly=yes",
        f'IdentityFile="{reach.identity or "none"}"',
        "ProxyCommand=none",
        "CanonicalizeHostname=no",
        "UpdateHostKeys=no",
    )
