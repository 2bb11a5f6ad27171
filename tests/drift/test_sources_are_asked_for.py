"""Whose sources are told and fetched, and when: literals."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.drift.refreshes import with_refreshes, with_sources
from reconciler.ids import BaselineName, NodeId
from reconciler.inventory.collect import Collected
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchSource, Refresh
from reconciler.model.known import JsonValue, Known
from reconciler.model.questions import Questions
from tests.drift.builders import a_node, a_state, some_facts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEB = NodeId("web-01")
OURS = PatchSource(name="ours", products=("Debian12",), configuration="deb https://a:b@mirror.files.test/x ours main")
BASELINE = PatchBaseline(
    name=BaselineName("ours"), operating_system=OperatingSystem.DEBIAN, patch_groups=("web",), sources=(OURS,)
)
ASKED = {WEB: Questions(patches=True)}
YOUNG: dict[str, JsonValue] = {"fetched": "2026-03-01T10:00:00Z", "tried": "2026-03-01T10:00:00Z", "problem": None}


def said(minutes_ago: int | None = None, **times: JsonValue) -> Collected:
    """Give what a node said last: when its lists were refreshed, and when its source was fetched."""
    facts = some_facts("web-01", os={"id": "debian", "version_id": "12", "family": "debian"})
    sections = dict(facts.sections)
    if minutes_ago is not None:
        at = NOON - timedelta(minutes=minutes_ago)
        sections["refreshed"] = Known({"*": None, "@": f"{at:%Y-%m-%dT%H:%M:%SZ}"})
        sections["metadata"] = Known(
            {"*": {"tried": "2026-03-01T10:00:00Z"}, "x_": {"fetched": "2026-03-01T10:00:00Z"}}
        )
    if times:
        sections["source_times"] = Known({OURS.id: {**YOUNG, "valid_until": {}, **times}})
    return Collected(facts=replace(facts, sections=sections), collected_at=NOON)


def asked(last: Collected | None, baseline: PatchBaseline = BASELINE, group: str = "web") -> Questions:
    desired = a_state(nodes=(a_node(tags={"Patch Group": group}),), baselines={baseline.name: baseline})
    held = {} if last is None else {WEB: last}
    told = with_sources(ASKED, {WEB: (None,)}, desired, lambda node: held[node].facts if node in held else None)
    return with_refreshes(told, {WEB: (None,)}, desired, held, NOON)[WEB]


def test_sources_are_asked_for_where_the_nodes_baseline_names_them_and_its_product_is_meant() -> None:
    (wanted,) = asked(said(10, tried="2026-03-01T11:00:00Z")).sources
    assert wanted.id == OURS.id
    assert "a:b" not in repr(wanted)
    assert asked(said(10), group="other").sources == (), "another baseline serves it, which names none"
    elsewhere = replace(BASELINE, sources=(replace(OURS, products=("Debian11",)),))
    assert asked(said(10), elsewhere).sources == ()
    refused = replace(BASELINE, sources=(replace(OURS, refused="it is fetched over plain http"),))
    assert asked(said(10), refused).sources == ()
    assert asked(None) == ASKED[WEB], "nobody knows yet what it runs"


@pytest.mark.parametrize(
    ("policy", "last", "due"),
    [
        pytest.param(Refresh.BEFORE_SCAN, said(10), True, id="never asked for: a commit added it"),
        pytest.param(Refresh.MAX_AGE, said(10), True, id="by age too"),
        pytest.param(Refresh.NEVER, said(10), False, id="but never where nothing is refreshed"),
        pytest.param(Refresh.BEFORE_SCAN, said(10, problem=None), False, id="fetched, and the hour is not over"),
        pytest.param(
            Refresh.BEFORE_SCAN, said(10, fetched=None, problem="away"), False, id="not to be had, and tried this hour"
        ),
        pytest.param(
            Refresh.BEFORE_SCAN, said(10, fetched=None, tried=None), False, id="nobody may fetch it: tried this hour"
        ),
        pytest.param(Refresh.BEFORE_SCAN, said(70, problem=None), True, id="the hour is over"),
        pytest.param(Refresh.MAX_AGE, said(70, problem=None), False, id="young enough"),
        pytest.param(Refresh.MAX_AGE, said(70, fetched="2026-02-28T11:00:00Z"), True, id="the source alone is too old"),
        pytest.param(Refresh.MAX_AGE, said(70, fetched=None, problem="away"), True, id="the source alone never came"),
        pytest.param(Refresh.MAX_AGE, said(None, fetched=None, tried=None), True, id="nothing is known"),
    ],
)
def test_sources_are_fetched_when_lists_are_refreshed_and_when_they_are_new(
    policy: Refresh, last: Collected, *, due: bool
) -> None:
    assert asked(last, replace(BASELINE, refresh=policy)).refresh is due
