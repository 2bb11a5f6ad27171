"""Everything one management host needs for passes over one state repository: opened once, used by commands and the daemon."""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic

from reconciler.commit.branch import ReportsBranch, read_branch
from reconciler.commit.heartbeat import Heartbeat, read_heartbeat
from reconciler.commit.lease import Held, HeldBy, LeaseKeeper, holder_name
from reconciler.commit.places import Places, find_places
from reconciler.commit.state_folder import writing_from
from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.read import Branch, read_branch_files
from reconciler.compliance.report import FleetSummary, NodeReport, Status, item_status
from reconciler.daemon.accepting import Accepted, StateBranch
from reconciler.daemon.offline import OfflinePlans, Planned
from reconciler.daemon.replay import Replays
from reconciler.daemon.reporting import Reporter, Reports, Told
from reconciler.daemon.starting import scanned
from reconciler.errors import DesiredStateError, SourceError, UsageError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.inventory.cache import Cache
from reconciler.inventory.collect import Collected, collect
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.node import Mode, Transport
from reconciler.model.outcome import Outcome
from reconciler.plan.difference import PlanDifference
from reconciler.plan.plan import Plan
from reconciler.reconcile import Asked, Ground, Pass, World, ground, reconcile
from reconciler.rollout.output import forget_before
from reconciler.rollout.settle import Unsettled
from reconciler.settings import HostSettings
from reconciler.source.address import parse_address
from reconciler.source.local import git_folder
from reconciler.source.records import CommitRecord, Person
from reconciler.source.repository import Repository
from reconciler.targets.selector import parse_selectors
from reconciler.transport.known_hosts import parse as parse_known_hosts
from reconciler.transport.pool import ConnectionPool

ACCEPTED_REF = "refs/accepted/state"
"""In our own clone: the last commit this host accepted, for the time the compliance branch cannot be read."""

OUTPUTS_KEPT = timedelta(days=14)
"""SSM keeps the output of commands on a node for 336 hours."""

