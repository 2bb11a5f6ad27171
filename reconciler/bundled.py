"""The library of documents and baselines that comes with the program: repository path -> bytes."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

FOLDERS = ("documents", "baselines")


@cache
def bundled_files() -> Mapping[str, bytes]:
    """Give every bundled file by the path it has in a state repository: `documents/AWS-RunShellScript.yaml`."""
    return dict(_files(_root()))


def _root() -> Path:
    """In a wheel the library lies inside the package, in a checkout beside it."""
    package = Path(__file__).parent
    inside = package / "bundled"
    return inside if inside.is_dir() else package.parent


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in {".yaml", ".yml", ".json"}:
                yield path.relative_to(root).as_posix(), path.read_bytes()
