"""A report about a run -> its RunRecord; pure but for reading kept output."""

from collections import Counter
from datetime import datetime, timedelta

from reconciler.model.history import RunStatus
from reconciler.model.outcome import RunRecord, StepResult
from reconciler.model.patch_causes import causes_in_words
from reconciler.rollout.manifest import Manifest
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Sight, Standing, StepSight

SUMMARY_LIMIT = 510
"""Characters of a detail: SSM's limit on an execution summary."""

NOT_KNOWN = -1
"""SSM's response code of something that never gave one."""

NO_STDERR = 168
"""A script that ends with it is a success, and SSM clears its stderr."""


def record_of(manifest: Manifest, sight: Sight, output: OutputKeeper, now: datetime) -> RunRecord | None:
    """Give the record of a run; None where nothing of it ran and nothing will."""
    if sight.nothing_ran:
        return None
    status = _status(sight)
    unkept = output.unkept(manifest.run)
    lacks = f"; its output could not be kept on the management host: {unkept}" if unkept else ""
    return RunRecord(
        run=manifest.run,
        node=manifest.node,
        association=manifest.association,
        definition=manifest.definition,
        rendered=manifest.rendered,
        executions=manifest.executions,
        cause=manifest.cause.value,
        status=status,
        started=manifest.started,
        ended=_ended(manifest, sight, now) if status.ended else None,
        exit_code=_exit_code(sight, status),
        detail=_detail(manifest, sight, output)[: SUMMARY_LIMIT - len(lacks)] + lacks,
        step=manifest.step_name(sight.at_step) if sight.at_step and not status.ended else "",
        steps=tuple(_step_result(manifest, step, sight, output) for step in sight.steps),
        unkept=unkept,
    )


def _status(sight: Sight) -> RunStatus:
    if sight.standing.goes_on:
        return RunStatus.IN_PROGRESS
    return RunStatus(sight.status) if sight.standing is Standing.ENDED else RunStatus.FAILED


def _exit_code(sight: Sight, status: RunStatus) -> int | None:
    if not status.ended:
        return None
    return NOT_KNOWN if sight.exit_code is None else sight.exit_code


def _ended(manifest: Manifest, sight: Sight, now: datetime) -> datetime:
    """Count from the manager's own start: the node's clock may be wrong, its seconds are not."""
    if sight.took is None or sight.took >= (now - manifest.started).total_seconds():
        return now
    return min(now, manifest.started + timedelta(seconds=sight.took))


def _detail(manifest: Manifest, sight: Sight, output: OutputKeeper) -> str:
    at = manifest.step_name(sight.at_step) if sight.at_step else "its first step"
    match sight.standing:
        case Standing.GOING | Standing.REBOOTED if sight.rebooting:
            return f"the node reboots for {at}, which runs again after it"
        case Standing.GOING:
            return sight.why or (f"running, at {at}" if sight.at_step else "waiting to begin")
        case Standing.ORPHAN:
            return f"its runner was killed, the script of {at} goes on"
        case Standing.DOWN:
            return f"the node went down during {at}"
        case Standing.KILLED:
            return f"the run was killed from outside during {at}: its exit status is unknown"
        case _:
            return _summary(manifest, sight, output)


def _summary(manifest: Manifest, sight: Sight, output: OutputKeeper) -> str:
    """SSM's sentence, and what failed first; of a patch install the causes that it names."""
    counts = Counter(step.status for step in sight.steps)
    processed = sum(1 for step in sight.steps if step.status)
    text = (
        f"{processed} out of {len(sight.steps)} {'plugin' if len(sight.steps) == 1 else 'plugins'} processed, "
        f"{counts['Success']} success, {counts['Failed']} failed, {counts['TimedOut']} timedout, "
        f"{counts['Skipped']} skipped"
    )
    for step in sight.steps:
        match step.status:
            case "Failed":
                causes = causes_in_words(output.head(manifest.run, step.number, "err"))
                named = f": {causes}" if causes else ""
                return f"{text}; {manifest.step_name(step.number)}: exit status {step.exit_code}{named}"
            case "TimedOut":
                return f"{text}; {manifest.step_name(step.number)}: timed out, or was killed (137)"
            case "Cancelled":
                return f"{text}; {manifest.step_name(step.number)}: cancelled"
    return text


def _step_result(manifest: Manifest, step: StepSight, sight: Sight, output: OutputKeeper) -> StepResult:
    status = step.status
    if not status:
        status = "InProgress" if step.number == sight.at_step and sight.standing.goes_on else "NotStarted"
    cleared = step.status == "Success" and step.exit_code == NO_STDERR
    return StepResult(
        name=manifest.step_name(step.number),
        status=status,
        exit_code=step.exit_code if step.status else NOT_KNOWN,
        stdout=output.head(manifest.run, step.number, "out"),
        stderr=b"" if cleared else output.head(manifest.run, step.number, "err"),
    )
