"""How associations with patch documents stand: what a scan and an install say of what is missing, and when an install runs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.bundled import bundled_files
from reconciler.drift.associations import find_drift
from reconciler.drift.definitions import Definition, definitions
from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.patched import Patched, PatchSurvey
from reconciler.ids import AssociationName, BaselineName
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, RunStatus
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, pin_of
from reconciler.model.patch_request import InstallOverride
from reconciler.model.read_state import read_state
from reconciler.patching.approval import Approval, ApprovalStatus
from reconciler.patching.node_compliance import summarize
from reconciler.patching.states import PatchRow, PatchState
from reconciler.targets.resolve import resolve_targets
from tests.drift.builders import NOW, WEB, a_history, ago, some_facts
from tests.patching.rows import a_deb, installed

NAME = AssociationName("patches")
YAML = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{{Key: InstanceIds, Values: ['*']}}]
Parameters: {{Operation: [{operation}]}}
{more}"""


def state(operation: str = "Install", more: str = "") -> DesiredState:
    files = {
        "state/nodes/web.yaml": "Id: web-01\nAddress: 10.0.0.1\n",
        "state/associations/patches.yaml": YAML.format(operation=operation, more=more),
    }
    given = {name: text.encode() for name, text in files.items()}
    desired, problems = read_state(given, bundled=bundled_files())
    assert desired is not None, problems
    return desired


def a_row(approved: datetime | None, **given: Any) -> PatchRow:
    patch = a_deb("openssl", "2")
    approval = Approval(patch=patch, status=ApprovalStatus.APPROVED, reason="rule 1", approval_date=approved)
    row = PatchRow(
        id=patch.id,
        title=patch.title,
        state=PatchState.MISSING,
        installed=installed("openssl", "1"),
        approval=approval,
        target=patch,
        reason="approved 2 is missing",
    )
    return replace(row, **given)


def patched(*rows: PatchRow, doubts: tuple[str, ...] = (), clock: str = "") -> Known[Patched]:
    pins = tuple(pin_of(row.target, row.installed.version) for row in rows if row.target is not None)
    order = PatchOrder(baseline=BaselineName("ours"), family=Family.APT, pins=pins) if pins else None
    return Known(
        Patched(
            baseline=BaselineName("ours"),
            group="",
            why="",
            rows=rows,
            compliance=summarize(rows, doubts=doubts),
            doubts=doubts,
            orders={NAME: order},
            clock=clock,
        )
    )


def found(
    desired: DesiredState, look: Observed[Patched], overrides: tuple[InstallOverride, ...] | None = None, **row: Any
) -> Finding:
    definition = definitions(desired)[NAME]
    assert isinstance(definition, Definition)
    if overrides is not None:
        steps = definition.rendered.steps
        asked = (None if one.patching is None else replace(one.patching, overrides=overrides) for one in steps)
        steps = tuple(replace(one, patching=request) for one, request in zip(steps, asked, strict=True))
        definition = replace(definition, rendered=replace(definition.rendered, steps=steps))
    rows: Mapping[AssociationName, Applied] = {}
    if row:
        began = Applied(definition=definition.digest, definition_since=ago(days=20), first_matched=ago(days=20))
        rows = {NAME: replace(began, **row)}
    (finding,) = find_drift(
        desired,
        resolve_targets(desired),
        {WEB: some_facts()},
        a_history({str(name): each for name, each in rows.items()}),
        NOW,
        definitions={NAME: definition},
        patches=PatchSurvey(nodes={WEB: look}),
    )
    return finding


RAN = {"executions": 1, "started": ago(days=3), "ended": ago(days=3), "status": RunStatus.SUCCESS}


