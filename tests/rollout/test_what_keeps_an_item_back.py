"""Each reason that keeps an item from its turn, by itself: whom it concerns, in which words, and when there is none."""

from dataclasses import replace
from datetime import UTC, datetime

from reconciler.ids import AssociationName, NodeId
from reconciler.model.outcome import Hindrance
from reconciler.model.pause import Pause, Pauses
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.holding_back import Why, paused, stopped, undelivered, unreturned
from reconciler.rollout.progress import Rollout
from tests.rollout.a_world import an_item

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOTD, OTHER = an_item("a", "motd", 0, canary=False), an_item("b", "other", 0, canary=False)


def a_rollout() -> Rollout:
    return Rollout(limit=in_flight_limit("1", 2), threshold=error_threshold("0", 2), waiting=(NodeId("a"),))


def test_a_stopped_roll_out_keeps_its_own_items_back() -> None:
    going = {AssociationName("motd"): a_rollout(), AssociationName("other"): a_rollout()}
    assert stopped(going) is None
    judge = stopped({**going, AssociationName("motd"): replace(a_rollout(), stopped="too many errors")})
    assert judge is not None
    assert judge(MOTD) == Why(reason="too many errors", hindrance=Hindrance.ERRORS)
    assert judge(OTHER) is None


def test_a_command_is_kept_back_where_it_was_cancelled_and_everywhere_once_it_is_late() -> None:
    assert undelivered(None, late=False) is None, "nobody is asked about one by one"
    in_time = undelivered(lambda node: node == "a", late=False)
    assert in_time is not None
    cancelled = in_time(MOTD)
    assert cancelled is not None
    assert cancelled.hindrance is Hindrance.CANCEL
    assert in_time(OTHER) is None
    late = undelivered(lambda node: node == "a", late=True)
    assert late(MOTD) == cancelled
    too_late = late(OTHER)
    assert too_late is not None
    assert too_late.hindrance is Hindrance.TIME


def test_a_pause_keeps_back_what_it_is_of_before_its_turn_comes() -> None:
    assert paused(Pauses(), NOW) is None
    pause = Pause(who="ana", since=datetime(2026, 1, 1, tzinfo=UTC), reason="disk swap", node=NodeId("a"))
    judge = paused(Pauses(all=(pause,)), NOW)
    assert judge is not None
    why = judge(MOTD)
    assert why is not None
    assert why.hindrance is Hindrance.GATE
    assert "disk swap" in why.reason
    assert judge(OTHER) is None


def test_only_what_reboots_waits_for_a_node_that_did_not_come_back() -> None:
    assert unreturned(()) is None
    judge = unreturned({NodeId("c"), NodeId("b")})
    assert judge is not None
    assert judge(MOTD) is None, "it installs nothing"
