"""What a rendered document is: steps ready to run, the same for every node, and their digest; records, and pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.documents.content import Blobs, Fetched
from reconciler.documents.downloads import Placed
from reconciler.documents.patch_script import NO_END, patch_script
from reconciler.documents.script_inputs import DEFAULT_TIMEOUT
from reconciler.ids import Digest, DocumentName
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import Operation, PatchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A step of a document that runs another one, as its inner steps know it."""

    group: int
    element: int
    """Which of a list of inputs."""
    on_failure: str = ""
    on_success: str = ""
    finally_step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedStep:
    """One script to run, or a step that is known beforehand to be skipped or to fail."""

    name: str
    action: str
    script: bytes | None = field(repr=False)
    interpreter: tuple[str, ...] = ("sh",)
    alternatives: tuple[str, ...] = ()
    """Where some are named: the first that the node has takes the place of the interpreter; without any the step fails."""
    file: str = "script"
    """What the script is called on the node."""
    timeout: timedelta = DEFAULT_TIMEOUT
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs: Placed | None = None
    """A file that must lie on the node as it was when this was rendered, or the step fails: the document it is of."""
    patching: PatchRequest | None = None
    """What it asks of the node's patches: `with_order` gives it a script that does it."""
    skip: str | None = None
    """Why it is skipped."""
    fail: str | None = None
    """Why it fails without running."""
    on_failure: str = ""
    """`exit`, `successAndExit` or nothing."""
    on_success: str = ""
    """`exit` or nothing."""
    finally_step: bool = False
    group: int = 0
    """Which step of the document this is part of: a list of inputs is unrolled into several with one number."""
    within: tuple[Place, ...] = ()
    """The steps that run the document of this one, outermost first; group and modifiers are those in the innermost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What will run. Two with one digest do the same on every node."""

    document: DocumentName
    version: str
    digest: Digest
    steps: tuple[RenderedStep, ...]
    blobs: Blobs = field(default_factory=Blobs)
    """The files that must be sent along."""
    fetched: tuple[Fetched, ...] = ()

    @property
    def patch_requests(self) -> tuple[PatchRequest, ...]:
        """What its steps ask of a node's patches, in their order; empty: it is no patch document."""
        return tuple(step.patching for step in self.steps if step.patching is not None)

    @property
    def patch_request(self) -> PatchRequest | None:
        """What a node's order is made by: of several the last that installs; None: it is no patch document."""
        requests = self.patch_requests
        installs = tuple(one for one in requests if one.operation is Operation.INSTALL)
        return next(reversed(installs or requests), None)

    def with_order(self, order: PatchOrder | None) -> "Rendered":
        """Give what runs on one node, where its patch steps bring this; None: nothing is missing there.

        Files that the node's archive has dropped are sent along.

        Raises ValueError where it names what no package is called.
        """
        if not self.patch_requests:
            return self
        steps = tuple(
            step if step.patching is None else replace(step, script=patch_script(step.patching, order), timeout=NO_END)
            for step in self.steps
        )
        files = {} if order is None else order.files
        blobs = replace(self.blobs, sizes={**self.blobs.sizes, **files}) if files else self.blobs
        return replace(self, steps=steps, digest=digest_of(steps), blobs=blobs)


def digest_of(steps: tuple[RenderedStep, ...]) -> Digest:
    """Digest what the node will do; no prose in it, so that a reworded reason makes nobody's definition new."""
    canonical = [
        [
            step.group,
            step.name,
            step.action,
            None if step.script is None else hashlib.sha256(step.script).hexdigest(),
            list(step.interpreter),
            int(step.timeout.total_seconds()),
            step.working_directory,
            sorted(step.environment.items()),
            step.skip is not None,
            step.fail is not None,
            step.on_failure,
            step.on_success,
            step.finally_step,
            # Only where there is something to say: the digest of what runs no other document stays what it was.
            *([[step.needs.path, step.needs.sha256]] if step.needs is not None else []),
            *(
                [place.group, place.element, place.on_failure, place.on_success, place.finally_step]
                for place in step.within
            ),
        ]
        for step in steps
    ]
    return Digest(hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest())
