"""The running kernel, and the newest one that is installed."""

import re

from reconciler.inventory.fact import Asked, Fact, Rows, always

_SCRIPT = r"""
first /proc/sys/kernel/osrelease; x="release $v"
for p in /boot/vmlinuz-* /boot/Image-*; do [ -e "$p" ] && x="$x${NL}image ${p##*/}"; done
for p in /lib/modules/*/modules.dep; do [ -e "$p" ] && p=${p%/*} && x="$x${NL}modules ${p##*/}"; done
say kernel ok "$x"
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read the running release, and the images and module folders that lie there."""
    first, *lines = stdout.split("\n")
    release = first.removeprefix("release ")
    if not first.startswith("release ") or not release:
        raise ValueError("the running kernel's release was not told")
    images: list[str] = []
    modules: list[str] = []
    for line in lines:
        kind, _space, name = line.partition(" ")
        if kind == "image" and name:
            images.append(name.partition("-")[2])
        elif kind == "modules" and name:
            modules.append(name)
        else:
            raise ValueError(f"neither image nor modules: {line[:80]!r}")
    return {"release": release, "newest": newest(images or modules, release)}


def newest(releases: list[str], running: str) -> str | None:
    """Give the highest release of the running one's flavour, or of any where none of that flavour is installed."""
    real = [release for release in releases if "rescue" not in release]
    alike = [release for release in real if _flavour(release) == _flavour(running)]
    return max(alike or real, key=_order, default=None)


def _flavour(release: str) -> tuple[str, ...]:
    """`6.1.0-30-cloud-amd64` -> ("cloud", "amd64")."""
    return tuple(part for part in release.split("-") if not part[:1].isdigit())


def _order(release: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers by value and above text, so that 6.1.0-30 comes after 6.1.0-9 and 6.1 after 6.1-rc2."""
    parts = re.findall(r"\d+|[a-zA-Z]+", release)
    return (*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, ""))


FACT = Fact(section="kernel", script=always(_SCRIPT), parse=parse)
