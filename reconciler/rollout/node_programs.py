"""Puts values in front of the sh programs of `call_text`: every foreign string quoted by the one function for it; pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.documents.render import Place, Rendered, RenderedStep
from reconciler.drift.finding import Cause
from reconciler.ids import AssociationName, Digest, FleetId, NodeId, RunId
from reconciler.model.command import Limits, Program, Resident
from reconciler.model.shell import quote
from reconciler.rollout.call_text import (
    ACKNOWLEDGE,
    ANNOUNCE,
    CANCEL,
    DISCARD,
    FORGET,
    LOCK,
    LOOK,
    RESUME,
    START,
)
from reconciler.rollout.hand_text import ASK, HAND
from reconciler.rollout.node_text import ACCOUNT_HOME, PRELUDE, REPORT, ROOT, SPAWN, STAY, TRANSACTION
from reconciler.rollout.runner_text import RUNNER, RUNNER_FILE

OUTPUT_CAP = 10 * 1024 * 1024
"""Bytes kept on the node of each step's stdout and stderr: `yes` must not fill its disk."""

ANSWER_ROOM = 4 * 1024 * 1024
"""Bytes of output in one answer, of all steps together; more is fetched by further looks."""

LOCK_PATIENCE = 50
"""Tenths of a second a start waits for the node's lock before it says who holds it."""

RUNNER_PATIENCE = 600
"""The same for the runner itself, which only ever meets the lock when two managers start at once."""

MOST_REBOOTS = 15
"""How often one step may ask for a reboot. SSM's agent: CommandRetryLimit."""

REBOOT_PATIENCE = 600
"""Seconds a node may take to go down after it was told to."""

RESUMED_WITHIN = timedelta(hours=48)
"""SSM's agent drops older documents without a word; here they end as Failed, with the reason."""

MANIFEST_BYTES = 4096

BASE: Final = PRELUDE + ROOT + REPORT + TRANSACTION
"""What every program about runs needs; it does nothing but to find out who and where it is."""

_RUNNER: Final = PRELUDE + TRANSACTION + RUNNER
LIBRARY: Final = f"{BASE}{SPAWN}runner_text={quote(_RUNNER)}\nrunner_start={quote(RUNNER_FILE)}\n"
"""The same and the runner, for programs that start one."""

_LIBRARY_BYTES: Final = f"{LIBRARY}{STAY}hand_text={quote(HAND)}\n{ASK}".encode()

HARD_ANSWER_BYTES = 2 * ANSWER_ROOM
"""The rest of a report is a few lines a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run that is wanted on one node."""

    run: RunId
    fleet: FleetId
    node: NodeId
    association: AssociationName
    definition: Digest
    executions: int
    cause: Cause
    epoch: int
    started: datetime
    rendered: Rendered
    most_reboots: int = MOST_REBOOTS

    @property
    def digest(self) -> str:
        """Digest of what makes two starts the same: not the epoch, the instant or the cause."""
        parts = [self.run, self.node, self.association, self.definition, self.rendered.digest, self.executions]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def manifest(self) -> str:
        """One line of JSON that tells any manager what this run is."""
        fields: dict[str, object] = {
            "run": self.run,
            "fleet": self.fleet,
            "node": self.node,
            "association": self.association,
            "definition": self.definition,
            "rendered": self.rendered.digest,
            "n": self.executions,
            "cause": self.cause.value,
            "epoch": self.epoch,
            "started": self.started.isoformat(),
        }
        named = json.dumps({**fields, "steps": [step.name for step in self.rendered.steps]})
        return named if len(named) < MANIFEST_BYTES else json.dumps(fields)


Held = Mapping[tuple[int, str], int]
"""(step, `out` or `err`) -> bytes of its output that the manager holds."""


def start_program(
    order: Order, *, become: bool, wait: float, held: Held, patience: float = 0.0, unheld: bool = False
) -> Program:
    """Claim the run's folder, start its runner, and report after at most `wait` seconds.

    A shell that stays is waited for `patience` seconds where those are more. `unheld`: refuse where any hold file lies there.
    """
    files = _files(order)
    head = (
        f"fleet={quote(order.fleet)}\nepoch={order.epoch}\ndigest={order.digest}\nshort={order.run[:16]}\npatience={LOCK_PATIENCE}\n"
        f"staged={int(bool(order.rendered.blobs))}\nunheld={int(unheld)}\n{_write_files(order, files)}"
    )
    program = _program(order.run, head, START, become=become, wait=int(wait), held=held, library=LIBRARY)
    assert program.resident is not None  # noqa: S101  (for mypy: every program about runs has both forms)
    waits = timedelta(seconds=max(wait, patience))
    return replace(program, resident=replace(program.resident, begins=True, patience=waits))


def look_program(run: RunId, *, become: bool, wait: int, held: Held) -> Program:
    """Report on a run, with the output beyond what is `held`."""
    return _program(run, "", LOOK, become=become, wait=wait, held=held)


