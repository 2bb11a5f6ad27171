"""aws:runShellScript: the elements of `runCommand` are one script; the last line decides the exit status."""

from dataclasses import dataclass
from typing import ClassVar

from reconciler.documents.script_inputs import ScriptInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShellScript(ScriptInputs):
    """One script, run by its shebang or else by sh; never split, never `set -e`."""

    name: ClassVar[str] = "aws:runShellScript"
    file: ClassVar[str] = "script"
    alternatives: ClassVar[tuple[str, ...]] = ()

    @property
    def interpreter(self) -> tuple[str, ...]:
        """Who runs the file: named, so that a file system mounted noexec does not matter."""
        first = self.lines[0].split("\n", 1)[0] if self.lines else ""
        if not first.startswith("#!"):
            return ("sh",)
        # The kernel's own rule: a program, and all the rest of the line as one argument.
        return tuple(first[2:].strip().split(None, 1)) or ("sh",)
