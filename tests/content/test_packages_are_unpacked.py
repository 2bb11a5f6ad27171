"""A package's zip becomes a tar: the same each time, and never anything that could leave its folder or fill the host."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.content import package_archive
from reconciler.content.package_archive import tar_of
from reconciler.errors import SourceError

SCRIPTS: Mapping[str, bytes] = {"install.sh": b"exit 0\n", "uninstall.sh": b"exit 0\n"}


def a_zip(
    files: Mapping[str, bytes], modes: Mapping[str, int] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.compress_type = method
            info.external_attr = (modes or {}).get(name, 0) << 16
            archive.writestr(info, content)
    return made.getvalue()


def test_a_zip_becomes_the_same_tar_each_time() -> None:
    files = {**SCRIPTS, "bin/": b"", "bin/tool": b"\x00\xff", "lib/data": b"x" * 5000}
    first = tar_of(a_zip(files, {"bin/tool": stat.S_IFREG | 0o777}))
    again = tar_of(a_zip(dict(reversed(files.items())), {"bin/tool": stat.S_IFREG | 0o700}, zipfile.ZIP_STORED))
    assert first == again
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        told = {each.name: (each.mode, each.uid, each.isdir()) for each in tar}
        data = tar.extractfile("bin/tool")
        assert data is not None
        assert data.read() == b"\x00\xff"
    assert told == {
        "bin": (0o755, 0, True),
        "bin/tool": (0o755, 0, False),
        "install.sh": (0o755, 0, False),
        "lib/data": (0o644, 0, False),
        "uninstall.sh": (0o755, 0, False),
    }


@pytest.mark.parametrize(
    ("files", "modes", "why"),
    [
        ({"../x": b""}, {}, "leaves the folder"),
        ({"a/../../x": b""}, {}, "leaves the folder"),
        ({"/etc/passwd": b""}, {}, "leaves the folder"),
        ({"a\\..\\x": b""}, {}, "leaves the folder"),
        ({"C:x": b""}, {}, "leaves the folder"),
        ({"a//x": b""}, {}, "is no proper path"),
        ({"./x": b""}, {}, "is no proper path"),
        ({"a\nb": b""}, {}, "is no proper path"),
        ({"link": b"/etc"}, {"link": stat.S_IFLNK | 0o777}, "is a link or a device"),
        ({"fifo": b""}, {"fifo": stat.S_IFIFO | 0o600}, "is a link or a device"),
        ({"su": b""}, {"su": stat.S_IFREG | 0o4755}, "set-uid"),
        ({"a": b"", "a/b": b""}, {}, "both as a file and as a folder"),
        ({"x" * 600: b""}, {}, "longer than 500 bytes"),
        ({"install.ps1": b""}, {}, r"both install\.sh and install\.ps1"),
    ],
)  # fmt: skip
def test_what_could_do_harm_is_not_unpacked(files: dict[str, bytes], modes: dict[str, int], why: str) -> None:
    with pytest.raises(SourceError, match=why):
        tar_of(a_zip({**SCRIPTS, **files}, modes))


def test_a_bomb_is_left_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_archive, "MOST_UNPACKED", 1024 * 1024)
    with pytest.raises(SourceError, match="unpacks to more than 1048576 bytes"):
        tar_of(a_zip({**SCRIPTS, "zeros": bytes(64 * 1024 * 1024)}))
    with pytest.raises(SourceError, match="at most 5000 are unpacked"):
        tar_of(a_zip({**SCRIPTS, **{f"f{number}": b"" for number in range(5000)}}))


def test_a_zip_without_its_scripts_is_no_package() -> None:
    with pytest.raises(SourceError, match=r"no uninstall\.sh at its root"):
        tar_of(a_zip({"install.sh": b"", "sub/uninstall.sh": b""}))


GOOD = a_zip(SCRIPTS)


@given(st.binary(max_size=300), st.integers(0, len(GOOD)), st.integers(0, 40))
def test_any_bytes_are_a_tar_or_refused_by_our_own_error(noise: bytes, at: int, cut: int) -> None:
    for data in (noise, GOOD[:at] + noise + GOOD[at + cut :]):
        with suppress(SourceError):
            tar_of(data)