def resume_program(
    run: RunId, fleet: FleetId, *, epoch: int, expired: bool, become: bool, wait: int, held: Held
) -> Program:
    """Let a run that asked for a reboot go on after it, once; `expired`: end it as Failed instead."""
    head = f"fleet={quote(fleet)}\nepoch={epoch}\nexpired={int(expired)}\nshort={run[:16]}\n"
    # The runner lies in the run's folder only where it was begun as a file.
    return _program(run, head, RESUME, become=become, wait=wait, held=held, library=LIBRARY)


def cancel_program(run: RunId, *, become: bool, held: Held, for_good: bool = False) -> Program:
    """Kill the process group of the running step; the rest does not run.

    `for_good`: where it has not begun, a start of this id that comes later is refused. Only for ids that nobody uses again.
    """
    return _program(run, f"for_good={int(for_good)}\n", CANCEL, become=become, wait=0, held=held)


def discard_program(run: RunId, *, become: bool, held: Held, for_good: bool = False) -> Program:
    """Remove a run that never began, so that it never will; report it where it did begin. `for_good`: as in `cancel_program`."""
    return _program(run, f"for_good={int(for_good)}\n", DISCARD, become=become, wait=0, held=held)


def acknowledge_program(
    markers: Mapping[AssociationName, str],
    runs: Iterable[RunId],
    *,
    fleet: FleetId,
    count: int,
    epoch: int | None,
    become: bool,
) -> Program:
    """Write markers (one line of JSON each) and the count, then remove the runs' folders."""
    lines = "".join(
        f'put "$root/markers/"{quote(f"{fleet}@{name}")} {quote(marker)} || return 1\n'
        for name, marker in sorted(markers.items())
    )
    head = (
        f"fleet={quote(fleet)}\nepoch={'' if epoch is None else epoch}\nacknowledged={count}\nruns={quote(' '.join(sorted(runs)))}\n"
        f"set_markers() {{\n:\n{lines}}}\nreboot_patience={REBOOT_PATIENCE}\n"
    )
    return _resident(head + ACKNOWLEDGE, BASE, Limits(), become=become)


def forget_program(runs: Iterable[RunId], fleet: FleetId, *, epoch: int, become: bool) -> Program:
    """Remove the folders of runs whose results are known, and note nothing."""
    head = f"fleet={quote(fleet)}\nepoch={epoch}\nruns={quote(' '.join(sorted(runs)))}\nreboot_patience={REBOOT_PATIENCE}\n"
    return _resident(head + FORGET, BASE, Limits(), become=become)


def announce_program(fleet: FleetId, *, epoch: int, become: bool) -> Program:
    """Make the node refuse everybody with a lower epoch of this fleet from now on."""
    text = f"fleet={quote(fleet)}\nepoch={epoch}\n{PRELUDE}{ROOT}{ANNOUNCE}"
    return Program(text=text.encode(), become=become)


def lock_program(*, become: bool) -> Program:
    """Tell who holds the node's lock, if anybody does."""
    return Program(text=f"{PRELUDE}{ROOT}{LOCK}".encode(), become=become)


def _program(
    run: RunId, head: str, body: str, *, become: bool, wait: int, held: Held, library: str | None = None
) -> Program:
    offsets = "".join(f"{step}:{kind}) offset={size} ;;\n" for (step, kind), size in sorted(held.items()))
    call = (
        f"run={run}\nwait={wait}\nroom={ANSWER_ROOM}\n"
        f"reboot_patience={REBOOT_PATIENCE}\noffset_of() {{\ncase $1:$2 in\n{offsets}*) offset=0 ;;\nesac\n}}\n"
        f"{head}{body}"
    )
    limits = Limits(
        idle=timedelta(seconds=wait + 40), total=timedelta(seconds=wait + 120), answer_bytes=HARD_ANSWER_BYTES
    )
    return _resident(call, library or BASE, limits, become=become)


def _resident(call: str, library: str, limits: Limits, *, become: bool) -> Program:
    """Give a program in both forms: whole, and as what a shell that stays is told once it has read the library."""
    told = call.encode("utf-8", "surrogateescape")
    return Program(
        text=library.encode() + told,
        become=become,
        limits=limits,
        resident=Resident(library=_LIBRARY_BYTES, call=told),
    )


def _files(order: Order) -> list[tuple[str, bytes]]:
    """Give every file of the run's folder; the last of them says that all are there."""
    plan = (
        f"run={order.run}\nfleet={quote(order.fleet)}\nepoch={order.epoch}\ncount={len(order.rendered.steps)}\npatience={RUNNER_PATIENCE}\n"
        f"cap={OUTPUT_CAP // 512}\nassociation={quote(order.association)}\n"
        f"most_reboots={order.most_reboots}\nreboot_patience={REBOOT_PATIENCE}\n"
    )
    files = [("digest", f"{order.digest}\n".encode()), ("plan", plan.encode())]
    for number, step in enumerate(order.rendered.steps, 1):
        files.append((f"steps/{number}/spec", _spec(step)))
        if step.script is not None:
            files.append((f"steps/{number}/launch", _launch(order, step)))
            files.append((f"steps/{number}/{step.file}", step.script))
    return [*files, ("manifest", f"{order.manifest}\n".encode())]


