"""Brings the files that a run's steps download to its node, before the run starts. I/O through a Session.

Each file is known by its SHA-256: read from the manager's store, held against it here, and again on the node. Whatever was
sent before an interruption is not sent again, but for the file that was under way.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from reconciler.documents.content import Packaged
from reconciler.errors import AnswerGarbled, SourceError
from reconciler.ids import RunId
from reconciler.model.command import Program, Session
from reconciler.model.package import Platform
from reconciler.rollout.node_programs import Order
from reconciler.rollout.stage_program import PLATFORM, Part, stage_program

PART = 512 * 1024
"""Bytes in one program: four times as much on the wire where nothing of it is plain text."""

Read = Callable[[str], bytes]
"""SHA-256 -> bytes. Raises SourceError where the store has lost them."""


def no_store(sha256: str) -> bytes:
    """Have nothing: for roll-outs of documents that download nothing."""
    raise KeyError(sha256)


def stage(session: Session, order: Order, read: Read, *, become: bool) -> str | None:
    """Send what is missing; gives why it cannot be sent, None where everything is there (or the run is)."""
    blobs = order.rendered.blobs
    if not blobs:
        return None
    wanted = (*blobs.sizes, *_of_packages(session, blobs.packages))
    missing = _send(session, order.run, wanted, (), become=become)
    try:
        for batch in _batches(
            _parts(missing, lambda sha256: blobs.made[sha256] if sha256 in blobs.made else read(sha256))
        ):
            _send(session, order.run, (), batch, become=become)
    except SourceError as exc:
        return f"what its steps download cannot be sent: {exc}"
    left = _send(session, order.run, wanted, (), become=become) if missing else ()
    return f"{len(left)} files did not arrive on the node as they were sent: has it sha256sum?" if left else None


def _of_packages(session: Session, packages: Sequence[Packaged]) -> tuple[str, ...]:
    """Give the tars that this node needs: it says what it is, and gets the file for that and no other."""
    if not packages:
        return ()
    told = session.run(Program(text=PLATFORM)).stdout.decode("utf-8", "replace").splitlines()
    if len(told) != len(("system", "version", "machine")):
        raise AnswerGarbled(session.node, f"it did not say which platform it is: {' '.join(told)[:80]!r}")
    platform = Platform.of(*told)
    tars = (packaged.tar_for(platform) for packaged in packages)
    return tuple(dict.fromkeys(tar.sha256 for tar in tars if tar is not None))


def _send(
    session: Session, run: RunId, wanted: Sequence[str], parts: Sequence[Part], *, become: bool
) -> tuple[str, ...]:
    answer = session.run(stage_program(run, wanted, parts, become=become)).stdout.decode("utf-8", "replace")
    *lines, end = answer.splitlines() or [""]
    if end != "end":
        refused = next((line for line in answer.splitlines() if line.startswith("refused ")), "")
        words = refused.split(" ", 2)[-1] if refused else "the answer to what was sent is cut"
        raise AnswerGarbled(session.node, words)
    found = tuple(line.removeprefix("missing ") for line in lines if line.startswith("missing "))
    if not set(found) <= set(wanted):
        raise AnswerGarbled(session.node, "the node misses files that nobody spoke of")
    return found


def _parts(missing: Sequence[str], read: Read) -> Iterator[Part]:
    for sha256 in missing:
        data = read(sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise SourceError(f"the store holds other bytes than {sha256[:12]}")
        starts = range(0, max(1, len(data)), PART)
        for start in starts:
            yield Part(file=sha256, data=data[start : start + PART], first=start == 0, last=start + PART >= len(data))


def _batches(parts: Iterator[Part]) -> Iterator[list[Part]]:
    batch: list[Part] = []
    size = 0
    for part in parts:
        if batch and size + len(part.data) > PART:
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += len(part.data)
    if batch:
        yield batch