@pytest.mark.parametrize(
    ("look", "row", "state_", "cause", "wanted", "words"),
    [
        pytest.param(patched(a_row(ago(days=1))), {}, "Pending", "Pending", True, "not yet installed", id="new"),
        pytest.param(
            patched(a_row(ago(days=1))),
            {**RAN, "in_sync": True},
            "Pending",
            "Pending",
            True,
            "newly approved: 1 patch is missing: openssl.amd64 1 -> 2",
            id="newly approved",
        ),
        pytest.param(
            patched(a_row(ago(days=9))),
            {**RAN, "in_sync": True},
            "Drifted",
            "Drifted",
            True,
            "openssl.amd64 1 -> 2",
            id="it was there once",
        ),
        pytest.param(
            patched(a_row(ago(days=9), state=PatchState.FAILED)),
            {**RAN, "status": RunStatus.FAILED, "failures": 1, "ended": ago(minutes=10), "started": ago(minutes=11)},
            "Waiting",
            "Failed",
            False,
            "back-off after a failure",
            id="it just failed",
        ),
        pytest.param(
            patched(a_row(ago(days=9), state=PatchState.FAILED)),
            {**RAN, "failures": 1},
            "Failed",
            "Failed",
            True,
            "the last run exited 0 and left it",
            id="it ended well and did not bring it",
        ),
        pytest.param(
            patched(a_row(ago(days=9), target=None, reason="approved 2 is gone since")),
            {},
            "Pending",
            "Pending",
            False,
            "cannot be installed now",
            id="nobody has it any more",
        ),
        pytest.param(patched(), {}, "InSync", "InSync", False, "no patch that ours approves is missing", id="nothing"),
        pytest.param(
            patched(doubts=("old",)), {}, "Unknown", "Unknown", False, "old", id="nothing, as far as it knows"
        ),
        pytest.param(Unknown("its packages do not read"), {}, "Unknown", "Unknown", False, "do not read", id="garbled"),
        pytest.param(
            patched(a_row(ago(days=1)), clock="clock: it jumped"), {}, "Waiting", "Pending", False, "clock", id="clock"
        ),
        pytest.param(
            patched(a_row(None, state=PatchState.INSTALLED_PENDING_REBOOT, target=None)),
            {},
            "InSync",
            "InSync",
            False,
            "1 wait for a reboot",
            id="only the reboot is left, and not asked for",
        ),
    ],
)
def test_an_install_runs_where_something_is_missing_that_can_be_had(
    look: Observed[Patched],
    row: dict[str, Any],
    state_: str,
    cause: str,
    wanted: bool,  # noqa: FBT001 - a column
    words: str,
) -> None:
    finding = found(state(), look, **row)
    assert (finding.state, finding.cause, finding.wanted) == (State(state_), Cause(cause), wanted), finding.reason
    assert words in finding.reason
    assert (finding.patches is not None) is wanted


def test_who_goes_by_a_list_minds_nothing_that_is_not_on_it() -> None:
    look, ssl = patched(a_row(ago(days=9), target=None)), (InstallOverride(id="vim"),)
    finding = found(state(), look, ssl, **RAN)
    assert (finding.state, finding.reason) == (
        State.IN_SYNC,
        "what the override list names is installed, as far as it is on offer",
    )
    assert found(state(), look, **RAN).state is State.PENDING
    assert found(state(), patched(doubts=("old",)), ssl, **RAN).state is State.UNKNOWN


def test_a_schedule_is_waited_for_but_for_the_first_time() -> None:
    weekly = "ScheduleExpression: cron(0 2 ? * SUN *)\n"
    look = patched(a_row(ago(days=1)))
    assert found(state(more=weekly), look).wanted
    later = found(state(more=weekly), look, **{**RAN, "in_sync": True})
    assert (later.state, later.cause) == (State.WAITING, Cause.PENDING)
    assert later.until is not None
    assert NOW < later.until <= NOW + timedelta(days=7)


def test_a_scan_is_in_sync_whatever_is_missing_and_runs_nothing() -> None:
    finding = found(state("Scan"), patched(a_row(ago(days=1))))
    assert (finding.state, finding.wanted) == (State.IN_SYNC, False)
    assert finding.reason == "scanned by ours: 1 approved patches are missing"
    assert found(state("Scan"), patched(doubts=("old",))).state is State.UNKNOWN
    assert found(state("Scan"), Unknown("no baseline")).state is State.UNKNOWN
