"""The distribution, the machine's architecture, and what runs as PID 1."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.model.known import JsonValue

FAMILIES: Final = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "rpm",
    "fedora": "rpm",
    "centos": "rpm",
    "rocky": "rpm",
    "almalinux": "rpm",
    "ol": "rpm",
    "amzn": "rpm",
    "azurelinux": "rpm",
    "suse": "suse",
    "sles": "suse",
    "opensuse": "suse",
    "opensuse-leap": "suse",
    "opensuse-tumbleweed": "suse",
}
"""An ID or a word of ID_LIKE, first match wins; anything else is `other`."""

_SCRIPT = r"""
o=
for p in /etc/os-release /usr/lib/os-release; do
  [ -f "$p" ] && [ -r "$p" ] || continue
  while IFS= read -r l || [ -n "$l" ]; do o=$o$NL$l; done <"$p"
  break
done
if a=$(uname -m) && [ -n "$a" ]; then say os ok "arch $a${NL}init ${init:-other}$o"; else say os unknown "uname -m: exit status $?"; fi
"""


def parse(stdout: str, _: Asked) -> Rows:
    """Read `arch`, `init`, and the lines of os-release; a node without that file has family `other` and no id."""
    arch, init, *lines = stdout.split("\n")
    if not arch.startswith("arch ") or init not in ("init systemd", "init other"):
        raise ValueError(f"not the answer to this question: {stdout[:80]!r}")
    said = dict(_assignment(line) for line in lines if line.strip() and not line.lstrip().startswith("#"))
    words = [said.get("ID", ""), *said.get("ID_LIKE", "").split()]
    rows: dict[str, JsonValue] = {
        "id": said.get("ID", "linux"),
        "version_id": said.get("VERSION_ID", ""),
        "codename": said.get("VERSION_CODENAME", ""),
        "name": said.get("PRETTY_NAME") or said.get("NAME", ""),
        "family": next((FAMILIES[word] for word in words if word in FAMILIES), "other"),
        "arch": arch.removeprefix("arch "),
        "init": init.removeprefix("init "),
    }
    return rows


def _assignment(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals or not name.replace("_", "").isalnum():
        raise ValueError(f"os-release: not an assignment: {line[:80]!r}")
    value = value.strip()
    if value[:1] in ("'", '"'):
        if len(value) < 2 or value[-1] != value[0]:  # noqa: PLR2004  (two quotes)
            raise ValueError(f"os-release: an open quote: {line[:80]!r}")
        value = value[1:-1]
    return name, value.replace("\\", "")


FACT = Fact(
    section="os",
    watch="/etc/os-release /usr/lib/os-release",
    also=always("$init"),
    script=always(_SCRIPT),
    parse=parse,
)
