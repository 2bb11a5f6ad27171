"""Which commands on record are meant (SSM: the filters of ListCommands); pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.commands.record import CommandRecord
from reconciler.documents.error import RenderError
from reconciler.documents.given import shorthand
from reconciler.errors import UsageError

KEYS = ("InvokedAfter", "InvokedBefore", "Status", "ExecutionStage", "DocumentName")
EXECUTING, COMPLETE = "Executing", "Complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All of them must hold; None holds for every command."""

    invoked_after: datetime | None = None
    invoked_before: datetime | None = None
    status: str | None = None
    """A status, or a status detail."""
    stage: str | None = None
    """SSM: Executing or Complete."""
    document: str | None = None
    node: str | None = None

    def __post_init__(self) -> None:
        """Refuse a stage that is none, with UsageError."""
        if self.stage not in (None, EXECUTING, COMPLETE):
            raise UsageError(f"--execution-stage {self.stage}: write {EXECUTING} or {COMPLETE}")

    def hold(self, record: CommandRecord) -> bool:
        """Tell whether a command is meant."""
        detail = record.verdict.detail
        return (
            (self.invoked_after is None or record.requested >= self.invoked_after)
            and (self.invoked_before is None or record.requested < self.invoked_before)
            and (self.status is None or self.status in (detail.value, detail.status))
            and (self.stage is None or (self.stage == COMPLETE) is detail.ended)
            and (self.document is None or record.document == self.document)
            and (self.node is None or record.of(self.node) is not None)
        )


def read_filters(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read `key=KEY,value=VALUE` as the AWS CLI takes it; gives key and value. Raises UsageError."""
    for word in words:
        try:
            given = shorthand(word, "--filters")
        except RenderError as exc:
            raise UsageError(f"InvalidFilterKey: {exc}") from exc
        key, value = given.get("key", ()), given.get("value", ())
        if set(given) != {"key", "value"} or len(key) != 1 or len(value) != 1:
            raise UsageError(f"InvalidFilterKey: --filters {word}: write key=KEY,value=VALUE")
        if key[0] not in KEYS:
            raise UsageError(f"InvalidFilterKey: --filters {word}: the keys are {', '.join(KEYS)}")
        yield key[0], value[0]
