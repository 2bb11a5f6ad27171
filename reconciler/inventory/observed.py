"""The facts of one node, as the node told them: sections of rows, each Known or Unknown.

Sections, their keys and values (JSON values; what is committed is exactly this, less what `VOLATILE` names):

========== ================================ =====================================================================
os         id, version_id, codename, name,  text; family is debian, rpm, suse or other; init is systemd or other
           family, arch, init
kernel     release, newest                  text; newest: the newest installed release, null where none is found
identity   machine_id, hostname, boot_id,   text; user: who we are after login; acknowledged: the number the node keeps
           user, acknowledged               (null: none); boot_id and acknowledged are volatile
packages   NAME (dpkg: NAME:ARCH where      "VERSION ARCH" (rpm: [EPOCH:]VERSION-RELEASE); a sorted list of them
           foreign)                         where several are installed
services   NAME without `.service`          {"active": "active", "sub": "running", "enabled": "enabled"}
interfaces NAME                             {"mac": ..., "addresses": [...]}; no loopback, veth and the like
ports      "tcp 0.0.0.0:22", "udp6 [::]:53" true; listening sockets, ephemeral ports left out
users      NAME                             {"uid": 1, "gid": 1, "home": ..., "shell": ...}; no comment field
groups     NAME                             {"gid": 1, "members": [...]}, members sorted
mounts     PATH                             {"device": ..., "type": ..., "options": [...]}; no /run/user, no proc
files      PATH (as asked)                  null where there is none, else {"kind": "file", "sha256": ...,
                                            "size": 1, "mode": "0644", "owner": "root", "group": "root"}
sysctls    KEY (as asked)                   text, null where the kernel has none
checks     questions.Check.key              exit status (int)
custom     "Custom:TYPE", "AWS:File"        list of flat text maps
holds      NAME of the hold file            its text, at most 500 characters
runs       RUN ID                           {"manifest": text, "state": text} of a run folder left on the node; volatile
markers    ASSOCIATION                      text of its marker: one line of JSON, what was last applied; volatile
epochs     FLEET                            the highest epoch of its leaders that the node knows (int); volatile
refresh    ASSOCIATION, or "*" for all      "ask": a run was asked for on the node; "done": it has begun; volatile
clock      epoch, uptime                    seconds; volatile

           Where a baseline applies to the node (Questions.patches):
installed  NAME.ARCH                        a list of lines as `model.patch_lines.installed_line` writes them
available  NAME.ARCH                        a list of lines as `model.patch_lines.patch_line` writes them
notices    ID                               a list of lines as `model.patch_lines.notice_line` writes them: rpm's notices
repositories "SITE SUITE/COMPONENT ARCH"    {"origin", "label", "suite", "codename", "component": text, "trusted", "fetched": bool,
                                            "release": its key in `metadata`, or null}
           rpm: the repository's id         {"trusted", "fetched", "notices": bool, whether it publishes any}
metadata   apt's name of a Release file,    {"date", "valid_until", "fetched": ISO 8601 in UTC or null}; of "*":
           rpm: the id; or "*"              {"tried": when an update was last tried}; volatile
reboot     required, packages               bool; names of packages that ask for a reboot
restarts   UNIT, without systemd a          a deleted file that it still holds in memory
           process's name
dpkg       audit, periodic, timers,         what `dpkg --audit` says (lines); apt's settings (text by name); names; bool
           unattended_upgrades,             each: whether it is there, and whether something installs updates by itself
           installs_by_itself
rpm        timers, settings, modules,       names of units and cron jobs; text by file; NAME -> "STREAM STATE"; what installs
           installs_by_itself               updates by itself, or null. `dpkg` and `rpm` are empty where they are not the node's
addresses  as in `repositories`              list of addresses below which its files lie, without logins; volatile
sources    "ID KEY", ID that of a source   as in `repositories` under KEY: what a baseline's source is, fetched beside the node's own
source_offers, source_notices               as `available` and `notices`, of the sources alone; each index names its source
source_times ID of a source                 {"fetched", "tried": ISO 8601 in UTC or null, "problem": why the last try failed, or null,
                                            "valid_until": {KEY: ISO 8601}}; volatile
refreshed  "URL SUITE", or "*"; "@"          null, or why its list could not be refreshed last; when that was (ISO 8601); volatile
locks      PATH                             {"pid": 1, "process": text} that holds it; volatile
========== ================================ =====================================================================

A single row that could not be read is `{"unknown": "why"}` in place of its value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.ids import NodeId
from reconciler.model.known import JsonValue, Known, Observed, Unknown

SECTIONS: Final = (
    "os",
    "kernel",
    "identity",
    "packages",
    "services",
    "interfaces",
    "ports",
    "users",
    "groups",
    "mounts",
    "files",
    "sysctls",
    "checks",
    "custom",
    "holds",
    "runs",
    "markers",
    "epochs",
    "refresh",
    "clock",
    "installed",
    "available",
    "notices",
    "repositories",
    "addresses",
    "metadata",
    "reboot",
    "restarts",
    "dpkg",
    "rpm",
    "locks",
    "sources",
    "source_times",
    "source_offers",
    "source_notices",
    "refreshed",
)
VOLATILE: Final = frozenset(
    {"runs", "addresses", "metadata", "source_times", "refreshed", "locks", "markers", "epochs", "refresh", "clock"}
)
"""Sections that are never committed."""
VOLATILE_ROWS: Final = frozenset({("identity", "boot_id"), ("identity", "acknowledged")})
"""Rows of other sections that are never committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One node's facts. A section that is missing was not asked for and answers Unknown."""

    node: NodeId
    sections: Mapping[str, Observed[Mapping[str, JsonValue]]] = field(default_factory=dict)
    unreachable: str | None = None
    """Why the node did not answer at all; its sections are then the last known ones, and none of them may be used."""

    def section(self, name: str) -> Observed[Mapping[str, JsonValue]]:
        """Give a whole section."""
        if self.unreachable is not None:
            return Unknown(self.unreachable)
        return self.sections.get(name, Unknown(f"section {name} was not collected"))

    def get(self, section: str, key: str) -> Observed[JsonValue]:
        """Give one row: `Known(None)` where the section is known and has no such row."""
        match self.section(section):
            case Unknown() as unknown:
                return unknown
            case Known(rows):
                value = rows.get(key)
        if isinstance(value, Mapping) and "unknown" in value:
            return Unknown(str(value["unknown"]))
        return Known(value)
