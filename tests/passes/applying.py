"""Applying documents to nodes: commits them with an association of their own, and runs a pass."""

from collections.abc import Sequence
from itertools import count

from reconciler.model.outcome import RunRecord
from tests.support.site import Site

_NUMBERS = count(1)


def apply(site: Site, name: str, parameters: str = "{}", *, prefix: str = "run", **documents: str) -> RunRecord:
    """Commit documents and an association with one of them, and run a pass: one run is what comes of it."""
    association = f"{prefix}-{next(_NUMBERS)}"
    site.commit(
        {
            **{f"documents/{each}.yaml": text for each, text in documents.items()},
            f"state/associations/{association}.yaml": f"AssociationName: {association}\nName: {name}\n"
            f"Parameters: {parameters}\nTargets: [{{Key: 'tag:Role', Values: [web]}}]\n",
        }
    )
    result = site.once()
    (outcome,) = [one for one in result.outcomes if one.association == association]
    assert outcome.record is not None, (outcome, result.problems)
    return outcome.record


def results(record: RunRecord) -> Sequence[str]:
    """Give name, status and exit code of every step."""
    return [f"{step.name} {step.status} {step.exit_code}" for step in record.steps]
