"""What stands between a needed run and the run: each gate says why, and until when where that is known."""

import json
from datetime import timedelta
from typing import Any

import pytest

from reconciler.drift.finding import Cause, Finding, State
from reconciler.ids import AssociationName, NodeId
from reconciler.model.fleet import Fleet
from reconciler.model.history import RunStatus
from reconciler.model.node import Mode
from reconciler.model.pause import Pause, Pauses
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    FILE,
    NOW,
    a_history,
    a_node,
    a_state,
    ago,
    an_association,
    applied,
    find,
    some_facts,
    with_file,
)

PLAIN = a_state(an_association())
EXPECTING = a_state(an_association(expect=EXPECT_FILE))


def one(*args: Any, **kwargs: Any) -> Finding:
    found = find(*args, **kwargs)
    assert len(found) == 1
    return found[0]


def a_run(association: str = "motd", state: str = "step 2 1788262200", **manifest: object) -> dict[str, object]:
    known = {"association": association, "n": 2, "cause": "Drifted", "started": 1788262140, **manifest}
    return {"manifest": json.dumps(known), "state": state}


def test_what_is_not_supported_yet_waits_and_never_runs() -> None:
    state = a_state(an_association(unsupported=("CalendarNames", "Duration")))
    found = one(state, some_facts())
    assert (found.state, found.cause, found.wanted) == (State.WAITING, Cause.PENDING, False)
    assert found.reason == "not supported yet: CalendarNames, Duration"


def test_what_is_not_supported_yet_waits_even_where_everything_holds() -> None:
    state = a_state(an_association(expect=EXPECT_FILE, unsupported=("CalendarNames",)))
    found = one(state, some_facts())
    assert (found.state, found.adopted) == (State.WAITING, False)


def test_a_document_that_is_not_there_failed() -> None:
    state = a_state(an_association(document="Gone"))
    found = one(state, some_facts())
    assert (found.state, found.wanted, found.definition) == (State.FAILED, False, None)
    assert "there is no document Gone" in found.reason


@pytest.mark.parametrize(
    ("fleet", "node", "association", "words"),
    [
        pytest.param(Mode.WARN, Mode.ENFORCE, Mode.ENFORCE, "mode warn: only reported", id="fleet"),
        pytest.param(Mode.ENFORCE, Mode.WARN, Mode.ENFORCE, "mode warn: only reported", id="node"),
        pytest.param(Mode.ENFORCE, Mode.ENFORCE, Mode.OBSERVE, "mode observe: only observed", id="association"),
        pytest.param(Mode.WARN, Mode.OBSERVE, Mode.ENFORCE, "mode observe: only observed", id="the least intervening"),
    ],
)
def test_the_least_intervening_mode_wins(fleet: Mode, node: Mode, association: Mode, words: str) -> None:
    state = a_state(
        an_association(expect=EXPECT_FILE, mode=association), nodes=(a_node(mode=node),), fleet=Fleet(mode=fleet)
    )
    found = one(state, with_file(DRIFTED_FILE), history=a_history({"motd": applied(state)}))
    assert (found.state, found.wanted) == (State.DRIFTED, False)
    assert words in found.reason


def test_a_suspended_fleet_waits() -> None:
    found = one(a_state(an_association(), fleet=Fleet(suspend=True)), some_facts())
    assert (found.state, found.cause, found.wanted) == (State.WAITING, Cause.PENDING, False)
    assert "Suspend" in found.reason


def test_a_hold_file_holds_and_names_who_why_and_until() -> None:
    holds = {"release": "who: ana\nwhy: cut-over\nuntil: 2026-09-01T18:00:00Z\n"}
    found = one(PLAIN, some_facts(holds=holds))
    assert (found.state, found.until) == (State.WAITING, NOW + timedelta(hours=6))
    assert "held by release (ana: cut-over) until 2026-09-01T18:00:00Z" in found.reason


@pytest.mark.parametrize(
    ("holds", "held"),
    [
        pytest.param({"hold": ""}, True, id="an empty file holds"),
        pytest.param({"hold": "do not touch"}, True, id="free text holds"),
        pytest.param({"hold": "until: next week"}, True, id="an end that does not read holds"),
        pytest.param({"hold": "until: 2026-09-01T12:00:00"}, False, id="it is over at its instant"),
        pytest.param({"a": "until: 2026-09-01T11:00:00Z", "b": "who: bob"}, True, id="one of two is over"),
    ],
)
def test_a_hold_lasts_until_its_end(holds: dict[str, str], held: bool) -> None:  # noqa: FBT001 - a column
    found = one(PLAIN, some_facts(holds=holds))
    assert (found.state is State.WAITING) is held
    assert found.wanted is not held


def test_a_held_node_in_sync_is_in_sync() -> None:
    assert one(EXPECTING, some_facts(holds={"hold": "x"})).state is State.IN_SYNC


def test_holds_that_cannot_be_read_are_unknown_and_nothing_runs() -> None:
    found = one(PLAIN, some_facts(holds="cut"))
    assert (found.state, found.wanted) == (State.UNKNOWN, False)
    assert found.reason == "hold files: cut"


def test_a_run_still_going_is_waited_for_and_says_where_it_stands() -> None:
    row = applied(EXPECTING, status=RunStatus.IN_PROGRESS, executions=2, run="R2", in_sync=False, ended=None)
    facts = with_file(DRIFTED_FILE, runs={"R2": a_run()})
    found = one(EXPECTING, facts, history=a_history({"motd": row}))
    assert (found.state, found.cause, found.wanted) == (State.WAITING, Cause.DRIFTED, False)
    assert found.reason == "running since 2026-09-01T11:29:00Z, step 2"


