"""The ledger of first sights: ledger seed. Reads the compliance branch; asks no node, and changes nothing but the file it writes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import RepoOption, SettingsFile, StateDir
from reconciler.cli.output import say, shown
from reconciler.errors import UsageError
from reconciler.model.ledger_seed import SeedSource

if TYPE_CHECKING:  # what these commands load lazily, so that --help stays quick
    from collections.abc import Iterator, Mapping

    from reconciler.ids import NodeId
    from reconciler.inventory.observed import Facts
    from reconciler.model.ledger_seed import LedgerSeed
    from reconciler.model.patch import Patch

ledger = typer.Typer(help="When package versions were first seen.", no_args_is_help=True, rich_markup_mode=None)
_MOST = 64 * 1024 * 1024
"""Bytes of one changelog: the kernel's has 2 MB."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(ledger, name="ledger")


@ledger.callback()
def group() -> None:
    """Keep it a group: a group of one command would be that command."""


@ledger.command("seed")
def seed(
    source: Annotated[SeedSource, typer.Argument(help="Where the older dates are taken from.")],
    output: Annotated[
        Path, typer.Option("--output", help="The file to write, for review; it must not be there yet.")
    ] = Path("state/ledger-seeds/seed.yaml"),
    date: Annotated[
        Optional[str],
        typer.Option(
            help="snapshot: the instant (UTC) of the archive's state that the nodes were shown first.",
            show_default=False,
        ),
    ] = None,
    changelogs: Annotated[
        Optional[list[Path]],
        typer.Option(
            "--changelogs",
            help="changelog: Debian changelogs, as `apt-get changelog` prints them: files, or folders of them. May be repeated.",
            show_default=False,
        ),
    ] = None,
    archive: Annotated[
        Optional[list[str]],
        typer.Option("--archive", help="Only this ledger (LABEL-CODENAME). May be repeated.", show_default=False),
    ] = None,
    repo: RepoOption = ".",
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Write a seed: how old the versions really are that the ledger saw for the first time when it began.

    The file counts once it was reviewed and committed; nothing else makes a wait shorter.

    Examples:
      reconciler ledger seed snapshot --date 2025-03-01
      reconciler ledger seed changelog --changelogs ./changelogs
      reconciler ledger seed publisher --archive baseos
    """
    from reconciler.cli.opening import open_view
    from reconciler.model.release_date import read_release_date
    from reconciler.patching.seeding import from_changelogs, from_publisher, from_snapshot, seed_file

    if (source is SeedSource.SNAPSHOT) != (date is not None):
        raise UsageError("--date goes with snapshot, and snapshot needs it")
    if (source is SeedSource.CHANGELOG) != bool(changelogs):
        raise UsageError("--changelogs goes with changelog, and changelog needs it")
    if output.exists():
        raise UsageError(f"{output} is there already: name another file with --output")
    with open_view(repo, state_dir, host_settings) as view:
        base, _ = view.branches.in_force()
        committed = view.branches.committed()
    known = committed.ledger.with_seeds(base.desired.ledger_seeds)
    archives = tuple(archive or ())
    missing = sorted(set(archives) - known.archives.keys())
    if missing:
        raise UsageError(f"there is no ledger {missing[0]!r}; there are: {', '.join(sorted(known.archives)) or 'none'}")
    if date is not None:
        try:
            instant = read_release_date(date)
        except ValueError as exc:
            raise UsageError(f"--date: {exc}; write 2025-03-01 or 2025-03-01T10:00:00Z") from exc
        if instant > datetime.now(UTC):
            raise UsageError("--date is yet to come")
        seeds = from_snapshot(known, instant, archives)
    elif source is SeedSource.PUBLISHER:
        seeds = from_publisher(known, _shown(committed.facts), archives)
    else:
        seeds = from_changelogs(known, _shown(committed.facts), _read(changelogs or []), archives)
    return _write(output, seeds, seed_file(seeds))


def _write(output: Path, seeds: "tuple[LedgerSeed, ...]", text: str) -> int:
    if not seeds:
        say("nothing to seed: no version of the ledger has an older date there")
        return Exit.NOT_IN_SYNC
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise UsageError(f"{output}: {exc.strerror}") from exc
    for one in seeds:
        say(shown(f"{one.archive}: {len(one.dates)} versions"))
    say(f"written to {output}: review it, and commit it below state/ledger-seeds")
    return Exit.DONE


def _shown(facts: "Mapping[NodeId, Facts]") -> "Iterator[Patch]":
    """Give every version that a node's committed facts show; a node whose facts do not read shows none."""
    from reconciler.model.known import Known
    from reconciler.model.patch_lines import PatchTable
    from reconciler.patching.from_facts import READ, SOURCED, NodeMemory, node_patches

    table = PatchTable()
    for found in facts.values():
        told = {name: found.sections[name] for name in (*READ, *SOURCED) if name in found.sections}
        patches = node_patches(told, table, NodeMemory())
        if isinstance(patches, Known):
            yield from (*patches.value.available, *patches.value.sourced)


def _read(paths: list[Path]) -> "Mapping[tuple[str, str], datetime]":
    from reconciler.patching.seeding import read_changelog

    found: dict[tuple[str, str], datetime] = {}
    for path in paths:
        for file in sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]:
            try:
                with file.open("rb") as opened:
                    text = opened.read(_MOST).decode("utf-8", "replace")
            except OSError as exc:
                raise UsageError(f"{file}: {exc.strerror}") from exc
            for upload, date in read_changelog(text).items():
                found.setdefault(upload, date)
    return found
