"""Which of SSM's operating systems a node is, and its product: takes `id` and `version_id` of os-release. Pure."""

import re
from typing import Final

from reconciler.model.baseline import OperatingSystem

_SYSTEMS: Final = {
    "debian": (OperatingSystem.DEBIAN, "Debian"),
    "ubuntu": (OperatingSystem.UBUNTU, "Ubuntu"),
    "raspbian": (OperatingSystem.RASPBIAN, "Raspbian"),
    "rhel": (OperatingSystem.REDHAT_ENTERPRISE_LINUX, "RedhatEnterpriseLinux"),
    "centos": (OperatingSystem.CENTOS, "CentOS"),
    "ol": (OperatingSystem.ORACLE_LINUX, "OracleLinux"),
    "rocky": (OperatingSystem.ROCKY_LINUX, "RockyLinux"),
    "almalinux": (OperatingSystem.ALMA_LINUX, "AlmaLinux"),
    "sles": (OperatingSystem.SUSE, "Suse"),
    "sles_sap": (OperatingSystem.SUSE, "Suse"),
    "opensuse-leap": (OperatingSystem.SUSE, "Suse"),
}
"""By ID alone: a derivative (ID_LIKE) has releases and security archives of its own."""
_AMAZON: Final = {
    "2": OperatingSystem.AMAZON_LINUX_2,
    "2022": OperatingSystem.AMAZON_LINUX_2022,
    "2023": OperatingSystem.AMAZON_LINUX_2023,
}
_PRODUCT: Final = re.compile(r"([a-z]+)(\d+(?:\.\d+)*)", re.IGNORECASE)


def operating_system(os_id: str, version_id: str) -> OperatingSystem | None:
    """Give SSM's name of a distribution; None where SSM has none."""
    if os_id == "amzn":
        return _AMAZON.get(version_id.partition(".")[0], OperatingSystem.AMAZON_LINUX)
    found = _SYSTEMS.get(os_id)
    return None if found is None else found[0]


def product(os_id: str, version_id: str) -> str:
    """SSM: the node's product, `Debian12`, `RockyLinux9.4`; empty where SSM has no name for it."""
    if os_id == "amzn":
        return f"AmazonLinux{version_id}"
    found = _SYSTEMS.get(os_id)
    return "" if found is None else f"{found[1]}{version_id}"


def product_matches(value: str, node: str) -> bool:
    """Whether a PRODUCT value means the node: the same but for case; `Debian12` means any 12.x, `AmazonLinux2.0` also 2."""
    if value.casefold() == node.casefold():
        return True
    wanted, have = _PRODUCT.fullmatch(value), _PRODUCT.fullmatch(node)
    if wanted is None or have is None or wanted[1].casefold() != have[1].casefold():
        return False
    asked, met = wanted[2].split("."), have[2].split(".")
    if len(asked) <= len(met):
        return met[: len(asked)] == asked
    return asked[: len(met)] == met and not any(int(part) for part in asked[len(met) :])
