"""What nodes say of their packages, and what stands in ledgers: read, judged and told, or refused."""

from datetime import UTC, datetime, timedelta

from reconciler.ids import NodeId
from reconciler.model.known import Known, Unknown
from reconciler.model.patch_lines import PatchTable, installed_line, notice_line, patch_line
from reconciler.patching.approval import Grounds
from reconciler.patching.explain import explain_lines, list_lines
from reconciler.patching.from_facts import NodeMemory, node_patches
from reconciler.patching.ledger import Ledger, with_sightings
from reconciler.patching.ledger_files import ledger_path, read_ledger, write_ledger
from reconciler.patching.node_compliance import summarize
from reconciler.patching.states import Judge, judge_rows
from reconciler.patching.which_baseline import Resolution
from tests.fuzz.target import Target, bound, outcome, unbound
from tests.patching.rows import MAIN, a_deb, a_notice, an_rpm, at, installed
from tests.patching.worked import baseline_of

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
RULE = {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7, "EnableNonSecurity": True}
BASELINES = {
    family: baseline_of({"OperatingSystem": system, "Supersede": "lift", "ApprovalRules": {"PatchRules": [RULE]}})
    for family, system in (("debian", "DEBIAN"), ("rpm", "ROCKY_LINUX"), ("suse", "SUSE"))
}
ARCHIVE = "Debian-Security-bookworm-security"


def _seeds() -> list[bytes]:
    debs = (a_deb("bash", "5.2-2"), a_deb("bash", "1:5.2-3", indexes=(MAIN,), phased=10, section="a|b;c,d\\"))
    notice = a_notice(cves=("CVE-2024-1", "CVE-2024-2"), updated=at("2026-08-30"), title="x;y")
    rpms = (an_rpm("bash", "5.1-2.el9", notice), an_rpm("bash", "5.1~rc1^git-1", built=at("2026-01-01")))
    ledger, _ = with_sightings(Ledger(), {NodeId("web-01"): debs}, now=at("2026-08-01"), previous_commit=None)
    ledgers = write_ledger(ledger)
    return [
        bound(
            {
                "family": b"debian",
                "installed": installed_line(installed("bash", "5.2-1", hold=True, installed_at=NOW)).encode(),
                "available": "\n".join(map(patch_line, debs)).encode(),
                "ledger": ledgers[ledger_path(ARCHIVE)],
            }
        ),
        bound(
            {
                "family": b"rpm",
                "installed": installed_line(installed("bash", "5.1-1.el9", arch="x86_64")).encode(),
                "available": "\n".join(map(patch_line, rpms)).encode(),
                "notices": notice_line(notice).encode(),
                "ledger": b'{"archive": "baseos", "entries": {}}',
            }
        ),
    ]


def patches(data: bytes) -> str:
    """Read lines and a ledger, judge the node, and tell it; what is taken is written as it was read."""
    parts = {name: text.decode("utf-8", "replace") for name, text in unbound(data).items()}
    family = parts.get("family", "").strip()
    words = []
    ledger = Ledger()
    try:
        ledger = read_ledger({ledger_path(ARCHIVE): parts.get("ledger", "").encode()})
    except ValueError as error:
        words.append(outcome("ledger", str(error).rpartition(": ")[2]))
    assert read_ledger(write_ledger(ledger)).archives == ledger.archives
    table = PatchTable()
    try:
        table.add_notices(parts.get("notices", "").splitlines())
    except ValueError as error:
        words.append(outcome("notice", str(error)))
    sections = {
        "os": Known({"family": family, "arch": "x86_64"}),
        "installed": Known({"it": parts.get("installed", "").split("\n")}),
        "available": Known({"it": parts.get("available", "").split("\n")}),
        "notices": Known({"it": parts.get("notices", "").splitlines()}),
    }
    found = node_patches(sections, table, NodeMemory())
    if isinstance(found, Unknown):
        return " ".join((*words, outcome("unknown", found.why)))
    for patch in found.value.available:
        assert table.patch(patch_line(patch)) is patch
    seen, _ = with_sightings(ledger, {NodeId("a"): found.value.available}, now=NOW, previous_commit=NOW)
    judge = Judge(Grounds(baseline=BASELINES[family], ledger=seen, product="Debian12", now=NOW + timedelta(days=7)))
    rows = judge_rows(found.value, judge)
    resolution = Resolution(baseline=BASELINES[family], reason="a test")
    told = [*list_lines(rows, summarize(rows), resolution, every=True)]
    for row in rows:
        assert row.reason
        told += explain_lines(found.value, judge, resolution, row.installed.name)
    return " ".join((*words, *sorted({row.state.value for row in rows}), str(len(told) > 10)))


PATCH_TARGETS = {
    "patches": Target(
        seeds=_seeds,
        probe=patches,
        words=(b"#### ", b"|", b";", b",", b"\\p", b"debian|", b"rpm|", b"suse|", b"Z", b"sha256:", b"1:", b"~", b"^"),
    )
}
