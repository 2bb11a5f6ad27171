"""Expectations against facts: takes `Expect` and one node's facts, gives whether it holds, does not, or cannot be told; pure.

Three values, as in Kleene's logic: one expectation that does not hold decides the whole, whatever else is unknown; none
that fails and one unknown is Unknown; only when all are known to hold does it hold.
"""

from dataclasses import dataclass

from reconciler.drift.account_claims import account_claims
from reconciler.drift.claims import Claim, claims_of
from reconciler.drift.finding import Difference
from reconciler.drift.view import NotKnown, View
from reconciler.inventory.observed import Facts
from reconciler.model.association import Expectations


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all expectations together say."""

    holds: bool | None
    """None: nothing fails, and something is not known."""
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()
    """Why some expectations could not be judged."""


HOLDS = Verdict(holds=True)


class Compiled:
    """Expectations made ready to be held against many nodes."""

    __slots__ = ("_claims",)

    def __init__(self, expect: Expectations, *, check_as_root: bool) -> None:
        self._claims: tuple[Claim, ...] = (
            *claims_of(expect, check_as_root=check_as_root),
            *account_claims(expect),
        )

    def verdict(self, view: View) -> Verdict:
        """Judge one node."""
        differences: list[Difference] = []
        unknown: list[str] = []
        for subject, judge in self._claims:
            try:
                judged = judge(view)
            except NotKnown as exc:
                unknown.append(str(exc))
                continue
            if judged is not None:
                differences.append(Difference(subject=subject, expected=judged[0], observed=judged[1]))
        if differences:
            return Verdict(holds=False, differences=tuple(differences), unknown=tuple(unknown))
        return Verdict(holds=None, unknown=tuple(dict.fromkeys(unknown))) if unknown else HOLDS


def unmet(expect: Expectations, facts: Facts, *, check_as_root: bool) -> Verdict:
    """Judge the expectations of one association on one node."""
    return Compiled(expect, check_as_root=check_as_root).verdict(View(facts))
