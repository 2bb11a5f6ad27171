"""What the daemon writes about itself: one line a node and pass, for a terminal or as JSON, on stderr."""

import logging
import sys
from typing import TextIO

import structlog

from reconciler.foreign_text import Sink, fit


def _render_foreign(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Make every string fit for a log: most of them come from a node or a repository."""
    return {key: fit(value, Sink.LOG) if isinstance(value, str) else value for key, value in event.items()}


def configure_logging(*, as_json: bool, coloured: bool = False, stream: TextIO | None = None) -> None:
    """Set up structlog for this process; third parties' loggers stay quiet below warnings."""
    out = stream or sys.stderr
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(name)s: %(message)s")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=coloured, pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render_foreign,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
