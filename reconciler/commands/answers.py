"""What SSM answers of a command's steps, from its record and what they wrote; pure. Our own words stay in the record."""

from collections.abc import Sequence
from typing import Any, Final

from reconciler.commands.record import CommandRecord, Invocation, StepRecord, invocation_json
from reconciler.commands.statuses import Detail
from reconciler.errors import UsageError
from reconciler.rollout.output import combined

NOT_STARTED: Final = -1
"""SSM: ResponseCode of what has not begun."""

_PLUGIN: Final = {
    "Success": Detail.SUCCESS,
    "Skipped": Detail.SUCCESS,
    "Failed": Detail.FAILED,
    "TimedOut": Detail.EXECUTION_TIMED_OUT,
    "Cancelled": Detail.CANCELLED,
    "InProgress": Detail.IN_PROGRESS,
    "NotStarted": Detail.PENDING,
}
"""SSM has no Skipped among the statuses of a plugin: it is Success, with 0, and the reason as its output."""


def step_number(record: CommandRecord, invocation: Invocation, wanted: str | None) -> int:
    """Give the number of the step that is meant; 0 where nothing ran. Raises UsageError (SSM: InvalidPluginName).

    SSM: a step's name with schema 2.x; the plugin's with 1.2, where ours may be named by its id, too.
    """
    names = _names(invocation)
    if wanted is None:
        if len(names) > 1:
            raise UsageError(
                f"InvalidPluginName: the document has several steps: give --plugin-name, of {', '.join(names)}"
            )
        return len(names)
    if wanted in names:
        return names.index(wanted) + 1
    of_plugin = [number for number in range(1, len(names) + 1) if _plugin(record, number) == wanted]
    if len(of_plugin) == 1:
        return of_plugin[0]
    if of_plugin:
        several = ", ".join(names[number - 1] for number in of_plugin)
        raise UsageError(f"InvalidPluginName: {wanted} has several elements: name one of {several}")
    known = dict.fromkeys((*names, *record.plugins[: len(names)]))
    raise UsageError(f"InvalidPluginName: there is no step {wanted!r} (there are: {', '.join(known) or 'none'})")


def _names(invocation: Invocation) -> list[str]:
    """Name each step so that one is meant: elements of schema 1.2 may share an `id`, and the second gets its number."""
    names: list[str] = []
    for number, step in enumerate(invocation.steps, 1):
        names.append(f"{step.name}.{number}" if step.name in names else step.name)
    return names


def _plugin(record: CommandRecord, number: int) -> str:
    return record.plugins[number - 1] if number <= len(record.plugins) else ""


def plugin_name(record: CommandRecord, invocation: Invocation, number: int) -> str:
    """Give what SSM calls a step: the plugin with schema 1.2, where it has one element; else the step's own name."""
    plugin = _plugin(record, number)
    return plugin if plugin and record.plugins.count(plugin) == 1 else _names(invocation)[number - 1]


def plugin_answer(
    record: CommandRecord, invocation: Invocation, number: int, stdout: bytes, stderr: bytes
) -> dict[str, Any]:
    """Answer for one step (SSM: GetCommandInvocation): status, code and output are all of that step.

    What the whole invocation came to stands beside it. Without a step (`number` 0) nothing ran, and all is of the invocation.
    """
    told = invocation_answer(record, invocation)
    detail = _detail(invocation, invocation.steps[number - 1]) if number else invocation.detail
    return {
        **told,
        "DocumentName": record.document,
        "DocumentVersion": record.document_version,
        "InvocationStatus": told["Status"],
        "InvocationStatusDetails": told["StatusDetails"],
        "PluginName": plugin_name(record, invocation, number) if number else "",
        "ResponseCode": invocation.steps[number - 1].exit_code if number else NOT_STARTED,
        "StandardErrorContent": stderr.decode("utf-8", "replace"),
        "StandardOutputContent": stdout.decode("utf-8", "replace"),
        "Status": detail.status,
        "StatusDetails": detail.value,
    }


def detailed_answer(
    record: CommandRecord, invocation: Invocation, outputs: Sequence[tuple[bytes, bytes]] | None
) -> dict[str, Any]:
    """Answer for one invocation with its steps and what each wrote (SSM: ListCommandInvocations, Details); None: without."""
    told = invocation_answer(record, invocation)
    plugins = told.pop("Plugins")
    for row, (stdout, stderr) in zip(plugins, outputs or (), strict=False):
        row["Output"] = combined(stdout, stderr).decode("utf-8", "replace")
    return {**told, "CommandPlugins": [] if outputs is None else plugins}


def invocation_answer(record: CommandRecord, invocation: Invocation) -> dict[str, Any]:
    """Answer for one invocation, in SSM's words for each step."""
    told = invocation_json(record, invocation)
    told["Plugins"] = [
        _plugin_row(invocation, step, plugin_name(record, invocation, number))
        for number, step in enumerate(invocation.steps, 1)
    ]
    return told


def _plugin_row(invocation: Invocation, step: StepRecord, name: str) -> dict[str, Any]:
    detail = _detail(invocation, step)
    return {"Name": name, "ResponseCode": step.exit_code, "Status": detail.status, "StatusDetails": detail.value}


def _detail(invocation: Invocation, step: StepRecord) -> Detail:
    """Give a step's status; one that had not ended when its invocation was ended has the end of that."""
    detail = _PLUGIN.get(step.status, Detail.FAILED)
    ended_for_it = invocation.detail in (Detail.DELIVERY_TIMED_OUT, Detail.CANCELLED)
    return invocation.detail if ended_for_it and not detail.ended else detail
