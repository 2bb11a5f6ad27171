"""The quick way finds what the whole judgement finds: on committed facts, and again after things changed."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.drift.associations import Survey, Surveyor
from reconciler.drift.definitions import definitions
from reconciler.drift.finding import Finding
from reconciler.drift.judge import Judge
from reconciler.drift.rule import rules
from reconciler.drift.view import View
from reconciler.ids import Digest, NodeId, RunId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.association import (
    Association,
    Expectations,
    ExpectedFile,
    ExpectedGroup,
    ExpectedPackage,
    ExpectedService,
    ExpectedUser,
    Presence,
)
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, AppliedRows, History, NodeHistory, RunStatus
from reconciler.targets.resolve import resolve_targets
from tests.drift.builders import (
    EXPECT_FILE,
    FILE,
    NOW,
    a_history,
    a_node,
    a_state,
    ago,
    an_association,
    applied,
    some_facts,
)

NODES = tuple(NodeId(f"n{number}") for number in range(4))
ASSOCIATIONS = (
    an_association("file", expect=EXPECT_FILE),
    an_association("gone", expect=Expectations(files=(ExpectedFile(path="/x", state=Presence.ABSENT),))),
    an_association(
        "group", expect=Expectations(groups=(ExpectedGroup(name="guest", state=Presence.ABSENT),)), depends_on=("file",)
    ),
    an_association("nightly", schedule="cron(0 2 * * ? *)"),
    an_association("on-change", expect=EXPECT_FILE, run_on_change=True),
    an_association(
        "package", expect=Expectations(packages=(ExpectedPackage(name="nginx", operator=">=", version="1.22"),))
    ),
    an_association(
        "package-and-another",
        expect=Expectations(
            packages=(
                ExpectedPackage(name="nginx", operator="<", version="1.22"),
                ExpectedPackage(name="curl", state=Presence.ABSENT),
            )
        ),
    ),
    an_association("package-there", expect=Expectations(packages=(ExpectedPackage(name="nginx"),))),
    an_association("plain"),
    an_association("rate", schedule="rate(1 hour)"),
    an_association("service", expect=Expectations(services=(ExpectedService(name="nginx", running=True),))),
    an_association("user", expect=Expectations(users=(ExpectedUser(name="app", group="app"),))),
    an_association("waits", expect=EXPECT_FILE, unsupported=("Duration",)),
)
STATE = a_state(*ASSOCIATIONS, nodes=tuple(a_node(node) for node in NODES))
WELL: dict[str, Applied] = {name: applied(STATE, name) for name in STATE.associations}

SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "files": st.sampled_from(
            [{"/etc/motd": FILE, "/x": None}, {"/etc/motd": None, "/x": None}, {"/etc/motd": FILE}, "cut", {}]
        ),
        "packages": st.sampled_from(
            [{"nginx": "1.22.1 x"}, {"nginx": "1.21 x"}, {"nginx": "1.21 x", "curl": "7 x"}, {}, "cut"]
        ),
        "services": st.sampled_from(
            [{}, "cut", {"nginx": {"active": "failed", "sub": "failed", "enabled": "enabled"}}]
        ),
        "groups": st.sampled_from([{"guest": {"gid": 1, "members": []}}, {}, "cut"]),
        "users": st.sampled_from([{}, "cut"]),
        "os": st.sampled_from([{"family": "rpm"}, {}, "cut"]),
        "ports": st.sampled_from([{}, "cut"]),
        "holds": st.sampled_from([{"hold": "who: ana"}, "cut"]),
        "identity": st.sampled_from([{"machine_id": "another"}, {}, "cut"]),
    },
)
VARIANTS: tuple[dict[str, Any], ...] = (
    {"definition": Digest("0" * 64)},
    {"in_sync": False},
    {"in_sync": False, "drift_seen": ago(hours=20)},
    {"in_sync": False, "failures": 2, "status": RunStatus.FAILED},
    {"in_sync": False, "failures": 1, "status": RunStatus.FAILED, "ended": ago(hours=5)},
    {"status": RunStatus.IN_PROGRESS, "in_sync": False, "ended": None},
    {"adopted": True, "status": None, "run": None, "started": None, "ended": None},
    {"adopted": True, "status": None},
    {"adopted": True, "status": RunStatus.FAILED},
    {"status": None, "in_sync": False, "detail": "the node was rolled back"},
    {"ended": None},
    {"started": ago(hours=14), "ended": ago(hours=13)},
    {"started": ago(minutes=59), "ended": ago(minutes=50)},
)
ROWS = st.dictionaries(st.sampled_from([each.name for each in ASSOCIATIONS]), st.sampled_from(VARIANTS), max_size=4)
FLEET = st.lists(st.tuples(SECTIONS, ROWS, st.booleans()), min_size=len(NODES), max_size=len(NODES))


def the_facts(fleet: Any) -> dict[NodeId, Facts]:
    found = {}
    for node, (sections, _, is_unreachable) in zip(NODES, fleet, strict=True):
        facts = some_facts(node, **{"identity": {"machine_id": f"machine-of-{node}"}, **sections})
        found[node] = replace(facts, unreachable="timed out") if is_unreachable and not sections else facts
    return found


def committed(facts: dict[NodeId, Facts]) -> dict[NodeId, Facts]:
    return {node: read_canonical(node, canonical(each)) for node, each in facts.items()}


def without_volatile(facts: dict[NodeId, Facts]) -> dict[NodeId, Facts]:
    return {
        node: replace(
            each,
            sections={name: rows for name, rows in each.sections.items() if name not in ("runs", "markers", "clock")},
        )
        for node, each in facts.items()
    }


def the_history(fleet: Any) -> History:
    nodes: dict[NodeId, NodeHistory] = {}
    for node, (_, rows, _) in zip(NODES, fleet, strict=True):
        mine = WELL | {name: replace(WELL[name], **fields) for name, fields in rows.items()}
        nodes |= a_history(mine, node=node).nodes
    return History(nodes=nodes)


def as_committed(history: History) -> History:
    """The same history as the branch gives it: nodes share rows that differ in nothing but the run."""
    shared: dict[Applied, Applied] = {}
    nodes = {}
    for node, record in history.nodes.items():
        alike = {name: replace(row, run=row.run and RunId("")) for name, row in record.applied.items()}
        with_run = {name: row.run.ljust(64, "0") for name, row in record.applied.items() if row.run is not None}
        rows = AppliedRows(
            {name: shared.setdefault(row, row) for name, row in alike.items()},
            tuple(with_run),
            "".join(with_run.values()).encode(),
        )
        nodes[node] = replace(record, applied=rows)
        for name, row in record.applied.items():
            assert rows[name] == replace(row, run=row.run and RunId(with_run[name]))
    return replace(history, nodes=nodes)


def by_judging_each(state: DesiredState, facts: dict[NodeId, Facts], history: History, now: datetime) -> list[Finding]:
    """The whole judgement of every pair, without any of the short cuts."""
    judge = Judge(desired=state, rules=rules(state, definitions(state)), history=history, now=now)
    found = []
    for node in NODES:
        unknown = judge.unknown(state.nodes[node], facts[node])
        if unknown is not None:
            found += [judge.unknown_finding(state.nodes[node], name, unknown) for name in sorted(state.associations)]
            continue
        around = judge.around(state.nodes[node], facts[node], history.nodes[node], View(facts[node]))
        made = judge.findings(around, sorted(state.associations))
        found += [made[name] for name in sorted(made)]
    return found


def survey(
    surveyor: Surveyor, state: DesiredState, facts: dict[NodeId, Facts], history: History, now: datetime = NOW
) -> Survey:
    return surveyor.survey(state, resolve_targets(state), facts, history, now, definitions=definitions(state))


SAME_MACHINES = SECTIONS.map(lambda sections: {name: value for name, value in sections.items() if name != "identity"})


@settings(max_examples=40)
@given(st.lists(st.tuples(SAME_MACHINES, ROWS, st.booleans()), min_size=len(NODES), max_size=len(NODES)))
def test_short_cuts_find_what_the_whole_judgement_finds(fleet: Any) -> None:
    facts, history = the_facts(fleet), the_history(fleet)
    for seen, known in ((facts, history), (committed(facts), history), (committed(facts), as_committed(history))):
        surveyed = survey(Surveyor(), STATE, seen, known)
        assert list(surveyed) == by_judging_each(STATE, seen, history, NOW)
        assert len(surveyed) == len(NODES) * len(ASSOCIATIONS)
        assert [found for found in surveyed if found in surveyed.noteworthy] == list(surveyed.noteworthy)


@settings(max_examples=20)
@given(FLEET)
def test_committed_facts_say_what_live_ones_say(fleet: Any) -> None:
    facts, history = without_volatile(the_facts(fleet)), the_history(fleet)
    live = survey(Surveyor(), STATE, facts, history)
    assert list(survey(Surveyor(), STATE, committed(facts), history)) == list(live)


def changed(association: Association, number: int) -> Association:
    changes: tuple[dict[str, Any], ...] = (
        {"schedule": "rate(30 minutes)"},
        {"unsupported": ("Duration",)},
        {"expect": Expectations(packages=(ExpectedPackage(name="curl"),))},
        {"check_as_root": True},
        {"run_on_change": not association.run_on_change},
        {"parameters": {}},
    )
    return replace(association, **changes[number])


@settings(max_examples=40)
@given(
    FLEET,
    FLEET,
    st.sets(st.integers(0, len(NODES) - 1)),
    st.sets(st.integers(0, len(NODES) - 1)),
    st.dictionaries(st.sampled_from([each.name for each in ASSOCIATIONS]), st.integers(0, 5), max_size=2),
    st.sampled_from([timedelta(), timedelta(minutes=50), timedelta(hours=15), timedelta(minutes=-5)]),
    st.sets(st.sampled_from([each.name for each in ASSOCIATIONS if each.name != "file"]), max_size=2),
)
def test_a_second_survey_finds_what_a_first_one_would(
    first: Any, second: Any, new_facts: set[int], new_rows: set[int], edits: Any, later: timedelta, gone: Any
) -> None:
    facts, history = committed(the_facts(first)), as_committed(the_history(first))
    surveyor = Surveyor()
    list(survey(surveyor, STATE, facts, history))
    other, rows = committed(the_facts(second)), as_committed(the_history(second))
    facts |= {NODES[number]: other[NODES[number]] for number in new_facts}
    history = replace(
        history, nodes={**history.nodes, **{NODES[number]: rows.nodes[NODES[number]] for number in new_rows}}
    )
    kept = {name: each for name, each in STATE.associations.items() if name not in gone}
    edited = {name: changed(each, edits[name]) if name in edits else each for name, each in kept.items()}
    state = replace(STATE, associations=edited)
    again = list(survey(surveyor, state, facts, history, NOW + later))
    assert again == list(survey(Surveyor(), state, facts, history, NOW + later))
