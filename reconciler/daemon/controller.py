"""Everything one management host needs for passes over one state repository: what git tells, and nodes to ask and to change."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from time import CLOCK_BOOTTIME, clock_gettime, monotonic

from reconciler.commit.lease import Held, HeldBy, LeaseKeeper
from reconciler.commit.state_folder import writing_from
from reconciler.compliance.report import ReportedFacts, Status, item_status
from reconciler.content.fetches import PATIENCE
from reconciler.daemon.accepting import Accepted
from reconciler.daemon.cancelling import is_being_sent
from reconciler.daemon.connections import Connections
from reconciler.daemon.examination import Examination
from reconciler.daemon.going import GoingRuns
from reconciler.daemon.host_errors import host_errors
from reconciler.daemon.leadership import Leadership, PassLead
from reconciler.daemon.offline import Planned
from reconciler.daemon.passing import PassResult, Request, asked_nodes, limited
from reconciler.daemon.recording import OpenCommands
from reconciler.daemon.reporting import Reporter, Told, judged, ledger_words
from reconciler.daemon.reports import Reports
from reconciler.daemon.repository_view import RepositoryView
from reconciler.daemon.starting import scanned
from reconciler.daemon.telling import unkept_words
from reconciler.daemon.tidying import Tidying
from reconciler.doctor.check import Check
from reconciler.drift.epochs import Heard
from reconciler.drift.patched import PatchBooks
from reconciler.drift.patches import PatchSurveyor
from reconciler.errors import UsageError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.inventory.cache import Cache
from reconciler.inventory.collect import Collected, collect
from reconciler.inventory.latecomers import Latecomers
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.known import JsonValue, Observed
from reconciler.model.node import Transport
from reconciler.patching.needed_files import files_to_keep
from reconciler.plan.digest import FactsDigest
from reconciler.plan.ground import Ground
from reconciler.plan.run_id import command_of
from reconciler.reconcile import Asked, Leading, Pass, World, reconcile
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper, forget_before
from reconciler.rollout.settle import Unsettled
from reconciler.rollout.stragglers import Stragglers
from reconciler.settings import HostSettings
from reconciler.source.local import git_folder
from reconciler.source.repository import Repository
from reconciler.transport.known_hosts import parse as parse_known_hosts

LEDGER_BEGINS = (
    "package versions were seen for the first time: their waits begin now, however old they are; "
    "`reconciler ledger seed` writes older dates into a file for review"
)
NOT_BEGUN_ANEW = (
    "--new-history was not followed: only the host that leads begins a new history; ask for it there, or here with "
    "--take-over once that host is gone"
)
OUTPUTS_KEPT = timedelta(days=14)
"""SSM keeps the output of commands on a node for 336 hours."""


def since_boot() -> float:
    """Give the seconds since this machine was started, those asleep included: nobody sets this clock."""
    return clock_gettime(CLOCK_BOOTTIME)


class Controller(RepositoryView):
    """One host, one repository, one state folder. Not for several threads at once; its passes use threads of their own."""

    def __init__(
        self,
        repo: str | Repository,
        *,
        settings: HostSettings,
        state_dir: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = since_boot,
    ) -> None:
        super().__init__(repo, settings=settings, state_dir=state_dir, clock=clock)
        self.command_rules = settings.send_command
        self._ticks = ticks
        self._clock_before: tuple[datetime, float] | None = None
        self._clock_now: tuple[datetime, float] | None = None
        self._patches = PatchSurveyor()
        self.key_directory = settings.key_directory.expanduser()
        self.connections = Connections(self.key_directory, settings.ssh_config_file())
        self._leadership = Leadership(self.repository, holder=self.holder, state_dir=state_dir, clock=clock)
        self._held: Mapping[NodeId, Collected] | None = None
        self._going: GoingRuns | None = None
        self._latecomers: Latecomers[Collected] = Latecomers()
        self._stragglers = Stragglers()
        self._facts_digest = FactsDigest()
        self._cache = Cache(state_dir / "facts" / self.repository.folder.stem)
        self._reporter = Reporter(self.repository, clock, on_lost=self._leadership.drop, stragglers=self._stragglers)
        self._commands = OpenCommands(self.repository, state_dir)
        self.tidying = Tidying()

    # What the daemon's loop asks

    @property
    def local_git_directory(self) -> Path | None:
        """The folder to watch for new commits; None for a URL, which is polled."""
        path = self.repository.address.path
        return None if path is None else git_folder(path)

    @property
    def interval(self) -> timedelta:
        """From one pass to the next."""
        known = self.branches.known_ground
        return known.desired.fleet.interval if known else timedelta(minutes=1)

    @property
    def going(self) -> GoingRuns | None:
        """What the last pass left running on nodes; None where nothing is."""
        return self._going or None

    @property
    def reports_branch(self) -> str:
        """The branch that is ours, whose changes wake nobody."""
        known = self.branches.known_ground
        return known.desired.fleet.reports_branch if known else "compliance"

    def lease_keeper(self) -> LeaseKeeper:
        """Give who looks at, takes and releases the lease."""
        base, _ = self.branches.in_force()
        return self._leadership.keeper(self.branches.look(base.desired).branch.places)

    def lead(self, desired: DesiredState, duration: timedelta) -> Held | HeldBy:
        """Take the lease for something that is no pass, and may take so long; or say who has it."""
        places = self.branches.look(desired).branch.places
        return self._leadership.lead(places, replace(desired.fleet, pass_wait=duration))

    def lead_above(self, heard: Heard) -> Held | HeldBy | None:
        """Lead with an epoch that nodes do not refuse, as far as they can be believed."""
        return self._leadership.above(heard)

    @property
    def leads(self) -> Held | HeldBy | None:
        """Who leads, as of the last pass; None: none has asked yet. From any thread."""
        return self._leadership.standing

    def close(self) -> None:
        """Let go of lease, connections and the clone."""
        self._latecomers.stop()
        self._stragglers.stop()
        try:
            with ThreadPoolExecutor(1) as beside:  # a hundred connections end while the lease is pushed
                closed = beside.submit(self.connections.close)
                self._leadership.let_go()
            closed.result()
        finally:
            self._latecomers.close()
            self._stragglers.close()
            super().close()

    # Nodes

    def collect(self, limit: tuple[str, ...]) -> Mapping[NodeId, Collected]:
        """Ask nodes now; nothing is kept."""
        base, _ = self.branches.in_force()
        nodes = [base.desired.nodes[name] for name in limited(base, limit)]
        connect = self.connections.pool(base.desired).connect
        return collect(nodes, base.questions, connect, before={}, clock=self.clock)

    def scan_keys(self, limit: tuple[str, ...], *, only_unpinned: bool = False) -> Iterator[tuple[str, str]]:
        """Ask nodes' servers for their host keys: (line, '') for each key, ('', trouble) where one did not answer."""
        base, _ = self.branches.in_force()
        desired = base.desired
        named = [desired.nodes[name] for name in limited(base, limit)]
        nodes = [node for node in named if node.transport is Transport.SSH]
        if only_unpinned:
            known = parse_known_hosts(desired.known_hosts)
            nodes = [node for node in nodes if not known.pins(node.id, node.address, node.port).keys]
        return scanned(nodes, self.connections.pool(desired))

    def examine(self, name: str) -> tuple[Check, ...]:
        """Look at everything between this host and one node. Raises UsageError where there is no such node."""
        base, _ = self.branches.in_force()
        desired = base.desired
        node = desired.nodes.get(NodeId(name))
        if node is None:
            raise UsageError(f"there is no node {name!r} in this fleet; `reconciler nodes` lists them")
        return Examination(
            node,
            pool=self.connections.pool(desired),
            known_hosts=parse_known_hosts(desired.known_hosts),
            key_directory=self.key_directory,
            clock=self.clock,
        ).checks()

    def last_facts(self) -> Mapping[NodeId, Facts]:
        """Give what nodes last said to this process, or to the one before it; from any thread."""
        return {node: found.facts for node, found in self._collected().items() if found.facts.unreachable is None}

    def _collected(self) -> Mapping[NodeId, Collected]:
        """Give what nodes last said to this process, or to the one before it."""
        if self._held is None:
            self._held = self._cache.load()
        return self._held

    # Plans

    def plan(self, *, limit: tuple[str, ...]) -> Planned:
        """Plan from live facts, without writing anything."""
        self.branches.read_ahead()
        base, accepted = self.branches.in_force()
        nodes = limited(base, limit)
        reports = self.branches.look(base.desired)
        asked = Asked(
            nodes=self.connections.warm_first(base.desired, nodes), dry_run=True, allow_shrink=accepted.allow_shrink
        )
        base, _ = self.contents.settled(self.patch_files.asking(base), self.clock())
        books = self._books(reports)
        done = reconcile(base, reports.read.history, self._collected(), self._world(base), asked, books)
        return Planned(plan=done.plan, nothing_left=_nothing_left(done))

    # Passes

    def one_pass(self, request: Request, stop: Event | None = None) -> PassResult:
        """Run one pass to its end: look, act, look again, report. Raises our errors where git gives no answer."""
        with host_errors():
            if request.dry_run:
                return self._one_pass(request, stop)
            with writing_from(self.state_dir, "a pass"):
                return self._one_pass(request, stop)

    def _one_pass(self, request: Request, stop: Event | None) -> PassResult:
        began = monotonic()
        reports, accepted, base, unfetched = self._begun(request)
        leading = PassLead()
        if not request.dry_run:
            places, fleet = reports.branch.places, base.desired.fleet
            leading.take(
                self.clone.kept_sound(lambda: self._leadership.lead(places, fleet, take_over=request.take_over))
            )
            if leading.lease is not None and reports.branch.has_news:
                reports, accepted, base, unfetched = self._begun(request)
        repaired = self.clone.told()
        problems = [*repaired, *accepted.problems, *reports.standing.unreachable, *unfetched]

        def lead(heard: Heard) -> Leading | None:
            leading.take(self._leadership.above(heard))
            return leading.terms

        if request.new_history and leading.lease is None and not request.dry_run:
            return self._not_begun_anew(request, stop)
        orphans = () if leading.lease is None else self._commands.orphans(reports.branch, self.clock())
        books = self._books(reports)
        done = reconcile(
            base,
            reports.read.history,
            self._collected(),
            self._world(
                base,
                lead=lead,
                stop=stop,
                on_unsettled=lambda met: problems.append(f"{met.node}: a run is not settled: {met.reason}"),
                latecomers=self._latecomers,
                stragglers=self._stragglers,
            ),
            Asked(
                nodes=self.connections.warm_first(base.desired, asked_nodes(request, base)),
                dry_run=leading.lease is None,
                apply=None if request.apply is None else AssociationName(request.apply),
                allow_shrink=accepted.allow_shrink,
                new_history=request.new_history,
            ),
            books,
        )
        if request.new_history and leading.lease is None and not request.dry_run:  # the nodes knew better
            return self._not_begun_anew(request, stop)
        if not done.patches.clock:  # a clock that jumped is doubted until it is back, or somebody starts us anew
            self._clock_before = self._clock_now
        problems[:0] = leading.words
        problems += unkept_words((*done.settled, *filter(None, (outcome.record for outcome in done.outcomes))))
        problems += [*ledger_words(reports.read, done.patches), *filter(None, (done.patches.clock,))]
        begins = not reports.read.ledger.archives and bool(done.patches.ledger.archives)
        lease = leading.lease
        self._going = self._left_going(base, done)
        everyone, summary = judged(base, reports, accepted.problems, done, self.clock())
        unkept: tuple[str, ...] = ()
        made, words = (None, "nothing was committed")
        if lease is not None:
            unkept = self._keep(base, done, books)
            told = Told(base=base, done=done, everyone=everyone, summary=summary, lease=lease.lease, orphans=orphans)
            connect = self.connections.pool(base.desired).connect
            met: list[str] = []
            rests_on = reports.read, reports.forgotten

            def report() -> tuple[CommitId | None, str]:
                met.clear()
                reports.read, reports.forgotten = rests_on  # the first one may be lost with our clone
                again, said = self._reporter.report(reports, told, connect, met)
                return again or made, said

            made, words = self.clone.kept_sound(report, lambda _: self._reporter.unpublished)
            problems += [*(each for each in self.clone.told() if each not in repaired), *met]
            self.clone.forget()
            self._accept(base, done)
            self._ask_rights(base, reports)
            unkept += self._keep_files(done)
        return PassResult(
            plan=done.plan,
            outcomes=done.outcomes,
            reports=everyone,
            summary=summary,
            problems=tuple(problems),
            warnings=(*self.warnings(base, reports.branch.places), *((LEDGER_BEGINS,) if begins else ()), *unkept),
            dry_run=request.dry_run,
            lost=done.history.lost,
            report_commit=made,
            commit_words=words,
            seconds=monotonic() - began,
        )

    def _not_begun_anew(self, request: Request, stop: Event | None) -> PassResult:
        """Only look, by the history there is: who does not lead writes none."""
        looked = self._one_pass(replace(request, new_history=False), stop)
        return replace(looked, problems=(NOT_BEGUN_ANEW, *looked.problems))

    def _books(self, reports: Reports) -> PatchBooks:
        """Give what patches are judged by, and what the clocks said when that was last asked."""
        before, now = self._clock_before, (self.clock(), self._ticks())
        self._clock_now = now
        read = reports.read
        return PatchBooks(
            ledger=read.ledger,
            committed_at=read.committed_at,
            reported=ReportedFacts(read.reports),
            keeps_files=self.patch_files.keeps,
            kept=self.patch_files.kept(),
            clock_before=None if before is None else before[0],
            elapsed=None if before is None else timedelta(seconds=now[1] - before[1]),
        )

    def _left_going(self, base: Ground, done: Pass) -> GoingRuns:
        seen = (*done.settled, *(outcome.record for outcome in done.outcomes if outcome.record is not None))
        left = tuple(record for record in seen if not self._is_followed(record.association))
        connect = self.connections.pool(base.desired).connect
        return GoingRuns(left, base.desired, connect, NodeRuns(OutputKeeper(self.outputs)))

    def _ask_rights(self, base: Ground, reports: Reports) -> None:
        places = reports.branch.places
        if self._reporter.unpublished or not self.rights.concern(places):
            return
        branch = self.branches.state_branch(base)
        if branch is not None:
            self.rights.ask(places, branch, reports.branch.person, self.clock())

    def _begun(self, request: Request) -> tuple[Reports, Accepted, Ground, tuple[str, ...]]:
        """Look at both branches, and fetch what documents download; gives what could not be fetched, too."""
        reports, accepted, base = self.clone.kept_sound(lambda: self._synced(request), _trouble)
        base, unfetched = self.contents.settled(self.patch_files.asking(base), self.clock(), patience=PATIENCE)
        return reports, accepted, base, tuple(unfetched)

    def _synced(self, request: Request) -> tuple[Reports, Accepted, Ground]:
        """Fetch both branches, and decide what is in force and what was reported; no node is asked yet."""
        self.branches.read_ahead()
        self.branches.give_up_beginning_anew()
        base, accepted = self.branches.in_force(request.accept_rewind)
        asked_nodes(request, base)  # a request that means nothing is refused before anything is touched
        if request.new_history:
            accepted, base = self.branches.begin_history_anew(accepted, base)
        reports = self.branches.look(base.desired)
        return self.branches.agree(reports, accepted, base)

    def _world(
        self,
        base: Ground,
        *,
        lead: Callable[[Heard], Leading | None] = lambda _: None,
        stop: Event | None = None,
        on_unsettled: Callable[[Unsettled], None] = lambda _: None,
        latecomers: Latecomers[Collected] | None = None,
        stragglers: Stragglers | None = None,
    ) -> World:
        fleet = base.desired.fleet
        patience = fleet.pass_wait or fleet.interval
        return World(
            connect=self.connections.pool(base.desired).connect,
            clock=self.clock,
            patience=patience,
            lead=lead,
            outputs=self.outputs,
            stop=stop or Event(),
            pauses=self.pauses.read,
            on_unsettled=on_unsettled,
            followed=self._is_followed,
            facts_digest=self._facts_digest,
            latecomers=latecomers,
            stragglers=stragglers,
            read_content=partial(self.patch_files.read_or, self.contents.read),
            patches=self._patches,
        )

    def _keep_files(self, done: Pass) -> tuple[str, ...]:
        """Begin to fetch the files that nodes may need; gives what people should hear of it."""

        def told(node: NodeId, section: str) -> Observed[Mapping[str, JsonValue]]:
            return done.collected[node].facts.section(section)

        return self.patch_files.keep(files_to_keep(done.patches.needed, told), self.clock())

    def _is_followed(self, association: AssociationName) -> bool:
        """Whether a command of that name has its sender on this host: a daemon's client, or another process."""
        command = command_of(association)
        return command is not None and is_being_sent(self.state_dir, command)

    def _keep(self, base: Ground, done: Pass, books: PatchBooks) -> tuple[str, ...]:
        """Keep what spares the next pass work, and what this one was made from; let go of what is old. Gives what was not."""
        fleet = base.desired.nodes
        self._held = {n: c for n, c in {**self._collected(), **done.collected}.items() if n in fleet}
        self._cache.save(self._held)
        forget_before(self.outputs, self.clock() - OUTPUTS_KEPT)
        before = {name: found.facts for name, found in done.before.items()}
        return self.replays.keep(done.plan, before, done.basis, books, base.downloads)

    def _accept(self, base: Ground, done: Pass) -> None:
        """Remember the commit as accepted: only once it is reported, or an `Allow-Shrink` it carries is lost with us."""
        if base.desired.commit is not None and done.history.lost is None:
            self.branches.accept(CommitId(base.desired.commit))


def _trouble(synced: tuple[Reports, Accepted, Ground]) -> tuple[str, ...]:
    """Give what both branches are in trouble with: it may be our clone that is."""
    reports, accepted, _ = synced
    lost = reports.standing.lost
    return (*accepted.problems, *reports.standing.unreachable, *(() if lost is None else (lost,)))


def _nothing_left(done: Pass) -> bool:
    reachable = all(found.facts.unreachable is None for found in done.collected.values())
    return reachable and all(item_status(finding) is Status.COMPLIANT for finding in done.findings)
