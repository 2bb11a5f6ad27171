"""The message of a compliance commit: subject, body, and the trailers that tie it to the state. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.source.git_text import trailers

STATE_COMMIT = "State-Commit"
PLAN = "Plan"
EPOCH = "Epoch"
"""Of the lease under which a commit was made: tells a paused old leader's reports from its successor's."""
MAX_SUBJECT = 72
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a commit says about itself."""

    subject: str
    body: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Write it as git takes it; behind trailers of ours no line of the body can pass for one."""
        subject = _ODD.sub(" ", self.subject).strip()[:MAX_SUBJECT] or "Report"
        lines = [_ODD.sub(" ", line).rstrip() for line in self.body.strip().split("\n")]
        body = "\n".join(lines).strip()
        tail = "\n".join(f"{key}: {_ODD.sub(' ', value).strip()}" for key, value in self.trailers.items())
        return "\n\n".join(part for part in (subject, body, tail) if part) + "\n"


def trailer(message: str, key: str) -> str | None:
    """Read one trailer of a commit's message; the last one counts."""
    found = [value for name, value in trailers(message) if name.lower() == key.lower()]
    return found[-1] if found else None
