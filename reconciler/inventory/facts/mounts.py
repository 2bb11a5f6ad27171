"""Mounted file systems, less those of the kernel, of containers and of login sessions."""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.inventory.texts import lines_of
from reconciler.model.known import JsonValue

PATH: Final = "/proc/self/mounts"

KERNEL: Final = frozenset(
    [
        "proc",
        "sysfs",
        "cgroup",
        "cgroup2",
        "devpts",
        "devtmpfs",
        "mqueue",
        "debugfs",
        "tracefs",
        "securityfs",
        "pstore",
        "bpf",
        "configfs",
        "fusectl",
        "hugetlbfs",
        "autofs",
        "nsfs",
        "binfmt_misc",
        "efivarfs",
        "rpc_pipefs",
        "selinuxfs",
        "fuse.gvfsd-fuse",
        "fuse.portal",
    ]
)

CHURN: Final = re.compile(
    r"/(?:run/(?:user|credentials|netns|docker|containerd|systemd|snapd|k3s)|var/lib/(?:docker|containers|containerd|kubelet|lxcfs)"
    r"|proc|sys)/.*"
)

_ESCAPE = re.compile(r"\\([0-7]{3})")


def parse(stdout: str, _: Asked) -> Rows:
    """Read fstab(5)'s first four fields; of several mounts on one path the last one is what is seen there."""
    rows: dict[str, JsonValue] = {}
    for line in lines_of(stdout, PATH):
        fields = line.split(" ")
        if len(fields) != 6 or not fields[1].startswith("/"):  # noqa: PLR2004  (mounts has six fields)
            raise ValueError(f"{PATH}: not a mount: {line[:80]!r}")
        device, path, kind, options = map(_plain, fields[:4])
        rows.pop(path, None)
        if kind not in KERNEL and CHURN.fullmatch(path) is None:
            rows[path] = {"device": device, "type": kind, "options": options.split(",")}
    if not lines_of(stdout, PATH):
        raise ValueError(f"{PATH} is empty")
    return rows


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 8)), field) if "\\" in field else field


FACT = Fact(
    section="mounts",
    also=always("$boot"),
    hourly=lambda questions: not questions.mounts,
    reads=always(f'set -- "$@" mounts:{PATH}'),
    parse=parse,
)
