"""One node's answer -> its sections: frames are taken to their facts' parsers; a section that fails is Unknown by itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from reconciler.ids import Digest
from reconciler.inventory.fact import Asked, Fact
from reconciler.inventory.facts import FACTS
from reconciler.inventory.facts.checks import join
from reconciler.inventory.facts.services import HELD
from reconciler.inventory.frames import Answered, Frame, Status
from reconciler.inventory.rows import Rows
from reconciler.inventory.texts import shares
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.questions import Questions

SHORT = 500
"""Characters of a text whose digest is remembered."""

SHOWN = 500
"""Characters of a parser's words: they quote the node, and stand in reports."""

Section = Observed[Mapping[str, JsonValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One section as it was read, and what it takes to know that it has not changed."""

    section: Section
    fingerprint: str = ""
    """The node's own words; empty: the section has none, or they were not told."""
    digest: Digest | None = None
    """Of the text it was parsed from: the same text is not parsed again."""
    read_at: datetime


class Parses:
    """Parsed sections by the digest of their text: fleets are alike, so most nodes' sections are parsed by another node."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._rows: dict[tuple[str, Digest], Known[Mapping[str, JsonValue]]] = {}

    def get(self, section: str, digest: Digest) -> Known[Mapping[str, JsonValue]] | None:
        """Give the rows of an equal text."""
        return self._rows.get((section, digest))

    def put(self, section: str, digest: Digest, rows: Known[Mapping[str, JsonValue]]) -> None:
        """Keep rows; when there are too many, all are let go, which costs one parse each."""
        if len(self._rows) >= self._most:
            self._rows = {}
        self._rows[section, digest] = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a program asked, for reading its answer."""

    questions: Questions
    only: frozenset[str] | None = None
    before: Mapping[str, Held] = field(default_factory=dict)
    now: datetime
    parses: Parses


def decode(answered: Answered, request: Request) -> Mapping[str, Held]:
    """Give every section that was asked for, Known or Unknown; whatever the answer is, nothing is raised."""
    texts, problem = _texts(answered)
    return {
        fact.section: _section(fact, answered, request, problem if reads else None, texts if reads else None)
        for fact, reads in _asked(request.questions, request.only)
    }


@lru_cache(maxsize=1024)
def _asked(questions: Questions, only: frozenset[str] | None) -> tuple[tuple[Fact, bool], ...]:
    """Give the facts that were asked for, and whether they are read from the node's small files; nodes share it."""
    facts = (fact for fact in FACTS.values() if only is None or fact.section in only)
    both = ((fact, bool(fact.reads(questions))) for fact in facts)
    return tuple((fact, reads) for fact, reads in both if reads or FACTS[fact.frame or fact.section].script(questions))


def _texts(answered: Answered) -> tuple[Mapping[str, str], str | None]:
    frame = answered.frames.get("texts")
    if frame is None:
        return {}, answered.problem or "the node's small files were not answered"
    try:
        return shares(frame.text), None
    except ValueError as error:
        return {}, str(error)


def _section(
    fact: Fact, answered: Answered, request: Request, problem: str | None, texts: Mapping[str, str] | None
) -> Held:
    """Give one section; `texts` are the node's small files, where it is read from them, and `problem` what is wrong with them."""
    name = fact.section
    where = fact.frame or name
    frame = answered.frames.get(where)
    before = request.before.get(name)
    if frame is not None and frame.status is Status.UNCHANGED:
        if before is None or not before.fingerprint:
            return _unknown("the node says unchanged, but nothing is held of it", request)
        return before
    if frame is not None and frame.status is Status.UNKNOWN:
        return _unknown(frame.text[:500].strip() or "the node does not say why", request)
    if texts is not None:
        if problem is not None:
            return _unknown(problem, request)
        text = texts.get(name, "")
    elif frame is None:
        return _unknown(answered.problem or "the node did not answer this section", request)
    else:
        text = _checks(answered.frames) if name == "checks" else frame.text
    at = answered.frames.get(f"at.{where}")
    fingerprint = "" if at is None else at.text
    if at is None and before is not None and text.endswith(HELD):
        fingerprint = before.fingerprint
    return _parsed(fact, text, fingerprint, request)


def _checks(frames: Mapping[str, Frame]) -> str:
    said = {}
    for name in ("user", "root"):
        frame = frames.get(f"checks.{name}")
        said[name] = "" if frame is None else frame.text if frame.status is Status.OK else f"unknown: {frame.text}"
    return join(said["user"], said["root"])


def _parsed(fact: Fact, text: str, fingerprint: str, request: Request) -> Held:
    name = fact.section
    before = request.before.get(name)
    digest = _digest(_meaning(fact, request), text) if len(text) < SHORT else _digest_of(_meaning(fact, request), text)
    if before is not None and before.digest == digest:
        return Held(section=before.section, fingerprint=fingerprint, digest=digest, read_at=request.now)
    known = request.parses.get(name, digest)
    if known is None:
        rows = before.section.value if before is not None and isinstance(before.section, Known) else {}
        held = before.fingerprint if before is not None and rows else ""
        try:
            parsed = fact.parse(text, Asked(questions=request.questions, rows=rows, fingerprint=held))
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            # Parsers raise ValueError; what else a hostile text provokes must cost its own section and no more.
            return _unknown(f"its answer is not understood: {str(error)[:SHOWN]}", request)
        known = Known(Rows(parsed))
        if name != "files" and not text.endswith(HELD):  # these rest on what this node said before
            request.parses.put(name, digest, known)
    return Held(section=known, fingerprint=fingerprint, digest=digest, read_at=request.now)


def _digest_of(meaning: str, text: str) -> Digest:
    return Digest(hashlib.sha256(f"{meaning}\n{text}".encode()).hexdigest())


_digest = lru_cache(maxsize=4096)(_digest_of)
"""Most nodes say the same little, in every pass."""


def _meaning(fact: Fact, request: Request) -> str:
    """Give what else the rows depend on, beside the text."""
    questions = request.questions
    match fact.section:
        case "files":
            return repr(questions.files)
        case "sysctls":
            return repr(questions.sysctls)
        case "services":
            return repr(questions.services)
        case "ports":
            return repr(questions.ports)
        case "checks":
            return repr(questions.checks)
        case _:
            return ""


def _unknown(why: str, request: Request) -> Held:
    return Held(section=Unknown(why), read_at=request.now)
