"""Whatever a node says of holds, runs, markers and itself: words or its own Unknown, and never an end of the pass."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.page import page
from reconciler.compliance.write import node_file
from reconciler.drift.lost_history import guarded, rebuilt
from reconciler.drift.memory import with_seen, with_settled
from reconciler.drift.told_instant import told_instant
from reconciler.ids import CommitId, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.command import Answer, Program
from reconciler.model.fleet import DEFAULT_FLEET
from reconciler.model.history import History
from reconciler.model.known import JsonValue
from reconciler.plan.run_id import run_id
from reconciler.rollout import node_run
from reconciler.rollout.manifest import read_manifest
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import MOST_OF_RUN, OutputKeeper
from reconciler.rollout.record import record_of
from reconciler.rollout.settle import leftovers
from reconciler.rollout.sight import Sight, read_report
from tests.drift.builders import EXPECT_FILE, MOTD, NOW, WEB, a_state, an_association, find, plan, some_facts

FLEET = FleetId("example")
RUN_OF = partial(run_id, FLEET)
RUN = RUN_OF(WEB, MOTD, 1)
NUMBERS = st.sampled_from([0, 1, -1, 2**40, 2**63, 2**64, 10**9, 10**400, True, None, 1.5, float("nan"), float("inf")])
INSTANTS = st.sampled_from(
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2026-09-01T12:00:00",
        "2026-09-01T12:00:00Z",
        "3000-01-01T00:00:00Z",
        "never",
        "\ud800",
        "",
    ]
)
TEXTS = st.one_of(
    INSTANTS, st.sampled_from(["motd", "Pending", "Drifted", RUN, "\ud83d", "a" * 5000, "e" * 64]), st.text(max_size=20)
)
VALUES = st.one_of(NUMBERS, TEXTS, st.lists(TEXTS, max_size=3))
KEYS = (
    "fleet",
    "run",
    "node",
    "association",
    "definition",
    "rendered",
    "n",
    "cause",
    "epoch",
    "started",
    "steps",
    "status",
    "ended",
)
GOOD: Mapping[str, JsonValue] = {
    "run": RUN,
    "fleet": DEFAULT_FLEET,
    "node": WEB,
    "association": MOTD,
    "definition": "e" * 64,
    "rendered": "d" * 64,
    "n": 1,
    "cause": "Drifted",
    "epoch": 1,
    "started": "2026-09-01T11:00:00+00:00",
    "ended": "2026-09-01T11:00:00+00:00",
    "status": "Success",
    "steps": ["one"],
}


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A line of JSON that is right but for up to three fields."""
    fields: dict[str, object] = dict(GOOD)
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        fields[key] = draw(VALUES)
    return draw(st.sampled_from([json.dumps(fields), json.dumps(fields)[:-3], "[" * 100_000, "{}"]))


def reported(facts: Facts, history: History) -> str:
    """Go a pass's whole way with what one node says; gives the page."""
    state = a_state(an_association(expect=EXPECT_FILE))
    history = with_seen(history, {WEB: facts}, NOW)
    plan(state, facts, history=history)
    reports = judge(find(state, facts, history=history), {WEB: facts}, history, {}, NOW)
    for report in reports.values():
        assert node_file(report)
    return page(summarise(reports, fleet=FLEET, state_commit=None, target_counts={}, problems=()), reports)


@settings(deadline=None)
@given(bent(), st.sampled_from(["", "step 1 1", "ended Success 0 1", "started x", "step 99999999999999999999 1"]))
def test_any_manifest_of_a_run(manifest: str, state: str) -> None:
    facts = some_facts(runs={RUN: {"manifest": manifest, "state": state}, "f" * 64: {"unknown": "x"}})
    assert reported(facts, History())
    for leftover in leftovers(facts, DEFAULT_FLEET)[0]:
        record = record_of(leftover.manifest, read_report(b"state \nstanding killed\nend\n"), OutputKeeper(None), NOW)
        assert record is None or reported(facts, with_settled(History(), (record,), NOW))


