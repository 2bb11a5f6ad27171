"""Who may send which commands from this host: one rule of its settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRule:
    """What these logins may send. An empty tuple of documents or targets means any."""

    logins: tuple[str, ...]
    documents: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """Selectors as `--limit` takes them: every node of a command must be meant by one of them."""
    max_nodes: int | None = None
    """The most nodes of one command."""
