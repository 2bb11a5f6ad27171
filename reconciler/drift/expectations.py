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
from reconciler.model.known import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all expectations together say."""

    holds: bool | None
    """None: nothing fails, and something is not known."""
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()
    """Why some expectations could not be judged."""


HOLDS = Verdict(holds=True)
_REMEMBERED = 8
"""Satisfying values of one row: a fleet has a few versions of a package, and one content of a file."""


class Compiled:
    """Expectations made ready to be held against many nodes; remembers the few values that satisfied them."""

    __slots__ = ("_claims", "_satisfying", "lookups")

    def __init__(self, expect: Expectations, *, check_as_root: bool) -> None:
        self._claims: tuple[Claim, ...] = (
            *claims_of(expect, check_as_root=check_as_root),
            *account_claims(expect),
        )
        self._satisfying: dict[JsonValue, tuple[tuple[str, list[JsonValue]], ...]] = {}
        self.lookups = len(self._claims)

    def holds(self, view: View) -> bool:
        """Whether everything is known to hold: what `verdict` says, at the price of a few comparisons."""
        flat = view.flat
        if flat is None or any(claim.row is None for claim in self._claims):
            return self.verdict(view) is HOLDS
        family = flat.get("os/family")
        if not isinstance(family, str):
            return self.verdict(view) is HOLDS
        satisfying = self._satisfying.get(family)
        if satisfying is None:
            satisfying = tuple((claim.row, []) for claim in self._claims if claim.row is not None)
            self._satisfying[family] = satisfying
        for row, values in satisfying:
            if flat.get(row) not in values:
                break
        else:
            return True
        if self.verdict(view) is not HOLDS:
            return False
        for row, values in satisfying:
            value = flat.get(row)
            if value is not None and value not in values and len(values) < _REMEMBERED:
                values.append(value)
        return True

    def verdict(self, view: View) -> Verdict:
        """Judge one node."""
        differences: list[Difference] = []
        unknown: list[str] = []
        for claim in self._claims:
            try:
                judged = claim.judge(view)
            except NotKnown as exc:
                unknown.append(str(exc))
                continue
            if judged is not None:
                differences.append(Difference(subject=claim.subject, expected=judged[0], observed=judged[1]))
        if differences:
            return Verdict(holds=False, differences=tuple(differences), unknown=tuple(unknown))
        return Verdict(holds=None, unknown=tuple(dict.fromkeys(unknown))) if unknown else HOLDS


def unmet(expect: Expectations, facts: Facts, *, check_as_root: bool) -> Verdict:
    """Judge the expectations of one association on one node."""
    return Compiled(expect, check_as_root=check_as_root).verdict(View(facts))