LEASE_INTERVALS = 3
"""A lease outlives two missed passes: a restart of the daemon must not hand the fleet to another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one pass is asked to do."""

    limit: tuple[str, ...] = ()
    dry_run: bool = False
    apply: str | None = None
    accept_rewind: str | None = None
    """A commit the state branch was rewound to on purpose."""
    new_history: bool = False
    """Begin the history of reports anew, from what the nodes remember."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What came of a pass, for whoever tells it."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    reports: Mapping[NodeId, NodeReport]
    """Of every node; those outside the limit as last reported."""
    summary: FleetSummary
    problems: tuple[str, ...]
    """What needs attention first; foreign text."""
    dry_run: bool
    report_commit: CommitId | None
    """None: nothing changed, or nothing was to be committed."""
    commit_words: str
    seconds: float

    @property
    def all_in_sync(self) -> bool:
        """Nothing pending, waiting, drifted, failed or unknown."""
        return all(report.status is Status.COMPLIANT for report in self.reports.values())


class Controller:
    """One host, one repository, one state folder. Not for several threads at once; its passes use threads of their own."""

    def __init__(
        self,
        repo: str,
        *,
        settings: HostSettings,
        state_dir: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        address = parse_address(repo, cwd=Path.cwd())
        if settings.remote is not None:
            served = parse_address(settings.remote, cwd=Path.cwd())
            if served.text != address.text:
                raise UsageError(f"{address.shown}: this host serves {served.shown} alone (host settings, Remote)")
        self.settings = settings
        self.state_dir = state_dir
        self.clock = clock
        self.repository = Repository.open(address, state_dir=state_dir)
        self._state = StateBranch(self.repository, settings)
        self._pool: ConnectionPool | None = None
        self._pool_of: DesiredState | None = None
        self._ground: Ground | None = None
        self._held: Mapping[NodeId, Collected] | None = None
        self._replays = Replays(state_dir / "plans")
        self._cache = Cache(state_dir / "facts" / self.repository.folder.stem)
        self._reports: Reports | None = None
        self._reporter = Reporter(self.repository, clock)
        self._offline = OfflinePlans(self.repository, self._state.read, self._narrowed)
        self._lease: Held | None = None

    # What the daemon's loop asks

    @property
    def shown_address(self) -> str:
        """The repository, without credentials."""
        return self.repository.address.shown

    @property
    def local_git_directory(self) -> Path | None:
        """The folder to watch for new commits; None for a URL, which is polled."""
        path = self.repository.address.path
        return None if path is None else git_folder(path)

    @property
    def interval(self) -> timedelta:
        """From one pass to the next."""
        return self._ground.desired.fleet.interval if self._ground else timedelta(minutes=1)

    @property
    def reports_branch(self) -> str:
        """The branch that is ours, whose changes wake nobody."""
        return self._ground.desired.fleet.reports_branch if self._ground else "compliance"

    @property
    def outputs(self) -> Path:
        """Where full outputs of runs are kept."""
        return self.state_dir / "runs"

    def close(self) -> None:
        """Let go of lease, connections and the clone; safe to call twice."""
        if self._lease is not None and self._reports is not None:
            self._keeper(self._reports.branch.places).release(self._lease, self.clock())
            self._lease = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self.repository.close()

    # Git: what is in force, and what was reported

    def in_force(self, accept_rewind: str | None = None) -> tuple[Ground, Accepted]:
        """Fetch and decide what is in force. Raises DesiredStateError or SourceError where nothing is."""
        known = self.repository.ref(ACCEPTED_REF)
        accepted = self._state.look(
            None if known is None else CommitId(known),
            accept_rewind=None if accept_rewind is None else CommitId(accept_rewind),
        )
        if accepted.desired is None:
            if accepted.refused:
                raise DesiredStateError(accepted.refused)
            raise SourceError("; ".join(accepted.problems))
        return self._ground_of(accepted.desired), accepted

    def _ground_of(self, desired: DesiredState) -> Ground:
        if self._ground is None or self._ground.desired.commit != desired.commit:
            self._ground = ground(self._narrowed(desired))
        return self._ground

    def _narrowed(self, desired: DesiredState) -> DesiredState:
        """Local nodes only observe, unless the host settings allow more: a pull request cannot change this host."""
        if self.settings.local_changes:
            return desired
        nodes = {
            name: replace(node, mode=Mode.OBSERVE) if node.transport is Transport.LOCAL else node
            for name, node in desired.nodes.items()
        }
        return replace(desired, nodes=nodes)

    def committed(self) -> Branch:
        """Give the compliance branch, read as it is now."""
        base, _ = self.in_force()
        return self._look(base.desired).read

    def committed_facts(self) -> Mapping[NodeId, Facts]:
        """Give every node's facts as committed."""
        return self.committed().facts

    def facts_of(self, node: NodeId) -> Facts:
        """Give one node's committed facts. Raises UsageError for a node nobody reported."""
        facts = self.committed_facts()
        if node not in facts:
            raise UsageError(f"no facts of a node {node!r} are committed; `reconciler nodes` lists the nodes")
        return facts[node]

    def page(self) -> str | None:
        """Give the report's page as committed."""
        base, _ = self.in_force()
        tip = self._look(base.desired).standing.tip
        content = None if tip is None else self.repository.read_file(tip, "README.md")
        return None if content is None else content.decode("utf-8", "replace")

    def heartbeat(self) -> Heartbeat | None:
        """Give the heartbeat as it stands at its home."""
        base, _ = self.in_force()
        return read_heartbeat(self.repository, self._look(base.desired).branch.places.home)

    def _look(self, desired: DesiredState) -> Reports:
        places = find_places(self.repository, desired.fleet.reports_remote)
        known = self._reports
        if known is None or known.branch.branch != desired.fleet.reports_branch or known.branch.places != places:
            branch = self._reports_branch(desired)
            known = None
        else:
            branch = known.branch
        standing = branch.look()
        if known is not None and known.read.history.commit == standing.tip and known.standing.lost == standing.lost:
            read = known.read
        else:
            files = () if standing.tip is None else read_branch(self.repository, standing.tip)
            read = read_branch_files(files, standing.tip)
            if standing.lost is not None:
                read = replace(read, history=replace(read.history, lost=standing.lost))
        self._reports = Reports(branch=branch, standing=standing, read=read)
        return self._reports

    # Nodes

    def limited(self, limit: tuple[str, ...]) -> tuple[NodeId, ...]:
        """Give the nodes that `--limit` means. Raises UsageError where it means none."""
        base, _ = self.in_force()
        return self._limited(base, limit)

    def _limited(self, base: Ground, limit: tuple[str, ...]) -> tuple[NodeId, ...]:
        wanted = parse_selectors(limit, base.desired.groups)
        found = tuple(name for name in sorted(base.desired.nodes) if wanted(base.desired.nodes[name]))
        if limit and not found:
            raise UsageError(f"no node of this fleet is meant by {', '.join(limit)}; `reconciler nodes` lists them")
        return found

    def pool(self, desired: DesiredState) -> ConnectionPool:
        """Give the connections, brought up to what this commit says about nodes and keys."""
        if self._pool is not None and self._pool_of is desired:
            return self._pool
        self._pool_of = desired
        known_hosts = parse_known_hosts(desired.known_hosts)
        if self._pool is None:
            self._pool = ConnectionPool(
                known_hosts=known_hosts,
                nodes=desired.nodes,
                key_directory=self.settings.key_directory.expanduser(),
                max_handshakes=desired.fleet.max_handshakes,
                keep=desired.fleet.keep_connections,
            )
        else:
            self._pool.update(known_hosts=known_hosts, nodes=desired.nodes)
        return self._pool

    def collect(self, limit: tuple[str, ...]) -> Mapping[NodeId, Collected]:
        """Ask nodes now; nothing is kept."""
        base, _ = self.in_force()
        nodes = [base.desired.nodes[name] for name in self._limited(base, limit)]
        return collect(nodes, base.questions, self.pool(base.desired).connect, before={}, clock=self.clock)

    def _warm_first(self, pool: ConnectionPool, nodes: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        return tuple(sorted(nodes, key=lambda node: (not pool.is_warm(node), node)))

    def _collected(self) -> Mapping[NodeId, Collected]:
        """Give what nodes last said to this process, or to the one before it."""
        if self._held is None:
            self._held = self._cache.load()
        return self._held

    # Passes

    def plan(self, *, limit: tuple[str, ...], inventory: str | None = None, at: datetime | None = None) -> Planned:
        """Plan without writing anything: from live facts, or from the facts of a commit of the compliance branch."""
        base, accepted = self.in_force()
        nodes = self._limited(base, limit)
        reports = self._look(base.desired)
        kept = None if inventory is None else self._replays.find(inventory)
        if kept is not None:
            return self._offline.again(kept, at or kept.at)
        if inventory is not None:
            branch = self._branch_at(self.repository_commit(inventory))
            return self._offline.plan(base, branch, nodes, at or self.clock(), accepted.allow_shrink)
        pool = self.pool(base.desired)
        asked = Asked(nodes=self._warm_first(pool, nodes), dry_run=True, allow_shrink=accepted.allow_shrink)
        done = reconcile(base, reports.read.history, self._collected(), self._world(base, pool, epoch=0), asked)
        return Planned(plan=done.plan, nothing_left=_nothing_left(done))

    def _branch_at(self, commit: CommitId) -> Branch:
        """Give the compliance branch at a commit. Raises UsageError where it is no commit of it."""
        known = self._reports
        if known is not None and known.read.history.commit == commit and known.read.history.lost is None:
            return known.read
        return self._offline.branch_at(commit)

    def plan_difference(self, base_rev: str, head_rev: str, *, at: datetime | None) -> PlanDifference:
        """Tell what a change does, from committed facts: plans both revisions and compares. Raises DesiredStateError."""
        base, _ = self.in_force()
        branch = self._look(base.desired).read
        self.repository.fetch_everything()
        return self._offline.difference(base_rev, head_rev, branch, at or self.clock())

    def scan_keys(self, limit: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Ask nodes' servers for their host keys: (line, '') for each key, ('', trouble) where one did not answer."""
        base, _ = self.in_force()
        nodes = [base.desired.nodes[name] for name in self._limited(base, limit)]
        return scanned([node for node in nodes if node.transport is Transport.SSH])

    def reported_commits(self) -> tuple[CommitRecord, ...]:
        """Give the commits of the compliance branch, oldest first."""
        base, _ = self.in_force()
        tip = self._look(base.desired).standing.tip
        return () if tip is None else self.repository.commits_between(None, tip)

    def repository_commit(self, revision: str) -> CommitId:
        """Give the commit a revision means; the reports' branch by its own name."""
        if self._reports is not None and revision == self._reports.branch.branch and self._reports.standing.tip:
            return self._reports.standing.tip
        self.repository.fetch_everything()
        return self.repository.resolve(revision)

    def _world(
        self,
        base: Ground,
        pool: ConnectionPool,
        *,
        epoch: int,
        stop: Event | None = None,
        on_unsettled: Callable[[Unsettled], None] = lambda _: None,
    ) -> World:
        fleet = base.desired.fleet
        patience = fleet.pass_wait or fleet.interval
        return World(
            connect=pool.connect,
            clock=self.clock,
            wait_until=lambda now: now + patience,
            epoch=epoch,
            outputs=self.outputs,
            stop=stop or Event(),
            on_unsettled=on_unsettled,
        )

    def one_pass(self, request: Request, stop: Event | None = None) -> PassResult:
        """Run one pass to its end: look, act, look again, report. Raises our errors where git gives no answer."""
        if request.dry_run:
            return self._one_pass(request, stop)
        with writing_from(self.state_dir, "a pass"):
            return self._one_pass(request, stop)

    def _one_pass(self, request: Request, stop: Event | None) -> PassResult:
        began = monotonic()
        base, accepted = self.in_force(request.accept_rewind)
        nodes = self._limited(base, request.limit)
        if request.apply is not None and AssociationName(request.apply) not in base.desired.associations:
            raise UsageError(f"no association is named {request.apply!r}; state/associations holds them")
        if request.apply is not None and not self._means_any(base, AssociationName(request.apply), nodes):
            raise UsageError(f"association {request.apply!r} means none of these nodes: see its Targets")
        if request.new_history:
            accepted, base = self._begin_history_anew(accepted, base)
        reports = self._look(base.desired)
        reports, accepted, base = self._agree(reports, accepted, base)
        problems = [*accepted.problems, *reports.standing.unreachable]
        lease = None if request.dry_run else self._lead(reports.branch.places, base)
        observing = request.dry_run
        match lease:
            case HeldBy(reason=reason):
                problems.append(f"{reason}: this pass only observes")
                observing = True
            case Held(confirmed=False, reason=reason):
                problems.append(reason)
            case _:
                pass
        pool = self.pool(base.desired)
        epoch = lease.lease.epoch if isinstance(lease, Held) else 0
        done = reconcile(
            base,
            reports.read.history,
            self._collected(),
            self._world(
                base,
                pool,
                epoch=epoch,
                stop=stop,
                on_unsettled=lambda met: problems.append(f"{met.node}: a run is not settled: {met.reason}"),
            ),
            Asked(
                nodes=self._warm_first(pool, nodes),
                dry_run=observing,
                apply=None if request.apply is None else AssociationName(request.apply),
                allow_shrink=accepted.allow_shrink,
                new_history=request.new_history,
            ),
        )
        now = self.clock()
        known = reports.read.reports
        facts = {name: found.facts for name, found in done.collected.items()}
        judged = judge(done.findings, facts, done.history, known, now, done.outcomes, done.plan.left_out)
        everyone = {
            name: judged.get(name) or known[name]
            for name in sorted(base.desired.nodes)
            if name in judged or name in known
        }
        summary = summarise(
            everyone,
            fleet=base.desired.fleet.id,
            state_commit=base.desired.commit,
            target_counts=done.history.target_counts,
            problems=accepted.problems,
        )
        made, words = (None, "nothing was committed")
        if not observing and isinstance(lease, Held):
            fleet = base.desired.nodes
            self._held = {n: c for n, c in {**self._collected(), **done.collected}.items() if n in fleet}
            self._cache.save(self._held)
            forget_before(self.outputs, now - OUTPUTS_KEPT)
            self._replays.keep(done.plan, {name: found.facts for name, found in done.before.items()})
            if base.desired.commit is not None:
                self.repository.update_refs({ACCEPTED_REF: (None, base.desired.commit)}, checked=False)
            told = Told(base=base, done=done, everyone=everyone, summary=summary, lease=lease.lease)
            made, words = self._reporter.report(reports, told, pool.connect, problems)
        return PassResult(
            plan=done.plan,
            outcomes=done.outcomes,
            reports=everyone,
            summary=summary,
            problems=tuple(problems),
            dry_run=request.dry_run,
            report_commit=made,
            commit_words=words,
            seconds=monotonic() - began,
        )

    def _begin_history_anew(self, accepted: Accepted, base: Ground) -> tuple[Accepted, Ground]:
        """Forget the reports as they were; which commit they knew was accepted still counts, if they can be read."""
        try:
            reports = self._look(base.desired)
        except SourceError:
            self._reports_branch(base.desired).start_anew(self.clock())
        else:
            _, accepted, base = self._agree(reports, accepted, base)
            self._reports_branch(base.desired).start_anew(self.clock())
        self._reports = None
        return accepted, base

    def _reports_branch(self, desired: DesiredState) -> ReportsBranch:
        return ReportsBranch(
            repository=self.repository,
            places=find_places(self.repository, desired.fleet.reports_remote),
            branch=desired.fleet.reports_branch,
            person=Person(email=f"reconciler@{socket.gethostname()}"),
        )

    def _means_any(self, base: Ground, association: AssociationName, nodes: tuple[NodeId, ...]) -> bool:
        return any(target.node in nodes for target in base.targets.by_association.get(association, ()))

    def _agree(self, reports: Reports, accepted: Accepted, base: Ground) -> tuple[Reports, Accepted, Ground]:
        """Hold what we accepted against what the fleet's history says was accepted last: it may know of a later commit."""
        remembered = reports.read.history.state_commit
        if remembered is None or self.repository.ref(ACCEPTED_REF) is not None or remembered == base.desired.commit:
            return reports, accepted, base
        again = self._state.look(remembered)
        if again.desired is None:
            raise SourceError("; ".join(again.problems))
        base = self._ground_of(again.desired)
        return self._look(base.desired), again, base

    def _keeper(self, places: Places) -> LeaseKeeper:
        return LeaseKeeper(
            repository=self.repository,
            remote=places.lease,
            holder=holder_name(socket.gethostname(), self.state_dir),
        )

    def _lead(self, places: Places, base: Ground) -> Held | HeldBy:
        fleet = base.desired.fleet
        ttl = fleet.interval * LEASE_INTERVALS + (fleet.pass_wait or fleet.interval)
        now, held = self.clock(), self._lease
        if held is not None and held.confirmed and held.lease.expires - now > ttl / 2:
            # Ours for long enough. Who took it from us meanwhile is met at the push, and by the nodes' epochs before that.
            return held
        verdict = self._keeper(places).acquire(now, ttl)
        self._lease = verdict if isinstance(verdict, Held) else None
        return verdict


def _nothing_left(done: Pass) -> bool:
    reachable = all(found.facts.unreachable is None for found in done.collected.values())
    return reachable and all(item_status(finding) is Status.COMPLIANT for finding in done.findings)