@settings(deadline=None)
@given(bent(), st.one_of(NUMBERS, TEXTS))
@example('{"fleet": "fleet", "node": []}', 0)
def test_any_marker_and_any_count(marker: str, acknowledged: object) -> None:
    identity = {"machine_id": "m", "hostname": "web-01", "acknowledged": acknowledged}
    facts = some_facts(markers={MOTD: marker}, identity=identity)
    assert reported(facts, guarded(History(), {WEB: facts}, NOW, RUN_OF))
    assert reported(facts, rebuilt(History(lost="gone"), {WEB: facts}, NOW, RUN_OF))
    assert reported(facts, guarded(History(commit=CommitId("c" * 40)), {WEB: facts}, NOW, RUN_OF))


@settings(deadline=None)
@given(st.sampled_from(["until: ", "who: ", "why: ", ""]), st.one_of(INSTANTS, st.text(max_size=40)))
def test_any_hold_file(key: str, text: str) -> None:
    assert reported(some_facts(holds={"hold": f"{key}{text}".encode("utf-8", "replace").decode()}), History())


LINES = st.sampled_from(
    [
        "state ",
        "state step 1 1",
        "state ended Success 0 1",
        "state ended Failed -1 999999999999999999",
        "standing killed",
        "standing ended",
        "standing going",
        "took 1",
        "took -1",
        f"took {10**400}",
        f"took {10**12}",
        "why \x1b[31m",
        "step 1 Success 0",
        f"step {10**400} Success 0",
        f"step {10**300}",
        "step -1",
        "step 1 Failed 194",
        "more",
        "data 1 out 0 3\nabc",
        f"data {10**300} out 0 3\nabc",
        "data 1 out -1 3\nabc",
        "data 1 ../../x 0 3\nabc",
        f"data 1 out 0 {10**30}",
        "end",
    ]
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=8))
def test_any_report_about_a_run(lines: list[str]) -> None:
    answer = "\n".join(["state ended Success 0 1", "standing ended", *lines, "end", ""]).encode()
    try:
        sight = read_report(answer)
    except ValueError:
        return
    assert isinstance(sight, Sight)
    keeper = OutputKeeper(None)
    try:
        keeper.keep(RUN, sight.pieces)
    except ValueError:
        return
    record = record_of(read_manifest(json.dumps(GOOD), RUN, WEB), sight, keeper, NOW)
    assert record is None or reported(some_facts(), with_settled(History(), (record,), NOW))


class Endless:
    """A session with a node that always has more to say of a run, of step after step."""

    node = NodeId("web-01")
    host_key = None

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0

    def run(self, _program: Program) -> Answer:
        step = self.asked % 10_000 + 1
        self.asked += 1
        head = f"state step 1 1\nstanding going\nmore\ndata {step} out 0 {self.size}\n"
        return Answer(stdout=head.encode() + b"y" * self.size + b"\nend\n", stderr=b"", exit_status=0)


def test_a_node_that_names_step_after_step_fills_no_disk() -> None:
    size = 9_000_000
    runs, node = NodeRuns(OutputKeeper(None)), Endless(size)
    assert not runs.look(node, RUN, become=False).more  # type: ignore[arg-type]  # a session of which nothing is streamed
    assert MOST_OF_RUN - size < sum(runs.output.held(RUN).values()) <= MOST_OF_RUN
    assert node.asked == MOST_OF_RUN // size + 1


def test_a_node_that_drips_output_holds_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_run, "FETCH_PATIENCE", 0.2)
    node = Endless(1)
    NodeRuns(OutputKeeper(None)).look(node, RUN, become=False)  # type: ignore[arg-type]  # as above
    assert node.asked < 10_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("2026-09-01T12:00:00", datetime(2026, 9, 1, 12, tzinfo=UTC), id="without a zone"),
        pytest.param("2026-09-01T14:00:00+02:00", datetime(2026, 9, 1, 12, tzinfo=UTC), id="another zone"),
        pytest.param("9999-12-31T23:59:59-14:00", None, id="beyond the last year"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before the first year"),
        pytest.param("1999-12-31T23:59:59Z", None, id="no year of ours"),
        pytest.param("tomorrow", None, id="words"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_instants_are_those_one_can_reckon_with(text: str | None, instant: datetime | None) -> None:
    assert told_instant(text, zoned=False) == instant
    assert instant is None or instant + timedelta(days=1)


def test_what_we_write_ourselves_names_its_zone() -> None:
    assert told_instant("2026-09-01T12:00:00") is None
