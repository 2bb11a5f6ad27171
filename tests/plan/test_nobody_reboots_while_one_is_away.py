"""While a node has not come back from a patch install, no other one is rebooted for patches."""

from typing import Any

from reconciler.drift.finding import Cause, Finding, State
from reconciler.ids import AssociationName, BaselineName, NodeId
from reconciler.model.history import History, RunStatus
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, RebootOption
from reconciler.plan.breakers import Within, within_breakers
from reconciler.targets.resolve import resolve_targets
from tests.drift.builders import a_history, a_node, a_state, an_association, applied

STATE = a_state(an_association("patch"), nodes=tuple(a_node(name) for name in "abc"))


def a_finding(node: str, reboot: RebootOption | None = RebootOption.REBOOT_IF_NEEDED, **given: Any) -> Finding:
    order = None if reboot is None else PatchOrder(baseline=BaselineName("b"), family=Family.APT, reboot=reboot)
    defaults: dict[str, Any] = {"state": State.PENDING, "cause": Cause.PENDING, "wanted": True, "reason": "missing"}
    return Finding(node=NodeId(node), association=AssociationName("patch"), patches=order, **defaults | given)


def judged(*wanted: Finding, status: RunStatus = RunStatus.IN_PROGRESS) -> Within:
    history = a_history({"patch": applied(STATE, "patch", status=status)}, node="a")
    away = Finding(
        node=NodeId("a"),
        association=AssociationName("patch"),
        state=State.UNKNOWN,
        cause=Cause.UNKNOWN,
        reason="unreachable",
    )
    known = History(nodes=history.nodes)
    return within_breakers(list(wanted), (), desired=STATE, targets=resolve_targets(STATE), history=known, away=(away,))


def test_installs_that_reboot_wait_and_say_for_whom() -> None:
    quiet, forced = a_finding("c", RebootOption.NO_REBOOT), a_finding("c", forced=True)
    found = judged(a_finding("b"), quiet, forced)
    assert found.wanted == [quiet, forced]
    (held,) = found.held
    assert (held.node, held.reason.startswith("a did not come back from a patch install")) == ("b", True)


def test_a_node_that_is_away_without_a_run_stops_nobody() -> None:
    wanted = a_finding("b")
    assert judged(wanted, status=RunStatus.SUCCESS).wanted == [wanted]
