from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.baseline import PatchBaseline
from reconciler.model.patch import Index
from reconciler.patching.doubts import HeldIndex, ScanEvidence, scan_doubts
from tests.patching.rows import MAIN, SECURITY, at
from tests.patching.worked import baseline_of

NOW = at("2025-06-02")
DEBIAN = baseline_of({"OperatingSystem": "DEBIAN"})
ROCKY = baseline_of({"OperatingSystem": "ROCKY_LINUX"})
FRESH = HeldIndex(
    index=SECURITY, fetched=True, refreshed_at=NOW - timedelta(hours=1), valid_until=NOW + timedelta(days=3)
)
ESM = Index(repository="esm", origin="UbuntuESM", label="UbuntuESM", suite="focal-infra-security")


def doubts(
    *indexes: HeldIndex, product: str = "Debian12", competitor: str = "", baseline: PatchBaseline = DEBIAN
) -> tuple[str, ...]:
    return scan_doubts(ScanEvidence(product=product, indexes=indexes, competitor=competitor), baseline, NOW)


def test_fresh_lists_with_a_security_source_leave_no_doubt() -> None:
    assert doubts(FRESH, replace(FRESH, index=MAIN)) == ()
    assert doubts(replace(FRESH, index=Index(repository="baseos")), product="RockyLinux9.4", baseline=ROCKY) == ()


@pytest.mark.parametrize(
    ("held", "words"),
    [
        pytest.param(replace(FRESH, fetched=False), "was never fetched", id="not fetched"),
        pytest.param(replace(FRESH, refreshed_at=None), "nobody knows how old", id="of no age"),
        pytest.param(replace(FRESH, refreshed_at=NOW - timedelta(hours=25)), "is more than 24 hours old", id="old"),
        pytest.param(
            replace(FRESH, valid_until=NOW - timedelta(hours=1)), "holds until 2025-06-01 23:00", id="past its end"
        ),
        pytest.param(
            replace(FRESH, index=replace(SECURITY, trusted=False)), "its signature is not verified", id="unsigned"
        ),
    ],
)
def test_each_list_is_doubted_by_name(held: HeldIndex, words: str) -> None:
    found = doubts(held, FRESH)
    assert any("Debian-Security-bookworm-security: " in one and words in one for one in found), found


def test_lists_without_a_security_source_prove_nothing() -> None:
    assert any("security index" in one for one in doubts(replace(FRESH, index=MAIN)))
    assert any("security index" in one for one in doubts(replace(FRESH, fetched=False), replace(FRESH, index=MAIN)))
    site = baseline_of({"OperatingSystem": "DEBIAN", "SecurityIndexes": [{"Label": "Debian", "Codename": "bookworm"}]})
    assert doubts(replace(FRESH, index=MAIN), baseline=site) == ()
    assert doubts() == ("it has no package lists at all",)


def test_repositories_without_notices_prove_nothing_unless_a_rule_goes_without() -> None:
    silent = replace(FRESH, index=Index(repository="baseos"), notices=False)
    assert any("publishes notices" in one for one in doubts(silent, product="RockyLinux9.4", baseline=ROCKY))
    assert doubts(silent, replace(silent, notices=True), product="RockyLinux9.4", baseline=ROCKY) == ()
    rules = {
        "PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7, "EnableNonSecurity": True}]
    }
    every = baseline_of({"OperatingSystem": "CENTOS", "ApprovalRules": rules})
    assert doubts(silent, product="CentOS9", baseline=every) == ()


def test_a_dead_release_of_rpm_is_known_by_its_major_version_and_kept_alive_by_who_is_paid_for_it() -> None:
    rhel = replace(FRESH, index=Index(repository="rhel-7-server-rpms"))
    assert doubts(rhel, product="RedhatEnterpriseLinux7.9", baseline=ROCKY) == (
        "RedhatEnterpriseLinux7.9 gets no security updates since 2024-06-30",
    )
    paid = replace(FRESH, index=Index(repository="rhel-7-server-els-rpms"))
    assert doubts(rhel, paid, product="RedhatEnterpriseLinux7.9", baseline=ROCKY) == ()


def test_a_dead_release_and_a_competitor_are_told() -> None:
    assert doubts(FRESH, product="Debian10") == ("Debian10 gets no security updates since 2024-06-30",)
    assert doubts(FRESH, product="Ubuntu20.04") == ("Ubuntu20.04 gets no security updates since 2025-05-29",)
    assert doubts(FRESH, replace(FRESH, index=ESM), product="Ubuntu20.04") == ()
    assert doubts(FRESH, competitor="unattended-upgrades") == (
        "unattended-upgrades installs updates on its own: no cool-down can be kept",
    )
