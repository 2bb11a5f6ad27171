"""Where a document's downloads land on the node: contents and destinations -> scripts that put them there; pure.

One `Downloads` goes along with one rendering: later steps find in it the documents that earlier ones bring. The script
takes files from the run's own folder, checks every byte of them, and makes them 0700 below 0700 folders, as SSM's agent does.
"""

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.documents.content import Blobs, Content, ContentFile, Packaged
from reconciler.documents.error import RenderError
from reconciler.model.shell import quote

MOST_FILES = 5_000
"""Of one run: each is a few processes on the node."""
MOST_CONTENT = 64 * 1024 * 1024
"""Bytes of one run: they travel over the same connection as everything else, for each node."""

_SCRIPT = r"""
fail() {
    printf 'aws:downloadContent: %s\n' "$1" >&2
    exit 1
}
umask 077
content=${0%/steps/*}/content
files=$content/$list
command -v sha256sum >/dev/null 2>&1 || fail 'the node has no sha256sum: install coreutils'
[ "$(sha256sum 2>/dev/null <"$files")" = "$list  -" ] || fail 'what was sent to the node is not there any more, or changed'
(
    cd "$content" || exit 1
    while IFS= read -r line; do
        printf '%s  %s\n' "${line%% *}" "${line%% *}"
    done <"$list" | sort -u | sha256sum -c
) >/dev/null 2>&1 || fail 'what was sent to the node is not there any more, or changed'
case $single$to in
1*/) to=$to$name ;;
1*) [ ! -d "$to" ] || to=$to/$name ;;
esac
while IFS= read -r line; do
    at=$to
    [ "$single" = 1 ] || at=${to%/}/${line#* }
    [ ! -d "$at" ] || fail "$at is a folder on the node, and should become a file"
    # A name that nobody could have put there before: in a folder of others a link would lead elsewhere.
    mkdir -p "${at%/*}" && part=$(mktemp "${at%/*}/.part.XXXXXX") && cat "$content/${line%% *}" >"$part" &&
        chmod 700 "$part" && mv -f "$part" "$at" || fail "cannot write $at on the node"
done <"$files"
printf 'Content downloaded to %s\n' "$to"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A file that an earlier step of the rendering brings."""

    path: str
    """As the node knows it; relative ones count from the run's downloads."""
    sha256: str


@dataclass(slots=True)
class Downloads:
    """What one run brings to its node, as far as it is rendered."""

    _placed: dict[str, Placed] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _made: dict[str, bytes] = field(default_factory=dict)
    _packages: list[Packaged] = field(default_factory=list)

    @property
    def blobs(self) -> Blobs:
        """Every file that must be sent along."""
        return Blobs(sizes=dict(sorted(self._sizes.items())), made=dict(self._made), packages=tuple(self._packages))

    @property
    def made(self) -> Mapping[str, bytes]:
        """What the rendering itself made, by its SHA-256."""
        return self._made

    def make(self, name: str, data: bytes) -> Content:
        """Give a content of one file that is in no store."""
        digest = hashlib.sha256(data).hexdigest()
        self._made[digest] = data
        file = ContentFile(path=name, sha256=digest, size=len(data))
        return Content(pin=f"sha256 {digest}", files=(file,), single=True)

    def package(self, packaged: Packaged) -> None:
        """Bring a package. Raises RenderError where it is too much."""
        for name, tar in packaged.tars.items():
            if tar.size > MOST_CONTENT:
                raise RenderError(
                    f"{name} is {tar.size} bytes when unpacked: at most {MOST_CONTENT} are sent to a node"
                )
        self._packages.append(packaged)

    def script(self, content: Content, destination: str) -> bytes:
        """Put `content` at `destination`: gives the script that does it on the node. Raises RenderError where it is too much."""
        listed = "".join(f"{file.sha256} {file.path}\n" for file in content.files).encode("utf-8", "surrogateescape")
        manifest = self.make("", listed).files[0]
        for file in (*content.files, manifest):
            self._sizes[file.sha256] = file.size
        if len(self._sizes) > MOST_FILES:
            raise RenderError(f"it downloads more than {MOST_FILES} files: name a folder of the repository as path")
        total = sum(self._sizes.values())
        if total > MOST_CONTENT:
            raise RenderError(f"it downloads {total} bytes: at most {MOST_CONTENT} are sent to a node")
        self._place(content, destination)
        to = quote(destination) if destination.startswith("/") else f'"${{0%/steps/*}}/downloads/"{quote(destination)}'
        name = content.files[0].path if content.single else ""
        head = f"list={manifest.sha256}\nsingle={int(content.single)}\nname={quote(name)}\nto={to}\n"
        return (head + _SCRIPT).encode("utf-8", "surrogateescape")

    def _place(self, content: Content, destination: str) -> None:
        for file in content.files:
            if not content.single:
                self._remember(posixpath.join(destination, file.path), file)
                continue
            inside = posixpath.join(destination, file.path)
            is_folder = destination == "" or destination.endswith("/") or self._is_folder(destination)
            if is_folder or destination.startswith("/"):
                self._remember(inside, file)
            if not is_folder:
                # Whether an absolute one is a folder only the node knows: the file is looked for, and checked, at both.
                self._remember(destination, file)

    def _remember(self, path: str, file: ContentFile) -> None:
        self._placed[_normal(path)] = Placed(path=path, sha256=file.sha256)

    def _is_folder(self, path: str) -> bool:
        return any(known.startswith(_normal(path) + "/") for known in self._placed)

    def find(self, path: str) -> Placed | None:
        """Give the file that an earlier step puts at `path`; None where none does."""
        return self._placed.get(_normal(path))


def _normal(path: str) -> str:
    return posixpath.normpath(path)
