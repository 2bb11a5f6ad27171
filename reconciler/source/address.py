"""The grammar of repository addresses, remotes, branches and revisions: text in, a record or a `UsageError` out. No I/O.

Whatever passes here is safe to hand to git as one argument: nothing starts with a dash, names a transport helper
(`ext::`), or holds a control character. `--upload-pack=` as a URL executes a program otherwise.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from reconciler.errors import UsageError
from reconciler.model.secret import Secret


class Scheme(Enum):
    """How a repository is reached."""

    LOCAL = "local"
    SSH = "ssh"
    HTTPS = "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAddress:
    """Where a repository is."""

    scheme: Scheme
    text: str = field(repr=False)
    """What git is given. It may hold a password: never print it."""
    shown: str
    """The same without a login: for people, logs and reports, and for git's arguments."""
    path: Path | None = None
    """The absolute folder of a local repository."""
    login: Secret | None = None
    """User and password, as git's credential protocol has them; None: the address holds none."""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return self.path is not None


MAX_ADDRESS = 2048
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HELPER = re.compile(r"^[A-Za-z0-9+.-]*::")
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_HOST_ALONE = re.compile(rf"{_HOST}\Z")
_USER_ALONE = re.compile(rf"{_USER}\Z")
_SCP = re.compile(rf"(?P<user>{_USER}@)?(?P<host>{_HOST}):(?P<path>[^-].*)\Z", re.DOTALL)
_FORMS = "a path, file:///PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or https://HOST/PATH"


def parse_address(text: str, *, cwd: Path) -> RepositoryAddress:
    """Read a REPO argument or a remote's URL; a relative path counts from `cwd`. Nothing is looked up."""
    if not text:
        raise UsageError(f"the repository's address is empty; give {_FORMS}")
    if len(text) > MAX_ADDRESS:
        raise UsageError(f"the repository's address is {len(text)} characters long; {MAX_ADDRESS} is the limit")
    if _CONTROL.search(text):
        raise UsageError(f"the repository's address {text!r} holds a control character; give {_FORMS}")
    if text.startswith("-"):
        raise UsageError(f"the repository's address {text!r} starts with a dash; for such a folder write ./{text}")
    if _HELPER.match(text):
        raise UsageError(f"the repository's address {text!r} names a transport helper; give {_FORMS}")
    if "://" in text:
        return _parse_url(text)
    before, colon, _ = text.partition(":")
    if colon and "/" not in before:
        return _parse_scp(text)
    return _local(cwd / text)


def _local(path: Path) -> RepositoryAddress:
    absolute = Path("/", *_without_dots(path.parts[1:])) if path.is_absolute() else None
    if absolute is None:
        raise UsageError(f"the folder {str(path)!r} is not absolute, and there is no current folder to count it from")
    return RepositoryAddress(scheme=Scheme.LOCAL, text=str(absolute), shown=str(absolute), path=absolute)


