"""Where a key lies, told by the name that a node may give: takes a path as somebody wrote it, gives a name or why there is none."""

import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """The folders of this management host that matter to keys."""

    directory: PurePosixPath
    """KeyDirectory of the host settings, absolute."""
    home: PurePosixPath


def key_name(text: str, place: KeyPlace) -> tuple[str | None, str]:
    """Give the name of a key that lies in the key directory, else None and why it is left out."""
    path = text.replace("%d", str(place.home)).replace("%%", "%")
    path = f"{place.home}{path[1:]}" if path.startswith("~/") else path
    if "%" in path or "${" in path:
        return None, f"the key {text} is left out: its path holds a variable, which is not filled in"
    folder, _, name = posixpath.normpath(path).rpartition("/")
    if folder != posixpath.normpath(place.directory):
        remedy = "put it there and write `IdentityFile: NAME`, or set KeyDirectory in the host settings"
        return None, f"the key {text} is left out: it does not lie in KeyDirectory {place.directory}; {remedy}"
    if name.endswith(".pub"):
        return None, f"the key {text} is left out: it is a public key; the agent's keys are tried"
    return name, ""
