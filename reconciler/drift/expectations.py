"""Expectations against facts: takes `Expect` and one node's facts, gives whether it holds, does not, or cannot be told; pure.

Three values, as in Kleene's logic: one expectation that does not hold decides the whole, whatever else is unknown; none
that fails and one unknown is Unknown; only when all are known to hold does it hold.
"""

from dataclasses import dataclass

from reconciler.drift.account_claims import account_claims
from reconciler.drift.claims import Claim, claims_of
from reconciler.drift.finding import Difference
from reconciler.drift.view import ALIKE, NotKnown, View, mark_of
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
_REMEMBERED = 64
"""Satisfying values of one row: a fleet has a few versions of a package, and one content of a file."""
Lines = dict[bytes, tuple[bytes, ...]]
"""What a row's line begins with -> what may stand behind it; in the order of the committed form."""


class Compiled:
    """Expectations made ready to be held against many nodes; remembers the few committed texts that satisfied them."""

    __slots__ = ("_claims", "_held_for", "_marks", "_satisfying", "is_alike", "learned")

    is_alike: bool
    """Whether nodes that are alike (`Alike`) hold it alike."""

    def __init__(self, expect: Expectations, *, check_as_root: bool) -> None:
        self._claims: tuple[Claim, ...] = (
            *claims_of(expect, check_as_root=check_as_root),
            *account_claims(expect),
        )
        rows = tuple(claim.row for claim in self._claims if claim.row is not None)
        self._marks = tuple(sorted(mark_of(*row) for row in rows)) if len(rows) == len(self._claims) else None
        self.is_alike = len(rows) == len(self._claims) and ALIKE.issuperset(section for section, _ in rows)
        self._held_for: set[int] = set()
        """Numbers of alike nodes where everything held: what it rests on is the same there."""
        self._satisfying: dict[bytes, Lines] = {}
        self.learned = 0
        """How many satisfying texts are remembered."""

    def holds(self, view: View) -> bool:
        """Whether everything is known to hold: what `verdict` says, at the price of a few searches in committed facts."""
        if view.alike in self._held_for:
            return True
        holds = self._holds(view)
        if holds and self.is_alike and view.alike:
            self._held_for.add(view.alike)
        return holds

    def _holds(self, view: View) -> bool:
        satisfying = self.remembered(view)
        if satisfying is None:
            return self.verdict(view) is HOLDS
        if view.tells(satisfying):
            return True
        if self.verdict(view) is not HOLDS:
            return False
        for mark, texts in satisfying.items():
            text = view.raw(mark)
            if text is not None and len(texts) < _REMEMBERED:
                satisfying[mark] = (*texts, text + b"\n")
                self.learned += 1
        return True

    def remembered(self, view: View) -> Lines | None:
        """Give the lines that satisfied so far on nodes of this family, in order; None where they do not decide."""
        if self._marks is None or view.content is None or (family := view.committed_family) is None:
            return None
        if family not in self._satisfying:
            self._satisfying[family] = dict.fromkeys(self._marks, ())
        return self._satisfying[family]

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


class Together:
    """Several that a node is held against, in one pass over its committed form: it is searched once and not once for each."""

    __slots__ = ("_joined", "_parts")

    def __init__(self, parts: tuple[Compiled, ...]) -> None:
        self._parts = parts
        self._joined: dict[bytes, tuple[int, Lines]] = {}

    def are_told(self, view: View) -> bool:
        """Whether a text that satisfied before stands in every row they rest on; False: each is to be asked for itself."""
        family = view.committed_family
        if family is None:
            return False
        learned = sum(part.learned for part in self._parts)
        known = self._joined.get(family)
        if known is None or known[0] != learned:
            known = self._joined[family] = learned, self._lines(view)
        return bool(known[1]) and view.tells(known[1])

    def _lines(self, view: View) -> Lines:
        """Join the lines of all; empty where the lines of one do not decide."""
        joined: Lines = {}
        for part in self._parts:
            lines = part.remembered(view)
            if lines is None:
                return {}
            for mark, texts in lines.items():
                both = joined.get(mark)
                joined[mark] = texts if both is None else tuple(text for text in both if text in texts)
        return dict(sorted(joined.items()))


def unmet(expect: Expectations, facts: Facts, *, check_as_root: bool) -> Verdict:
    """Judge the expectations of one association on one node."""
    return Compiled(expect, check_as_root=check_as_root).verdict(View(facts))
