"""The table of facts: a new one is a file in this folder, a line here, and a folder of cases."""

from collections.abc import Mapping

from reconciler.inventory.fact import Fact
from reconciler.inventory.facts import (
    available,
    checks,
    clock,
    custom,
    dpkg,
    epochs,
    files,
    groups,
    holds,
    identity,
    installed,
    interfaces,
    kernel,
    locks,
    markers,
    metadata,
    mounts,
    notices,
    os_release,
    packages,
    ports,
    reboot,
    refresh,
    repositories,
    restarts,
    rpm,
    runs,
    services,
    sysctls,
    users,
)

FACTS: Mapping[str, Fact] = {
    fact.section: fact
    for fact in (
        os_release.FACT,
        kernel.FACT,
        identity.FACT,
        clock.FACT,
        packages.FACT,
        services.FACT,
        interfaces.FACT,
        ports.FACT,
        users.FACT,
        groups.FACT,
        mounts.FACT,
        sysctls.FACT,
        custom.FACT,
        holds.FACT,
        runs.FACT,
        markers.FACT,
        epochs.FACT,
        refresh.FACT,
        locks.FACT,
        repositories.FACT,
        metadata.FACT,
        installed.FACT,
        available.FACT,
        notices.FACT,
        reboot.FACT,
        restarts.FACT,
        dpkg.FACT,
        rpm.FACT,
        files.FACT,
        checks.FACT,
    )
}
"""In the order the node answers: checks, which may take long, come last."""