def _without_dots(parts: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    return kept


def _parse_scp(text: str) -> RepositoryAddress:
    if not _SCP.match(text):
        raise UsageError(f"{text!r} is no address of a repository; give {_FORMS}")
    return RepositoryAddress(scheme=Scheme.SSH, text=text, shown=text)


def _parse_url(text: str) -> RepositoryAddress:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        # Neither the library's words nor its error: both may quote a part of a password.
        raise UsageError(f"{_redacted(text)!r} is no URL: its host or port does not read; give {_FORMS}") from None
    if parts.scheme == "file":
        return _parse_file_url(text, parts.netloc, parts.path)
    why = _why_not_a_url(parts, f"[{host}]" if host and ":" in host else host or "", port)
    if why is not None:
        raise UsageError(f"{_redacted(text)!r} is no address of a repository: {why}; give {_FORMS}")
    login, shown = None, text
    if parts.scheme == "https" and parts.username is not None:
        before, _, path = text[len("https://") :].partition("/")
        shown = f"https://{before.rpartition('@')[2]}/{path}"
        login = Secret(f"username={unquote(parts.username)}\npassword={unquote(parts.password or '')}\n")
    return RepositoryAddress(scheme=Scheme(parts.scheme), text=text, shown=shown, login=login)


def _why_not_a_url(parts: SplitResult, host: str, port: int | None) -> str | None:
    checks = {
        f"{parts.scheme}:// is not allowed": parts.scheme not in {"ssh", "https"},
        "it has a ? or a # part": bool(parts.query or parts.fragment),
        f"{host!r} is no host name": not _HOST_ALONE.match(host),
        "its user is no user name": bool(parts.username and not _USER_ALONE.match(unquote(parts.username))),
        "it holds an escaped control character": bool(_CONTROL.search(unquote(parts.geturl()))),
        "it names a host, but no repository on it": parts.path in {"", "/"},
        "its path starts with a dash": unquote(parts.path).startswith("/-"),
        "ssh takes a key, not a password in the address": parts.scheme == "ssh" and parts.password is not None,
        "0 is no port": port == 0,
    }
    return next((why for why, applies in checks.items() if applies), None)


def _parse_file_url(text: str, host: str, path: str) -> RepositoryAddress:
    if host not in {"", "localhost"}:
        raise UsageError(f"{text!r} names the host {host!r}; a file:// URL has three slashes and stays on this machine")
    decoded = unquote(path)
    if _CONTROL.search(decoded) or not decoded.startswith("/") or decoded == "/":
        raise UsageError(f"{text!r} names no folder on this machine")
    return _local(Path(decoded))


_LOGIN = re.compile(r"://(?:[^/@:]*:.*|[^/]*)@")
"""From the colon to the last `@`, for a password may hold both; a name alone is taken out as well, since tokens stand there."""
_SSH_USER = re.compile(r"(?P<user>ssh://[^/@:]*):.*@")


def _redacted(text: str) -> str:
    if text.startswith("ssh://"):
        return _SSH_USER.sub(r"\g<user>@", text)
    return _LOGIN.sub("://", text)


MAX_REF = 200
"""Bytes of a ref's name: a file name holds 255, and git adds `.lock` and folders."""
_REF_REFUSED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock/|/-")


def why_not_a_ref(name: str) -> str | None:
    """Say what is wrong with a ref or branch name by git's own rules; None: nothing is."""
    refused = _REF_REFUSED.search(name)
    checks = {
        "it is empty": not name,
        f"it starts with {name[:1]!r}": name.startswith(("-", "/", ".")),
        "it ends with '/', '.' or '.lock'": name.endswith(("/", ".", ".lock")),
        "'@' alone is no name": name == "@",
        f"it holds {refused.group() if refused else ''!r}": refused is not None,
        f"it is longer than {MAX_REF} bytes": len(name.encode("utf-8", "surrogateescape")) > MAX_REF,
        "it is not UTF-8": name.encode("utf-8", "replace").decode() != name,
    }
    return next((why for why, applies in checks.items() if applies), None)


def branch_name(text: str) -> str:
    """Give the name of a branch (without `refs/heads/`), or refuse it with the reason."""
    why = why_not_a_ref(text)
    if why is None and (text == "HEAD" or text.startswith("refs/")):
        why = "give the branch's short name, as `main`"
    if why is not None:
        raise UsageError(f"{text!r} is no branch name: {why}")
    return text


_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def remote_name(text: str) -> str:
    """Give the name of a remote as git config spells it, or refuse it."""
    if not _REMOTE.match(text) or ".." in text:
        raise UsageError(f"{text!r} is no name of a remote; it looks like `origin`")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A name and steps back from it: `main~2` is ("main", "~2")."""

    name: str
    steps: str


_REVISION = re.compile(r"(?P<name>[^~^]+)(?P<steps>(?:[~^][0-9]{0,4})*)\Z", re.DOTALL)
OBJECT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
SHORT_ID = re.compile(r"[0-9a-f]{4,64}\Z")


def parse_revision(text: str) -> Revision:
    """Read a REV argument: a branch, tag, HEAD or commit id, with `~N` and `^N` behind it."""
    match = _REVISION.match(text)
    why = why_not_a_ref(match["name"]) if match else "it starts with '~' or '^', or is empty"
    if match is None or why is not None:
        raise UsageError(f"{text!r} is no revision: {why}")
    return Revision(name=match["name"], steps=match["steps"])
