"""`patch list NODE` and `patch explain NODE PACKAGE` as lines of text: verdicts in, words out. Pure; the caller renders for its sink."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.patching.approval import Approval, ApprovalStatus
from reconciler.patching.node_compliance import NodeCompliance
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.selection import Offer
from reconciler.patching.states import Judge, PatchRow, judge_rows, offers_of
from reconciler.patching.which_baseline import Resolution

_STATUS = {
    ApprovalStatus.APPROVED: "approved",
    ApprovalStatus.PENDING_APPROVAL: "waits",
    ApprovalStatus.EXPLICIT_APPROVED: "approved by list",
    ApprovalStatus.EXPLICIT_REJECTED: "rejected",
    ApprovalStatus.NOT_APPROVED: "not approved",
}


def list_lines(
    rows: Sequence[PatchRow], summary: NodeCompliance, resolution: Resolution, *, every: bool
) -> Iterable[str]:
    """Give the node's status, its baseline, and its rows: those that are not compliant, or (`every`) all of them."""
    yield f"{summary.status.value}: {summary.reason}"
    yield f"baseline: {_named(resolution)} ({resolution.reason})"
    counts = [f"{count} {state.value}" for state, count in summary.counts.items() if count]
    yield f"rows: {', '.join(counts) or 'none'}"
    shown = [row for row in rows if every or not row.is_compliant]
    if shown:
        yield ""
    for row in shown:
        level = f" [{row.level.value}]" if row.level.rank else ""
        yield f"{row.state.value}{level} {row.title}"
        yield f"    installed {row.installed.version}; {row.reason}"
        if row.cves:
            yield f"    {', '.join(row.cves)}"


def explain_lines(node: NodePatches, judge: Judge, resolution: Resolution, package: str) -> Iterable[str]:
    """Say of one package which baseline counts and why, what each version is, and what an install would bring.

    `package` is a name, or `NAME.ARCH`.
    """
    only = _only(node, package)
    rows = judge_rows(only, judge)
    offers = [offer for _, some in sorted(offers_of(only, judge).items()) for offer in some]
    yield f"baseline: {_named(resolution)}: {resolution.reason}"
    yield f"judged at {_told(judge.grounds.now)}, product {judge.grounds.product or 'not known'}"
    if not rows:
        yield "it is not installed: new packages come only with patches that need them"
    for row in rows:
        yield ""
        yield f"{row.state.value} {row.title} (installed: {row.installed.version}{_marks(row)})"
        yield f"    {row.reason}"
        if row.target is not None:
            yield f"    an install would bring exactly {row.target.version} ({row.target.checksum or 'no checksum'})"
        if row.cves:
            yield f"    {', '.join(row.cves)}"
    if offers:
        yield ""
        yield "versions:"
    for offer in offers:
        yield from _offer_lines(offer)


def _only(node: NodePatches, package: str) -> NodePatches:
    return replace(
        node,
        installed=tuple(row for row in node.installed if package in {row.name, row.id}),
        available=tuple(patch for patch in node.available if package in {patch.name, patch.id}),
        gone=tuple(one for one in node.gone if package in {one.patch.name, one.patch.id}),
    )


def _offer_lines(offer: Offer) -> Iterable[str]:
    approval = offer.approval
    where = ", ".join(sorted({index.ledger_name for index in offer.patch.indexes})) or "no index"
    gone = ""
    if offer.gone_since is not None:
        gone = f", gone since {_told(offer.gone_since)}" + (" (the file is kept here)" if offer.kept else "")
    yield f"  {offer.patch.title}: {_STATUS[approval.status]}; {where}{gone}"
    yield f"    {approval.reason}"
    for line in _dates(approval):
        yield f"    {line}"
    if offer.deferred:
        yield "    this node's phase does not offer it yet"
    for notice in offer.patch.notices:
        about = " ".join(word for word in (notice.classification, notice.severity) if word)
        cves = f": {', '.join(notice.cves)}" if notice.cves else ""
        yield f"    notice {notice.id} ({about or 'nothing said'}){cves}"


def _dates(approval: Approval) -> Iterable[str]:
    release = approval.release
    if release is not None and release.at is not None and release.source is not None:
        yield f"dated {_told(release.at)} by {release.source.value}"
    if approval.approval_date is not None:
        yield f"approved {'since' if approval.is_approved else 'on'} {_told(approval.approval_date)}"


def _marks(row: PatchRow) -> str:
    marks = [word for word, is_so in (("held", row.installed.hold), ("automatic", row.installed.auto)) if is_so]
    return f"; {', '.join(marks)}" if marks else ""


def _named(resolution: Resolution) -> str:
    return "none" if resolution.baseline is None else f"{resolution.baseline.name} ({resolution.baseline.file})"


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def explain_facts(node: NodePatches, judge: Judge, resolution: Resolution, package: str) -> Mapping[str, object]:
    """Give what `explain_lines` says, as values."""
    only = _only(node, package)
    offers = [offer for _, some in sorted(offers_of(only, judge).items()) for offer in some]
    return {
        "package": package,
        "baseline": None if resolution.baseline is None else resolution.baseline.name,
        "reason": resolution.reason,
        "product": judge.grounds.product,
        "at": judge.grounds.now.isoformat(),
        "rows": [row_facts(row) for row in judge_rows(only, judge)],
        "versions": [
            {
                **approval_facts(offer.approval),
                "goneSince": None if offer.gone_since is None else offer.gone_since.isoformat(),
                "deferred": offer.deferred,
            }
            for offer in offers
        ],
    }


def row_facts(row: PatchRow) -> Mapping[str, object]:
    """Give a row as values."""
    return {
        "id": row.id,
        "title": row.title,
        "state": row.state.value,
        "compliant": row.is_compliant,
        "level": row.level.value,
        "classification": row.classification,
        "severity": row.severity,
        "installedVersion": row.installed.version,
        "approvedVersion": None if row.approval is None or not row.approval.is_approved else row.approval.patch.version,
        "targetVersion": None if row.target is None else row.target.version,
        "cves": list(row.cves),
        "reason": row.reason,
    }


def approval_facts(approval: Approval) -> Mapping[str, object]:
    """Give a verdict for `--format json`: the same grounds, as values."""
    release = approval.release
    return {
        "id": approval.patch.id,
        "title": approval.patch.title,
        "status": approval.status.value,
        "reason": approval.reason,
        "rule": approval.rule,
        "level": approval.level.value,
        "classification": approval.classification,
        "severity": approval.severity,
        "approvalDate": None if approval.approval_date is None else approval.approval_date.isoformat(),
        "releaseDate": None if release is None or release.at is None else release.at.isoformat(),
        "dateSource": None if release is None or release.source is None else release.source.value,
        "checksum": approval.patch.checksum,
    }
