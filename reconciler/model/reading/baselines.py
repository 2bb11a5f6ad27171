"""Patch baselines: YAML value -> record, with every mistake at its place. What two baselines say together is in cross_checks."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from reconciler.ids import BaselineName
from reconciler.model.baseline import (
    APT_SYSTEMS,
    NOT_LINUX,
    ComplianceLevel,
    FilterKey,
    OperatingSystem,
    PatchBaseline,
    PatchFilter,
    PatchRule,
    PatchSource,
    PhasedUpdates,
    Refresh,
    RejectedPatchesAction,
    ReleaseDates,
    SecurityIndex,
    SecurityUpdatesStatus,
    Supersede,
    UnapprovedDependencies,
)
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.patch_entries import read_entries
from reconciler.model.reading.patch_sources import check_source, why_refused
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Items, Scalar, Table, Value

_RULES_ON_AWS: Final = 10
_FILTERS_ON_AWS: Final = 4
_GROUPS_ON_AWS: Final = 25

_RPM_KEYS: Final = (FilterKey.PRODUCT, FilterKey.CLASSIFICATION, FilterKey.SEVERITY)
_APT_KEYS: Final = (FilterKey.PRODUCT, FilterKey.PRIORITY, FilterKey.SECTION)
_WINDOWS_KEYS: Final = (
    FilterKey.PATCH_SET,
    FilterKey.PRODUCT,
    FilterKey.PRODUCT_FAMILY,
    FilterKey.CLASSIFICATION,
    FilterKey.MSRC_SEVERITY,
)
FILTER_KEYS: Final[Mapping[OperatingSystem, tuple[FilterKey, ...]]] = {
    **dict.fromkeys(OperatingSystem, _RPM_KEYS),
    **dict.fromkeys(APT_SYSTEMS, _APT_KEYS),
    OperatingSystem.MACOS: (FilterKey.PRODUCT, FilterKey.CLASSIFICATION),
    OperatingSystem.WINDOWS: _WINDOWS_KEYS,
}
"""SSM: which keys mean something on which operating system; another one is an error."""

_SEVERITIES: Final = ("Critical", "Important", "Moderate", "Medium", "Low", "None", "Unspecified")
_VALUES: Final[Mapping[FilterKey, tuple[str, ...]]] = {
    FilterKey.PRIORITY: ("Required", "Important", "Standard", "Optional", "Extra"),
    FilterKey.SEVERITY: _SEVERITIES,
    FilterKey.MSRC_SEVERITY: _SEVERITIES,
    FilterKey.PATCH_SET: ("OS", "APPLICATION"),
}
_CLASSIFICATIONS: Final[Mapping[OperatingSystem, tuple[str, ...]]] = {
    **dict.fromkeys(OperatingSystem, ("Security", "Bugfix", "Enhancement", "Recommended", "Newpackage")),
    OperatingSystem.SUSE: ("Security", "Recommended", "Optional", "Feature", "Document", "Yast"),
    OperatingSystem.MACOS: ("softwareupdate", "installer", "brew", "brew_cask"),
    OperatingSystem.WINDOWS: (
        "CriticalUpdates",
        "DefinitionUpdates",
        "Drivers",
        "FeaturePacks",
        "SecurityUpdates",
        "ServicePacks",
        "Tools",
        "UpdateRollups",
        "Updates",
        "Upgrades",
    ),
}


def read_baseline(value: Value, mistakes: Mistakes, *, require_reasons: bool) -> PatchBaseline | None:
    """Read one patch baseline; exceptions without owner, reason and end are a lint, or an error where the fleet asks."""
    if not check("baseline", value, mistakes) or not isinstance(value, Table):
        return None
    name = _name(value, mistakes)
    system = OperatingSystem(value.scalar("OperatingSystem") or OperatingSystem.WINDOWS.value)
    _check_system(value, system, mistakes)
    entries = read_entries(value, system, mistakes, require_reasons=require_reasons)
    sources = tuple(_source(one, system, mistakes) for one in value.tables("Sources"))
    status = value.scalar("AvailableSecurityUpdatesComplianceStatus")
    return PatchBaseline(
        name=name,
        operating_system=system,
        description=value.scalar("Description") or "",
        global_filters=_filters(value.table("GlobalFilters"), system, mistakes),
        rules=_rules(value, system, mistakes),
        approved=entries["ApprovedPatches"],
        approved_level=ComplianceLevel(value.scalar("ApprovedPatchesComplianceLevel") or "UNSPECIFIED"),
        approved_non_security=value.flag("ApprovedPatchesEnableNonSecurity"),
        rejected=entries["RejectedPatches"],
        rejected_action=RejectedPatchesAction(value.scalar("RejectedPatchesAction") or "ALLOW_AS_DEPENDENCY"),
        sources=sources,
        security_updates_status=None if status is None else SecurityUpdatesStatus(status),
        patch_groups=_groups(value, mistakes),
        tags=_tags(value, mistakes),
        default=value.flag("Default"),
        release_dates=ReleaseDates(value.scalar("ReleaseDates") or "first-seen"),
        supersede=Supersede(value.scalar("Supersede") or "exact"),
        unapproved_dependencies=UnapprovedDependencies(value.scalar("UnapprovedDependencies") or "deny"),
        refresh=Refresh(value.scalar("Refresh") or "before-scan"),
        metadata_max_age_hours=value.integer("MetadataMaxAgeHours") or 24,
        phased_updates=PhasedUpdates(value.scalar("PhasedUpdates") or "follow"),
        security_indexes=tuple(_security_index(one) for one in value.tables("SecurityIndexes")),
        holds=entries["Holds"],
        ignores=entries["Ignores"],
        file=f"{mistakes.file}:{value.line}",
    )


def _name(value: Table, mistakes: Mistakes) -> BaselineName:
    """Give its name; an update as the AWS CLI takes it has only the id."""
    name, identity = value.scalar("Name"), value.scalar("BaselineId")
    if name is None and identity is None:
        mistakes.error(value, "Name is missing", value="", remedy="write 3 to 128 letters, digits, dots, - or _")
    elif name is None:
        mistakes.lint(
            value, "Name is missing: it goes by its BaselineId", value=identity, remedy="give it a Name of its own"
        )
    return BaselineName(name or identity or "")


def _check_system(value: Table, system: OperatingSystem, mistakes: Mistakes) -> None:
    place: Value | tuple[int, int] = value.entries.get("OperatingSystem", value)
    if system in NOT_LINUX:
        told = "" if value.scalar("OperatingSystem") else " (the default where no OperatingSystem is written)"
        mistakes.lint(
            place, f"{system.value}{told}: it applies to no node, nodes here run Linux", value=value.scalar("Name")
        )
        for key in ("ApprovedPatchesEnableNonSecurity", "Sources"):
            found = value.entries.get(key)
            if found is not None and (value.flag(key) or (isinstance(found, Items) and found.items)):
                mistakes.error(found, f"{key}: only on Linux", value="", remedy=f"remove it, {system.value} has none")
    elif "AvailableSecurityUpdatesComplianceStatus" in value.entries:
        key = "AvailableSecurityUpdatesComplianceStatus"
        mistakes.lint(value.entries[key], f"{key}: it has no effect on Linux", remedy="remove it")


def _groups(value: Table, mistakes: Mistakes) -> tuple[str, ...]:
    texts = value.texts("PatchGroups")
    if len(texts) > _GROUPS_ON_AWS:
        mistakes.lint(value.entries["PatchGroups"], f"more than {_GROUPS_ON_AWS} patch groups: AWS takes no more")
    return tuple(dict.fromkeys(text.text for text in texts))


def _tags(value: Table, mistakes: Mistakes) -> tuple[tuple[str, str], ...]:
    """Read Tags as AWS writes them, a list of Key and Value, or as a mapping, as nodes have them."""
    named = value.table("Tags")
    if named is not None:
        return tuple(sorted((key, named.scalar(key) or "") for key in named.entries))
    found: dict[str, str] = {}
    for one in value.tables("Tags"):
        key = one.scalar("Key") or ""
        if key in found:
            mistakes.error(one.entries["Key"], "a second tag of this key", remedy="a tag has one value; remove one")
        found[key] = one.scalar("Value") or ""
    return tuple(sorted(found.items()))


# ---------------------------------------------------------------- rules and filters


def _rules(value: Table, system: OperatingSystem, mistakes: Mistakes) -> tuple[PatchRule, ...]:
    table = value.table("ApprovalRules")
    rules = [] if table is None else table.tables("PatchRules")
    if len(rules) > _RULES_ON_AWS:
        mistakes.lint(rules[_RULES_ON_AWS], f"more than {_RULES_ON_AWS} rules: AWS takes no more")
    return tuple(_rule(number, rule, system, mistakes) for number, rule in enumerate(rules, 1))


def _rule(number: int, rule: Table, system: OperatingSystem, mistakes: Mistakes) -> PatchRule:
    delays = rule.entries.keys() & {"ApproveAfterDays", "ApproveUntilDate"}
    if len(delays) > 1 or (not delays and system not in APT_SYSTEMS):
        mistakes.error(
            rule, "a rule has one of ApproveAfterDays and ApproveUntilDate", remedy="write ApproveAfterDays: 7"
        )
    if system in NOT_LINUX and rule.flag("EnableNonSecurity"):
        mistakes.error(rule.entries["EnableNonSecurity"], "EnableNonSecurity: only on Linux", remedy="remove it")
    return PatchRule(
        number=number,
        filters=_filters(rule.table("PatchFilterGroup"), system, mistakes),
        level=ComplianceLevel(rule.scalar("ComplianceLevel") or "UNSPECIFIED"),
        approve_after_days=rule.integer("ApproveAfterDays"),
        approve_until=_day(rule, "ApproveUntilDate", mistakes),
        non_security=rule.flag("EnableNonSecurity"),
    )


def _day(table: Table, key: str, mistakes: Mistakes) -> date | None:
    text = table.scalar(key)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        mistakes.error(table.entries[key], f"{key}: there is no such day", remedy="write YYYY-MM-DD")
        return None


def _filters(group: Table | None, system: OperatingSystem, mistakes: Mistakes) -> tuple[PatchFilter, ...]:
    filters = [] if group is None else group.tables("PatchFilters")
    if len(filters) > _FILTERS_ON_AWS:
        mistakes.lint(filters[_FILTERS_ON_AWS], f"more than {_FILTERS_ON_AWS} filters: AWS takes no more")
    found = tuple(_filter(one, system, mistakes) for one in filters)
    for at, one in enumerate(found):
        if one.key in {other.key for other in found[:at]}:
            mistakes.lint(
                filters[at],
                f"a second filter of {one.key.value}: a patch must match both",
                remedy="put the values into one filter",
            )
    return found


def _filter(one: Table, system: OperatingSystem, mistakes: Mistakes) -> PatchFilter:
    key = FilterKey(one.scalar("Key"))
    allowed = FILTER_KEYS[system]
    if key not in allowed:
        names = ", ".join(known.value for known in allowed)
        mistakes.error(one.entries["Key"], f"{key.value}: no filter of {system.value}", remedy=f"use one of {names}")
    else:
        known = _CLASSIFICATIONS[system] if key is FilterKey.CLASSIFICATION else _VALUES.get(key, ())
        for text in one.texts("Values"):
            _check_value(text, key, known, mistakes)
    return PatchFilter(key=key, values=tuple(text.text for text in one.texts("Values")))


def _check_value(text: Scalar, key: FilterKey, known: tuple[str, ...], mistakes: Mistakes) -> None:
    """Doubt a value that no patch is known to have; no mistake: vendors have words of their own."""
    if known and text.text != "*" and text.text.casefold() not in {word.casefold() for word in known}:
        remedy = mistakes.did_you_mean(text.text, known)
        mistakes.lint(
            text, f"{key.value}: a value that is not known: only patches with this very word match", remedy=remedy
        )
    elif "*" in text.text and text.text != "*":
        mistakes.lint(
            text,
            f"{key.value}: a filter has no globs: only patches with this very word match",
            remedy="write '*' alone",
        )


# ---------------------------------------------------------------- sources and indexes


def _source(one: Table, system: OperatingSystem, mistakes: Mistakes) -> PatchSource:
    check_source(one.entries["Configuration"], apt=system in APT_SYSTEMS, mistakes=mistakes)
    return PatchSource(
        name=one.scalar("Name") or "",
        products=tuple(text.text for text in one.texts("Products")),
        configuration=one.scalar("Configuration") or "",
        refused=why_refused(one.scalar("Configuration") or "", apt=system in APT_SYSTEMS),
    )


def _security_index(one: Table) -> SecurityIndex:
    return SecurityIndex(
        origin=one.scalar("Origin"),
        label=one.scalar("Label"),
        suite=one.scalar("Suite"),
        codename=one.scalar("Codename"),
    )
