"""The message of a compliance commit: subject, body, and the trailers that tie it to the state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.foreign_text import Sink, fit
from reconciler.source.git_text import trailers

STATE_COMMIT = "State-Commit"
PLAN = "Plan"
EPOCH = "Epoch"
"""Of the lease under which a commit was made: tells a paused old leader's reports from its successor's."""
MAX_SUBJECT = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a commit says about itself."""

    subject: str
    body: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Write it as git takes it; behind trailers of ours no line of the body can pass for one."""
        subject = _line(self.subject).strip()[:MAX_SUBJECT] or "Report"
        body = "\n".join(_line(line).rstrip() for line in self.body.strip().split("\n")).strip()
        tail = "\n".join(f"{key}: {_line(value).strip()}" for key, value in self.trailers.items())
        return "\n\n".join(part for part in (subject, body, tail) if part) + "\n"


def _line(text: str) -> str:
    """Give one line: what nodes and repositories said stands in it, and forges act upon what commits say."""
    return fit(text, Sink.COMMIT)


def trailer(message: str, key: str) -> str | None:
    """Read one trailer of a commit's message; the last one counts."""
    found = [value for name, value in trailers(message) if name.lower() == key.lower()]
    return found[-1] if found else None
