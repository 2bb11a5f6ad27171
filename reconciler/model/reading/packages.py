"""`packages/`: manifests of Distributor packages and the files that name a default -> every package with its versions.

`packages/NAME/VERSION/manifest.json` is what SSM keeps as the document of a package; zips lie beside it, and are not read here,
and `manifest.json.sig`, a signature over it, which is kept as it is.
`packages/NAME/package.yaml` says `default: VERSION`; it may be missing where there is one version.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from reconciler.ids import PackageName
from reconciler.model.package import Leaves, PackageFile, PackageVersion, PackageVersions
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Scalar, Table, Value
from reconciler.model.reading.yaml_text import read_yaml

READ = re.compile(r"packages/[^/]+/(?:[^/]+/manifest\.json(?:\.sig)?|package\.ya?ml)")
"""What is read of a package; all else below `packages/` is left alone."""
_DEFAULT = re.compile(r"packages/[^/]+/package\.ya?ml")
_SIGNATURE = ".sig"

_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,128}")
_VERSION = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,128}")
_FILE = re.compile(r"(?!\.)[^\s/\\\x00-\x1f\x7f]{1,200}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
MOST_FILES = 20
"""SSM: attachments of a package."""

MistakesOf = Callable[[str], Mistakes]


def read_packages(files: Mapping[str, bytes], mistakes_of: MistakesOf) -> Mapping[PackageName, PackageVersions]:
    """Read every package; what is wrong in one is told, and takes that version alone with it."""
    versions: dict[str, dict[str, PackageVersion]] = {}
    defaults: dict[str, str] = {}
    for path, data in sorted(files.items()):
        if path.endswith(_SIGNATURE):
            continue
        name = path.split("/")[1]
        mistakes = mistakes_of(path)
        if _NAME.fullmatch(name) is None:
            mistakes.error(
                (0, 0), "a package's name has 3 to 128 letters, digits, _ . -", value=name, remedy="rename it"
            )
        elif _DEFAULT.fullmatch(path):
            default = _read_default(data, mistakes)
            if default is not None:
                defaults[name] = default
        else:
            found = _read_manifest(PackageName(name), path, data, mistakes)
            if found is not None:
                signed = replace(found, manifest=data, signature=files.get(f"{path}{_SIGNATURE}"))
                versions.setdefault(name, {})[found.version] = signed
    _check_defaults(versions, defaults, files, mistakes_of)
    return {
        PackageName(name): PackageVersions(
            name=PackageName(name), versions=known, default=_default(name, known, defaults)
        )
        for name, known in versions.items()
    }


def _default(name: str, known: Mapping[str, PackageVersion], defaults: Mapping[str, str]) -> str | None:
    return defaults.get(name, next(iter(known)) if len(known) == 1 else None)


def _check_defaults(
    versions: Mapping[str, Mapping[str, PackageVersion]],
    defaults: Mapping[str, str],
    files: Mapping[str, bytes],
    mistakes_of: MistakesOf,
) -> None:
    for name, default in defaults.items():
        if default in versions.get(name, {}):
            continue
        path = next(path for path in sorted(files) if path.split("/")[1] == name and _DEFAULT.fullmatch(path))
        there = ", ".join(sorted(versions.get(name, {}))) or "none"
        mistakes_of(path).error((0, 0), f"there is no such version of {name} (there are: {there})", value=default)


def _read_default(data: bytes, mistakes: Mistakes) -> str | None:
    for value in read_yaml(data, mistakes):
        if isinstance(value, Table) and set(value.entries) == {"default"}:
            return value.scalar("default")
        mistakes.error(value, "this file says `default: VERSION`, and nothing else", remedy="write default: 1.0.0")
        break
    return None


def _read_manifest(package: PackageName, path: str, data: bytes, mistakes: Mistakes) -> PackageVersion | None:
    read = read_json(data, mistakes)
    if not read:
        return None
    whole = read[0]
    if not isinstance(whole, Table):
        mistakes.error(whole, "a manifest is a JSON object")
        return None
    if not {"packages", "files"} & set(whole.entries):
        mistakes.lint(whole, "this is no manifest of a package: it is not read", remedy="give it packages and files")
        return None
    folder = path.rpartition("/")[0]
    version = folder.rpartition("/")[2]
    if whole.scalar("schemaVersion") != "2.0":
        mistakes.error(whole.entries.get("schemaVersion", whole), 'a manifest says "schemaVersion": "2.0"')
    if whole.scalar("version") != version or _VERSION.fullmatch(version) is None:
        mistakes.error(
            whole.entries.get("version", whole),
            "the version must be the name of the manifest's folder: letters, digits, _ . -, at most 128",
            remedy=f"write {version[:80]!r} or rename the folder",
        )
    files = dict(_files(whole, mistakes))
    leaves = _leaves(whole, files, mistakes)
    if mistakes.found_errors:
        return None
    found = PackageVersion(package=package, version=version, leaves=leaves, files=files, folder=folder)
    for words in found.dead_ends():
        mistakes.lint(whole.entries["packages"], words, value="", remedy="name it there too, or leave that version out")
    return found


def _files(whole: Table, mistakes: Mistakes) -> Iterator[tuple[str, PackageFile]]:
    table = whole.table("files")
    if table is None or not table.entries or len(table.entries) > MOST_FILES:
        mistakes.error(
            whole.entries.get("files", whole), f"a manifest names 1 to {MOST_FILES} files, each with its checksum"
        )
        return
    for name, entry in table.entries.items():
        place: Value | tuple[int, int] = table.places.get(name, (0, 0))
        sums = entry.table("checksums") if isinstance(entry, Table) else None
        sha256 = None if sums is None else sums.scalar("sha256")
        if _FILE.fullmatch(name) is None:
            mistakes.error(place, "this is no name of a file: no blanks, slashes or dots in front", value=name)
        elif sha256 is None or _SHA256.fullmatch(sha256) is None:
            mistakes.error(place, 'a file has {"checksums": {"sha256": 64 hexadecimal digits}}', value=name)
        else:
            url = _url(entry) if isinstance(entry, Table) else ""
            if url and urlsplit(url).scheme != "https":
                mistakes.error(place, "a file is downloaded from an https address", value=url)
            yield name, PackageFile(name=name, sha256=sha256.lower(), url=url)


def _url(entry: Table) -> str:
    """Give where a file lies: `url` here, `downloadLocation` where SSM has resolved a manifest."""
    return entry.scalar("url") or entry.scalar("downloadLocation") or ""


def _leaves(whole: Table, files: Mapping[str, PackageFile], mistakes: Mistakes) -> Leaves:
    table = whole.table("packages")
    found: dict[str, dict[str, dict[str, str]]] = {}
    if table is None or not table.entries:
        mistakes.error(
            whole.entries.get("packages", whole), "a manifest says which file is for which platform: packages"
        )
        return found
    for platform, versions in _tables(table, mistakes):
        for version, architectures in _tables(versions, mistakes):
            for architecture, leaf in _tables(architectures, mistakes):
                name = leaf.scalar("file")
                if name is None or name not in files:
                    where = leaf.entries.get("file", leaf)
                    value = where.text if isinstance(where, Scalar) else ""
                    mistakes.error(where, "this file is not among the manifest's files", value=value)
                else:
                    found.setdefault(platform, {}).setdefault(version, {})[architecture] = name
    return found


def _tables(table: Table, mistakes: Mistakes) -> Iterator[tuple[str, Table]]:
    for key, value in table.entries.items():
        if isinstance(value, Table):
            yield key, value
        else:
            mistakes.error(value, 'platform, version, architecture and {"file": NAME} stand inside each other here')