def _write_files(order: Order, files: list[tuple[str, bytes]]) -> str:
    """Give the sh function that writes them, and a runner where no shell that stays has it; any failure is one."""
    folders = " ".join(f'"$1/steps/{number}"' for number in range(1, len(order.rendered.steps) + 1))
    *lines, last = (
        f'printf %s {quote(content.decode("utf-8", "surrogateescape"))} 2>/dev/null >"$1/{path}" || return 1\n'
        for path, content in files
    )
    # Before the last file: whoever finds that one starts the runner, which must be whole by then.
    runner = '[ -n "${resident:-}" ] || printf %s "$runner_text" "$runner_start" 2>/dev/null >"$1/runner" || return 1\n'
    return f'write_files() {{\nmkdir -p "$1" {folders} 2>/dev/null || return 1\n{"".join(lines)}{runner}{last}}}\n'


def _spec(step: RenderedStep) -> bytes:
    """Give the variables the runner reads for one step.

    For each level, from the document's own step inwards: the document there (`in`, empty for the outermost, else made of
    the places that lead to it, so that no two have one) and the step in it (`at`), with its modifiers.
    """
    own = Place(
        group=step.group,
        element=1,
        on_failure=step.on_failure,
        on_success=step.on_success,
        finally_step=step.finally_step,
    )
    lines, document = [], ""
    for level, place in enumerate((*step.within, own), 1):
        lines.append(
            f"in_{level}={document}\nat_{level}={place.group}\nfinally_{level}={int(place.finally_step)}\n"
            f"failing_{level}={quote(place.on_failure)}\nsucceeding_{level}={quote(place.on_success)}\n"
        )
        document += f"_{place.group}_{place.element}"
    return (
        f"{''.join(lines)}depth={len(lines)}\ntimeout={int(step.timeout.total_seconds())}\n"
        f"skip={quote(step.skip or '')}\nfail={quote(step.fail or '')}\n"
    ).encode("utf-8", "surrogateescape")


def _launch(order: Order, step: RenderedStep) -> bytes:
    """Give the file that sets a step's surroundings and becomes its script: values stand in a file, never in argv."""
    environment = {
        "AWS_SSM_INSTANCE_ID": order.node,
        "AWS_SSM_REGION_NAME": order.fleet,
        "SSM_COMMAND_ID": order.run,
        **step.environment,
    }
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in sorted(environment.items()))
    return (
        # Where it was begun as a file, it is alone with its name; $1 is the step's folder, $2 what makes a session.
        '[ $# -gt 0 ] || set -- "${0%/*}"\n'
        "umask 022\nNAME=\nVERSION_ID=\n[ ! -r /etc/os-release ] || . /etc/os-release\n"
        "AWS_SSM_PLATFORM_NAME=${NAME:-Linux}\nAWS_SSM_PLATFORM_VERSION=${VERSION_ID:-}\n"
        "export AWS_SSM_PLATFORM_NAME AWS_SSM_PLATFORM_VERSION\n"
        f'if [ -z "${{HOME:-}}" ]; then\n{ACCOUNT_HOME}HOME=$account_home\nfi\nexport HOME\nunset account_home\n'
        f"{_require(step)}{_change_folder(step.working_directory)}unset OLDPWD\n{exports}{_become(step)}"
    ).encode("utf-8", "surrogateescape")


def _become(step: RenderedStep) -> str:
    """Give the line that the script's interpreter takes over with; where the node has none of several, the reason."""
    words = [quote(word) for word in step.interpreter]
    search = ""
    if step.alternatives:
        tried = " || ".join(f"command -v {quote(name)}" for name in step.alternatives)
        reason = quote(f"{step.action}: the node has no {' and no '.join(step.alternatives)}: install one")
        # No variable: the script's own environment may have one of any name.
        search = f'set -- "$1" "${{2:-}}" "$({tried})"\n[ -n "$3" ] || {{ printf \'%s\\n\' {reason} >&2; exit 1; }}\n'
        words[0] = '"$3"'
    return f'{search}exec ${{2:-}} {" ".join(words)} "$1/{step.file}"\n'


def _require(step: RenderedStep) -> str:
    """End the step where the file it is of is not what it was: then nobody has seen what would run."""
    if step.needs is None:
        return ""
    path = step.needs.path
    file = quote(path) if path.startswith("/") else f'"${{1%/steps/*}}/downloads/"{quote(path)}'
    words = quote(f"{path} is not on the node as it was downloaded: the document of this step is in it")
    return (
        f'[ "$(sha256sum 2>/dev/null <{file})" = "{step.needs.sha256}  -" ] || '
        f"{{ printf '%s\\n' {words} >&2; exit 1; }}\n"
    )


def _change_folder(wanted: str) -> str:
    """Absolute: as it is, or the step fails. Else below the run's downloads, where there are any; else `/`."""
    if wanted.startswith("/"):
        words = quote(f"the working directory {wanted} does not exist, or cannot be entered")
        return f"cd {quote(wanted)} 2>/dev/null || {{ printf '%s\\n' {words} >&2; exit 1; }}\n"
    downloads = "${1%/steps/*}/downloads"
    return f'cd "{downloads}/"{quote(wanted)} 2>/dev/null || cd /\n'