def test_a_run_going_on_holds_back_the_node_s_other_associations() -> None:
    state = a_state(an_association("motd"), an_association("other"))
    facts = some_facts(runs={"R2": a_run("other")})
    motd, other = find(state, facts)
    assert (motd.state, other.state) == (State.WAITING, State.WAITING)
    assert "other is running" in motd.reason


def test_an_ended_run_folder_holds_nothing_back() -> None:
    facts = some_facts(runs={"R2": a_run(state="ended Success 0 1788262200")})
    assert one(PLAIN, facts).wanted


def test_a_run_whose_folder_is_gone_is_a_failed_attempt() -> None:
    row = applied(
        EXPECTING,
        status=RunStatus.IN_PROGRESS,
        run="R2",
        in_sync=False,
        started=ago(minutes=10),
        ended=None,
        exit_code=None,
    )
    history = a_history({"motd": row})
    found = one(EXPECTING, with_file(DRIFTED_FILE), history=history)
    assert (found.state, found.cause, found.until) == (State.WAITING, Cause.FAILED, NOW + timedelta(minutes=20))
    assert "its run folder is gone" in one(a_state(an_association()), some_facts(), history=_of(row)).reason


def _of(row: Any) -> Any:
    return a_history({"motd": applied(PLAIN, status=row.status, run=row.run, ended=None, in_sync=False)})


def test_a_run_going_on_is_not_lost_where_folders_were_not_looked_at() -> None:
    row = applied(PLAIN, status=RunStatus.IN_PROGRESS, run="R2", in_sync=False, ended=None)
    assert one(PLAIN, some_facts(runs="cut"), history=a_history({"motd": row})).state is State.WAITING


def test_what_depends_on_another_waits_until_that_is_in_sync() -> None:
    state = a_state(an_association("alpha", depends_on=(AssociationName("zeta"),)), an_association("zeta"))
    alpha, zeta = find(state, some_facts())
    assert (zeta.state, alpha.state, alpha.cause) == (State.PENDING, State.WAITING, Cause.PENDING)
    assert "depends on zeta (Pending)" in alpha.reason
    alpha, zeta = find(state, some_facts(), history=a_history({"zeta": applied(state, "zeta")}))
    assert (zeta.state, alpha.state) == (State.IN_SYNC, State.PENDING)


def test_a_dependency_that_does_not_mean_this_node_is_ignored() -> None:
    state = a_state(an_association("alpha", depends_on=(AssociationName("zeta"),)), an_association("zeta", targets=()))
    assert one(state, some_facts()).wanted


def test_apply_ignores_backoff_schedule_and_flapping_but_no_hold() -> None:
    nightly = a_state(an_association(expect=EXPECT_FILE, schedule="cron(0 2 * * ? *)"))
    row = applied(nightly, repairs=tuple(ago(hours=n) for n in range(1, 6)))
    history = a_history({"motd": row})

    def asked(name: AssociationName, node: NodeId) -> bool:
        return (name, node) == ("motd", "web-01")

    for facts in (with_file(DRIFTED_FILE), some_facts()):
        found = one(nightly, facts, history=history, forced=asked)
        assert (found.wanted, found.forced) == (True, True)
        assert found.reason.startswith("asked for by apply")
    held = one(nightly, some_facts(holds={"hold": ""}), history=history, forced=asked)
    assert (held.state, held.wanted, held.forced) == (State.WAITING, False, False)
    assert not one(nightly, some_facts(), history=history, forced=lambda *_: False).wanted


def paused(**of: Any) -> Pauses:
    return Pauses(all=(Pause(who="ana", since=ago(hours=1), reason="disk swap", **of),))


@pytest.mark.parametrize(
    ("of", "binds"),
    [
        pytest.param({}, True, id="everything"),
        pytest.param({"node": "web-01"}, True, id="this node"),
        pytest.param({"node": "web-02"}, False, id="another node"),
        pytest.param({"association": "motd"}, True, id="this association"),
        pytest.param({"association": "other"}, False, id="another association"),
        pytest.param({"node": "web-01", "association": "motd"}, True, id="this on this"),
        pytest.param({"node": "web-02", "association": "motd"}, False, id="this on another"),
    ],
)
def test_a_pause_binds_what_it_names_and_keeps_the_cause(of: dict[str, Any], binds: bool) -> None:  # noqa: FBT001  a case
    found = one(EXPECTING, with_file(DRIFTED_FILE), pauses=paused(until=NOW + timedelta(hours=1), **of))
    assert found.wanted is not binds
    assert found.cause is Cause.PENDING
    if binds:
        assert (found.state, found.until) == (State.WAITING, NOW + timedelta(hours=1))
        assert found.reason.startswith("paused by ana: disk swap until 20")


def test_a_pause_ends_by_itself() -> None:
    assert one(EXPECTING, with_file(DRIFTED_FILE), pauses=paused(until=ago(seconds=1))).wanted


def test_what_is_in_sync_stays_so_under_a_pause() -> None:
    assert one(EXPECTING, with_file(FILE), pauses=paused()).state is State.IN_SYNC


def test_apply_is_bound_by_a_pause() -> None:
    assert not one(EXPECTING, with_file(DRIFTED_FILE), pauses=paused(), forced=lambda _name, _node: True).wanted


def test_pauses_that_do_not_read_pause_everything() -> None:
    found = one(EXPECTING, with_file(DRIFTED_FILE), pauses=Pauses(unreadable="paused, for the file does not read"))
    assert (found.state, found.wanted, found.until) == (State.WAITING, False, None)
