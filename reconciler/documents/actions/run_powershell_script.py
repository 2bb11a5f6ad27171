"""aws:runPowerShellScript: the same as a shell script, for the PowerShell of the node, where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from reconciler.documents.script_inputs import ScriptInputs
from reconciler.model.known import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPowerShellScript(ScriptInputs):
    """One script, run by the first PowerShell that the node has; a node without one fails the step."""

    name: ClassVar[str] = "aws:runPowerShellScript"
    file: ClassVar[str] = "_script.ps1"
    """PowerShell runs no file of another ending."""
    alternatives: ClassVar[tuple[str, ...]] = ("powershell", "pwsh")
    """SSM's agent, in its order: what PowerShell was called on Linux at first comes before what it is called now."""
    interpreter: ClassVar[tuple[str, ...]] = ("pwsh", "-f")

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs; SSM's agent gives PowerShell `/` for a home, and the step may name another."""
        read = ScriptInputs.from_inputs(inputs)
        return cls(
            lines=read.lines,
            timeout=read.timeout,
            working_directory=read.working_directory,
            environment={"HOME": "/", **read.environment},
        )
