"""Holds values against the JSON Schema of their kind: a fast yes, or a slow explanation of everything that does not fit.

The schemas are the one description of what a file may hold; editors use them too. jsonschema is asked only about what the
compiled schema refuses. A test holds both against each other.
"""

from reconciler.model.reading.explanation import explain
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema_compiler import fits
from reconciler.model.reading.values import Value


def check(kind: str, value: Value, mistakes: Mistakes) -> bool:
    """Hold a value against the schema of its kind; say everything that is wrong with it."""
    if fits(kind, value):
        return True
    before = len(mistakes.problems)
    explain(kind, value, mistakes)
    if len(mistakes.problems) == before:  # the two differ, which is a bug of ours: still, nothing is refused in silence
        mistakes.error(value, f"this does not fit the schema of a {kind}", value="")
    return False
