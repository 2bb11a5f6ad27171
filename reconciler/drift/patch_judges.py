"""Who judges patches in one look at a fleet: takes the ledger and the instant, gives one judge for each baseline and product; pure."""

from datetime import datetime

from reconciler.ids import BaselineName
from reconciler.patching.approval import Grounds
from reconciler.patching.ledger import Ledger
from reconciler.patching.states import Judge
from reconciler.patching.which_baseline import Resolution


class Judges:
    """One judge for each baseline and product: verdicts are worked out once for the fleet."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now
        self._made: dict[tuple[BaselineName, str], Judge] = {}

    def of(self, resolution: Resolution, product_name: str) -> Judge | None:
        """Give the judge of a baseline; None: there is none."""
        if resolution.baseline is None:
            return None
        key = resolution.baseline.name, product_name
        if key not in self._made:
            self._made[key] = Judge(
                Grounds(baseline=resolution.baseline, ledger=self._ledger, product=product_name, now=self._now)
            )
        return self._made[key]
