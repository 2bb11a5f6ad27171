"""aws:runDockerAction: one call of the node's docker client, or of podman's where there is no docker.

What SSM's agent hands over as one word, `cmd`, is divided into words here as a shell would, and expanded by none; volumes get
an option each. Values of `env` never stand in an argument list.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.documents.own_script import OwnScript, one_of, text_input
from reconciler.documents.script_inputs import read_timeout, read_working_directory
from reconciler.model.known import JsonValue
from reconciler.model.shell import quote

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "Create": ("image",),
    "Start": ("container",),
    "Run": ("image",),
    "Stop": ("container",),
    "Rm": ("container",),
    "Exec": ("container", "cmd"),
    "Inspect": (),
    "Logs": ("container",),
    "Ps": (),
    "Stats": (),
    "Pull": ("image",),
    "Images": (),
    "Rmi": ("image",),
}
"""What each value of `action` cannot do without. SSM: "Action %s requires parameter %s"."""

_TAKES: Mapping[str, tuple[str, ...]] = {
    "Inspect": ("container", "image"),
    "Pull": ("image",),
    "Rmi": ("image",),
    "Images": (),
    "Ps": (),
}
"""What stands behind the verb; the container, where nothing else is said."""
_FLAGS: Mapping[str, tuple[str, ...]] = {"Ps": ("--all",), "Stats": ("--no-stream",)}

# SSM's agent takes these characters. A dash in front is refused besides: the client would read an option.
_ALLOWED: Mapping[str, re.Pattern[str]] = {
    "container": re.compile(r"[A-Za-z0-9_\\/-]*"),
    "image": re.compile(r"[A-Za-z0-9_\\/.:@-]*"),
    "user": re.compile(r"[A-Za-z0-9_-]*"),
    "memory": re.compile(r"[0-9]*[bkmg]?"),
    "cpuShares": re.compile(r"[0-9]*"),
    "publish": re.compile(r"[0-9A-Za-z:/.-]*"),
    "env": re.compile(r"(?:[A-Za-z_][A-Za-z0-9_.-]*=[^;,&|\r\n]*)?"),
    "cmd": re.compile(r"[^;,&|]*"),
}
_VOLUME = re.compile(r'[\w\\/:."()^ -]*', re.ASCII)

_CLIENT = """\
client=$(command -v docker || command -v podman) || {
    printf '%s\\n' 'aws:runDockerAction: the node has no docker and no podman: install one' >&2
    exit 1
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDockerAction(OwnScript):
    """One call of the client; `given` holds the inputs by SSM's names, empty where they are missing."""

    name: ClassVar[str] = "aws:runDockerAction"
    action: str
    given: Mapping[str, str]
    volumes: tuple[str, ...] = ()

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs; every one is checked, also those that the action does not use, as on SSM."""
        action = one_of(inputs, "action", tuple(_NEEDS))
        given = {name: text_input(inputs, name) for name in _ALLOWED}
        for name, text in given.items():
            if _ALLOWED[name].fullmatch(text) is None or (name != "cmd" and text.startswith("-")):
                raise InputError(f"invalid {name} {text[:80]!r}: {_takes(name)}")
        for name in _NEEDS[action]:
            if not given[name]:
                raise InputError(f"Action {action} requires parameter {name}")
        if action == "Inspect" and not (given["container"] or given["image"]):
            raise InputError("Action Inspect requires parameter container or image")
        _words(given["cmd"])
        return cls(
            action=action,
            given=given,
            volumes=_volumes(inputs.get("volume")),
            timeout=read_timeout(inputs.get("timeoutseconds")),
            working_directory=read_working_directory(inputs.get("workingdirectory")),
        )

    @property
    def text(self) -> str:
        """The script: find the client, write down the variable, become the client."""
        verb, *rest = (quote(word) for word in self._arguments())
        env, lines = self.given["env"], _CLIENT
        if env and self.action in ("Create", "Run"):
            # A file of the step's own folder: an argument would be seen by every user of the node.
            lines += f"umask 077\nprintf '%s\\n' {quote(env)} >\"${{0%/*}}/variables\" || exit 1\n"
            verb += ' --env-file "${0%/*}/variables"'
        return f'{lines}exec "$client" {" ".join((verb, *rest))}\n'

    def _arguments(self) -> tuple[str, ...]:
        """Give the words behind the client's name."""
        container, image, user = (self.given[name] for name in ("container", "image", "user"))
        match self.action:
            case "Create" | "Run":
                return (
                    *(("create",) if self.action == "Create" else ("run", "-d")),
                    *(word for volume in self.volumes for word in ("--volume", volume)),
                    *_option("--name", container),
                    *_option("--memory", self.given["memory"]),
                    *_option("--cpu-shares", self.given["cpuShares"]),
                    *_option("--publish", self.given["publish"]),
                    *_option("--user", user),
                    image,
                    *_words(self.given["cmd"]),
                )
            case "Exec":
                return ("exec", *_option("--user", user), container, *_words(self.given["cmd"]))
            case _:
                given = {"container": container, "image": image}
                named = (given[each] for each in _TAKES.get(self.action, ("container",)))
                return (self.action.lower(), *_FLAGS.get(self.action, ()), *(name for name in named if name))


def _option(name: str, value: str) -> tuple[str, ...]:
    return (name, value) if value else ()


def _takes(name: str) -> str:
    if name == "env":
        return "it must be one NAME=VALUE without any of ; , & | and line breaks"
    if name == "cmd":
        return "it must not hold any of ; , & |"
    return f"only {_ALLOWED[name].pattern} is taken, with no dash in front"


def _words(command: str) -> tuple[str, ...]:
    """Divide the command; blanks in quotes do not divide, and nothing is expanded."""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise InputError(f"invalid cmd: {error}: close what is open") from error


def _volumes(value: JsonValue) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, Sequence):
        raise InputError("the input volume must be a list of texts such as /on/the/node:/in/the/container")
    found = tuple(text for text in map(as_text, entries) if text)
    for text in found:
        if _VOLUME.fullmatch(text) is None or text.startswith("-"):
            raise InputError(f"invalid volume {text[:80]!r}: write /on/the/node:/in/the/container")
    return found
