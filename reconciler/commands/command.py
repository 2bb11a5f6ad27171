"""A request held against one state commit -> a command: which document, on which nodes, from when to when; pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from reconciler.commands.request import MOST_BYTES, Request, stop_in_words
from reconciler.documents.content import Contents, ContentUnavailable, ContentUnknown
from reconciler.documents.render import RUNBOOK, NotSupportedYet, Rendered, RenderError, render
from reconciler.drift.definitions import Definition
from reconciler.errors import SourceError, UsageError
from reconciler.ids import AssociationName, NodeId
from reconciler.model.association import Association, Target
from reconciler.model.desired import DesiredState
from reconciler.model.document import Document
from reconciler.model.node import Mode, least_intervening
from reconciler.model.reading.spelling import did_you_mean
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.plan.run_id import command_subject
from reconciler.targets.match import GROUP, TAG, TAG_KEY, TagIndex

DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
"""Of a document that the caller brings: its file's name, which goes into records."""
MOST_NAMED = 8
"""Tags or values that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a person confirms."""

    command: str
    words: str
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One call of send-command, ready to go."""

    id: UUID
    request: Request
    login: str
    """Who asked, as the kernel knows them."""
    requested: datetime
    expires: datetime
    """Whatever has not ended by then counts as not delivered."""
    document: Document
    definition: Definition
    nodes: tuple[NodeId, ...]
    """Every node that is meant; percentages are of these."""
    from_file: bool = False
    """Whether the document is one that the caller brought: nobody reviewed it, and its name says nothing."""
    denied: Mapping[NodeId, str]
    """Those of them where the state repository allows no changes, and why."""
    nobody: str = ""
    """Where the targets mean no node: why."""

    @property
    def subject(self) -> AssociationName:
        """What run folders on the nodes call it."""
        return command_subject(self.id)

    @property
    def deliver_until(self) -> datetime:
        """Nothing is started from then on."""
        return self.requested + self.request.timeout

    @property
    def threshold(self) -> int:
        """How many errors are tolerated."""
        return error_threshold(self.request.max_errors, len(self.nodes))

    @property
    def most_unreached(self) -> int | None:
        """How many nodes out of reach it goes on with; None: any number."""
        most = self.request.max_unreachable
        return None if most is None else error_threshold(most, len(self.nodes))

    @property
    def at_once(self) -> int:
        """On how many nodes it runs at most at a time."""
        return in_flight_limit(self.request.max_concurrency, len(self.nodes))

    @property
    def in_words(self) -> str:
        """What it will do, said before it does."""
        count = len(self.nodes)
        named = f"{self.document.name}, version {self.document.version}"
        if not count:
            return f"{named}, on no node: {self.nobody}"
        at_once = min(self.at_once, count)
        return (
            f"{named}, on {count} {'node' if count == 1 else 'nodes'}, "
            f"at most {at_once} at a time; {stop_in_words(self.threshold, count, self.request.max_errors)}"
            f"{self._away}{self._too_late}"
        )

    @property
    def _away(self) -> str:
        """Say at how many nodes out of reach it stops, where it does."""
        most = self.most_unreached
        if most is None or most >= len(self.nodes):
            return ""
        return f"; stops, too, when {most + 1} {'node is' if most == 0 else 'nodes are'} out of reach"

    @property
    def _too_late(self) -> str:
        """Say where its nodes may not all get to start in time (SSM: the wait for one's turn counts)."""
        longest = self.expires - self.deliver_until
        if not longest:
            return ""
        turns = -(self.request.timeout // -longest)
        in_time = self.at_once * turns
        if in_time >= len(self.nodes):
            return ""
        return (
            f"; if each takes as long as it may ({int(longest.total_seconds())} s), only {in_time} of {len(self.nodes)} start "
            f"within --timeout-seconds {int(self.request.timeout.total_seconds())}"
        )

    @property
    def announcement(self) -> "Announcement":
        """What is said of it before anything runs."""
        return Announcement(command=str(self.id), words=self.in_words, nodes=len(self.nodes))

    def as_association(self) -> Association:
        """Give it as what the roll-out knows."""
        return Association(
            name=self.subject,
            document=self.document.name,
            document_version=self.document.version,
            max_concurrency=self.request.max_concurrency,
            max_errors=self.request.max_errors,
        )


def prepare(
    request: Request,
    desired: DesiredState,
    *,
    command: UUID,
    login: str,
    now: datetime,
    contents: Contents | None = None,
    brought: Document | None = None,
) -> Command:
    """Find document and nodes, and fill in the parameters. Raises UsageError with SSM's name of the error.

    Raises SourceError where what it downloads cannot be had. `brought`: a document that the caller brought along, in the place of the repository's. ContentUnknown names what it
    downloads and `contents` does not know.
    """
    if brought is not None and not DOCUMENT_NAME.fullmatch(brought.name):
        raise UsageError(f"{brought.name!r} is no name of a document: rename the file (letters, digits, _ - and .)")
    document = _document(request, desired) if brought is None else brought
    rendered = _rendered(request, document, desired, contents)
    _check_size(request, document)
    nodes = _nodes(request, desired)
    return Command(
        id=command,
        request=request,
        login=login,
        requested=now,
        expires=now + request.timeout + _longest(rendered),
        document=document,
        from_file=brought is not None,
        definition=Definition(digest=rendered.digest, rendered=rendered),
        nodes=nodes,
        denied=_denied(nodes, desired),
        nobody="" if nodes else _why_nobody(request.targets, desired),
    )


def _document(request: Request, desired: DesiredState) -> Document:
    versions = desired.documents.get(request.document)
    if versions is None:
        guess = did_you_mean(request.document, desired.documents)
        raise UsageError(f"InvalidDocument: there is no document {request.document} in documents/{guess}")
    document = versions.get(request.version)
    if document is None:
        there = ", ".join(sorted(versions.versions))
        raise UsageError(
            f"InvalidDocumentVersion: document {request.document} has no version {request.version} (there are: {there})"
        )
    if document.schema_version == RUNBOOK:
        raise UsageError(
            f"InvalidDocument: {request.document} is a runbook: send-command takes documents of type Command"
        )
    if request.hash is not None and request.hash != document.digest:
        raise UsageError(
            f"InvalidDocument: {request.document} has SHA-256 {document.digest}, not {request.hash}: nothing was sent"
        )
    return document


def _rendered(request: Request, document: Document, desired: DesiredState, contents: Contents | None) -> Rendered:
    try:
        rendered = render(
            document,
            {name: list(values) for name, values in request.parameters.items()},
            stored=desired.parameters,
            documents=desired.documents,
            packages=desired.packages,
            contents=contents,
        )
    except ContentUnknown:
        raise
    except ContentUnavailable as exc:  # not the caller's mistake: asking again may help
        raise SourceError(f"{exc}; nothing was sent") from exc
    except NotSupportedYet as exc:
        raise UsageError(f"InvalidDocument: {exc}") from exc
    except RenderError as exc:
        raise UsageError(f"InvalidParameters: {exc}") from exc
    return rendered


def _check_size(request: Request, document: Document) -> None:
    """SSM: document and parameters hold 64 KB together."""
    values = len(json.dumps(dict(request.parameters)).encode())
    size = len(document.text) + values
    if size > MOST_BYTES:
        raise UsageError(
            f"MaxDocumentSizeExceeded: the document holds {len(document.text)} bytes and the parameters {values}, "
            f"together {size}; at most {MOST_BYTES} are taken"
        )


def _longest(rendered: Rendered) -> timedelta:
    """Give how long the steps that can run may take, all of them."""
    return sum((step.timeout for step in rendered.steps if step.script is not None), timedelta())


def _nodes(request: Request, desired: DesiredState) -> tuple[NodeId, ...]:
    unknown = [name for name in request.instance_ids if name not in desired.nodes]
    if unknown:
        guess = did_you_mean(unknown[0], desired.nodes) if len(unknown) == 1 else ""
        words = f"no node is called {', '.join(unknown)}{guess or '; `reconciler nodes` lists them'}"
        raise UsageError(f"InvalidInstanceId: {words}")
    if request.instance_ids:
        return request.instance_ids
    groups = [value for target in request.targets if target.key == GROUP for value in target.values]
    gone = [name for name in groups if name not in desired.groups]
    if gone:
        guess = did_you_mean(gone[0], desired.groups)
        raise UsageError(f"InvalidTarget: there is no group {', '.join(gone)} in state/groups{guess}")
    return tuple(sorted(TagIndex(desired.nodes.values(), desired.groups).nodes(request.targets)))


def _why_nobody(targets: Iterable[Target], desired: DesiredState) -> str:
    """Say which target no node fits, by names and values that are there; upper and lower case count."""
    for target in targets:
        if target.key in (TAG_KEY, GROUP) or not target.key.startswith(TAG):
            continue
        name = target.key.removeprefix(TAG)
        tags = sorted({tag for node in desired.nodes.values() for tag in node.tags})
        values = sorted({node.tags[name] for node in desired.nodes.values() if name in node.tags})
        if not values:
            return f"no node has a tag {name}; there are: {_some(tags)}"
        if not set(values) & set(target.values):
            return f"no node's tag {name} is {' or '.join(target.values)}; there are: {_some(values)}"
    return "the targets fit no node together"


def _some(words: Sequence[str]) -> str:
    """Give the first of some words."""
    return ", ".join((*words[:MOST_NAMED], *(["..."] if len(words) > MOST_NAMED else []))) or "none"


def _denied(nodes: tuple[NodeId, ...], desired: DesiredState) -> dict[NodeId, str]:
    fleet = desired.fleet
    if fleet.suspend:
        return dict.fromkeys(nodes, "the fleet is suspended (Suspend in state/fleet.yaml)")
    modes = {node: least_intervening(fleet.mode, desired.nodes[node].mode) for node in nodes}
    return {
        node: f"Mode: {mode.value} allows no changes on this node"
        for node, mode in modes.items()
        if mode is not Mode.ENFORCE
    }
