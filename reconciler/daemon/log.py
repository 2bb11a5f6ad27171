"""What the daemon writes about itself: one line a node and pass, for a terminal or as JSON, on stderr."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

from reconciler.compliance.report import Status
from reconciler.daemon.passing import PassResult
from reconciler.daemon.telling import ended
from reconciler.foreign_text import Sink, fit
from reconciler.model.outcome import Disposition, Outcome

log = structlog.get_logger()


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


def log_pass(result: PassResult) -> None:
    """Write one line a node and one for the pass."""
    ran: dict[str, list[Outcome]] = {}
    for outcome in result.outcomes:
        ran.setdefault(outcome.node, []).append(outcome)
    for node, report in result.reports.items():
        wrong = {r.finding.association: r.finding.state.value for r in report.findings if not r.finding.compliant}
        did = {o.association: ended(o) for o in ran.get(node, [])}
        log.info(
            "node",
            node=node,
            status=report.status.value,
            revision=result.plan.commit,
            **({"ran": _flat(did)} if did else {}),
            **({"wrong": _flat(wrong)} if wrong else {}),
            **({"unreachable": report.facts.unreachable} if report.facts.unreachable else {}),
        )
    for problem in result.problems:
        log.warning("attention", reason=problem)
    for warning in result.warnings:
        log.warning("warning", reason=warning)
    for pause in result.summary.pauses:
        log.warning("paused", reason=pause)
    log.info(
        "pass",
        revision=result.plan.commit,
        plan=result.plan.digest[:12],
        compliant=result.summary.nodes[Status.COMPLIANT],
        not_compliant=result.summary.nodes[Status.NON_COMPLIANT],
        unknown=result.summary.nodes[Status.UNKNOWN],
        ran=sum(o.disposition is Disposition.RAN for o in result.outcomes),
        report=result.report_commit,
        seconds=round(result.seconds, 3),
    )


def _flat(words: Mapping[Any, str]) -> str:
    return "; ".join(f"{name} {word}" for name, word in words.items())
