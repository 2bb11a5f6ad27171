"""Worked examples from files: a node in a few words of YAML -> the records that the rules take."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.ids import NodeId, PatchId
from reconciler.model.baseline import PatchBaseline
from reconciler.model.patch import Family, Index, Installed, InstallState, Notice, Patch
from reconciler.patching.approval import Grounds
from reconciler.patching.ledger import Ledger, LedgerEntry, key_of
from reconciler.patching.node_patches import Gone, InstallRun, NodePatches
from tests.model.reading import reads
from tests.patching.rows import BASEOS, MAIN, SECURITY, at
from tests.support.cases import read_cases

CASES = Path(__file__).parent / "cases"
ARCH = {Family.APT: "amd64", Family.RPM: "x86_64", Family.SUSE: "x86_64"}
INDEXES = {"security": SECURITY, "main": MAIN, "baseos": BASEOS}


def cases() -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """Give (section, name, case) of every file."""
    for path in sorted(CASES.glob("[0-9]*.yaml")):
        section = path.name.partition("-")[0]
        for case in read_cases(path):
            yield section, case["name"], case


def baseline_of(given: Mapping[str, Any]) -> PatchBaseline:
    said = {"Name": "worked", **given}
    bundled = said.pop("bundled", False)
    (found,) = reads({"baselines/b.yaml": json.dumps(said, default=str)}).baselines.values()
    return replace(found, bundled=bundled)


class Worked:
    """One case as records."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.family = Family(case.get("family", "debian"))
        entries: dict[str, dict[Any, LedgerEntry]] = {}
        self.available = tuple(self._patch(one, entries) for one in case.get("offers", ()))
        gone = tuple(
            Gone(patch=self._patch(one, entries), since=at(str(one["gone"])), kept=one.get("kept", False))
            for one in case.get("gone", ())
        )
        for archive, titles in case.get("seen_in", {}).items():
            for patch in self.available:
                if patch.title in titles:
                    entry = LedgerEntry(first_seen=at(str(titles[patch.title])), node=NodeId("web-01"))
                    entries.setdefault(archive, {})[key_of(patch)] = entry
        self.grounds = Grounds(
            baseline=baseline_of(case["baseline"]),
            ledger=Ledger(archives=entries),
            product=case.get("product", ""),
            now=at(str(case.get("now", "2025-06-01"))),
        )
        self.node = NodePatches(
            family=self.family,
            installed=tuple(self._installed(one) for one in case.get("installed", ())),
            available=self.available,
            native=ARCH[self.family],
            gone=gone,
            deferred=frozenset(case.get("deferred", ())),
            installed_without_reboot={title: at(str(when)) for title, when in case.get("no_reboot", {}).items()},
            booted_at=at(str(case["booted"])) if "booted" in case else None,
        )
        run = case.get("run")
        self.run = None
        if run is not None:
            self.run = InstallRun(
                attempted={PatchId(row): str(version) for row, version in run.get("attempted", {}).items()},
                override=run.get("override", False),
                problems={PatchId(row): why for row, why in run.get("problems", {}).items()},
            )

    def _patch(self, given: Mapping[str, Any], entries: dict[str, dict[Any, LedgerEntry]]) -> Patch:
        version = str(given["version"])
        given_indexes = given.get("in", "security" if self.family is Family.APT else "baseos")
        names = [given_indexes] if isinstance(given_indexes, str) else given_indexes
        patch = Patch(
            family=self.family,
            name=given["package"],
            arch=given.get("arch", ARCH[self.family]),
            version=version,
            section=given.get("section", ""),
            priority=given.get("priority", "optional" if self.family is Family.APT else ""),
            checksum=given.get("checksum", f"sha256:{given['package']}-{version}"),
            phased=given.get("phased"),
            built=at(str(given["built"])) if "built" in given else None,
            indexes=tuple(INDEXES.get(name, Index(repository=name)) for name in names),
            notices=tuple(map(_notice, given.get("notices", ()))),
        )
        if "seen" in given:
            for index in patch.indexes:
                entry = LedgerEntry(first_seen=at(str(given["seen"])), node=NodeId("web-01"))
                entries.setdefault(index.ledger_name, {})[key_of(patch)] = entry
        return patch

    def _installed(self, given: str | Mapping[str, Any]) -> Installed:
        if isinstance(given, str):
            name, _, version = given.partition(" ")
            given = {"package": name, "version": version}
        return Installed(
            name=given["package"],
            arch=given.get("arch", ARCH[self.family]),
            version=str(given["version"]),
            hold=given.get("hold", False),
            state=InstallState(given.get("state", "installed")),
        )


def _notice(given: Mapping[str, Any]) -> Notice:
    def instant(key: str) -> datetime | None:
        return at(str(given[key])).astimezone(UTC) if key in given else None

    return Notice(
        id=given["id"],
        classification=given.get("type", ""),
        severity=given.get("severity", ""),
        issued=instant("issued"),
        updated=instant("updated"),
        cves=tuple(given.get("cves", ())),
        bugzillas=tuple(map(str, given.get("bugzillas", ()))),
    )
