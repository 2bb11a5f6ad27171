"""One run on one node, through a Session: start, look, cancel, discard. I/O; decides nothing about what should run.

Every call is one round trip (and one more for each further 4 MB of output), and each may be repeated without harm: the
body of a run is started at most once, by its id.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from reconciler.errors import AnswerGarbled
from reconciler.ids import FleetId, RunId
from reconciler.model.command import Program, Session
from reconciler.rollout.node_programs import (
    Order,
    cancel_program,
    discard_program,
    look_program,
    resume_program,
    start_program,
)
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Refusal, Sight, Standing, read_report

CLAIMED = b"claimed\n"

LEAST_WAIT = 1.0
"""Seconds that a start waits for the end of the run even where others wait for their turn: most documents are done by then,
and a look of its own costs more than that."""

LEAST_WAIT_THEN = 0.25
"""The same once a run took longer: the document is the same on the other nodes."""

FETCH_PATIENCE = 60.0
"""Seconds that fetching output may take beyond the first answer; the rest is for the next look. 20 MB come in a few."""


class NodeRuns:
    """Runs on nodes, with their output kept as it comes."""

    def __init__(self, output: OutputKeeper) -> None:
        self.output = output
        self._least_wait = LEAST_WAIT

    def start(
        self,
        session: Session,
        order: Order,
        *,
        become: bool,
        wait: float,
        unheld: bool = False,
        on_claimed: Callable[[], None],
    ) -> Sight | Refusal:
        """Start a run, or attach to it where it exists; tells `on_claimed` as soon as nothing undoes the start.

        `unheld`: where any hold file lies on the node, it is a Refusal of kind `held`.
        """
        program = start_program(
            order, become=become, wait=wait, held=self.output.held(order.run), patience=self._least_wait, unheld=unheld
        )
        answer, told = bytearray(), False
        for chunk in session.stream(program):
            answer += chunk
            if not told and answer.startswith(CLAIMED):
                told = True
                on_claimed()
        if answer == CLAIMED:
            self._least_wait = LEAST_WAIT_THEN
            return Sight(standing=Standing.GOING)  # it takes longer than anybody wanted to wait
        found = self._read(session, order.run, bytes(answer))
        return found if isinstance(found, Refusal) else self._rest(session, order.run, found, become=become)

    def look(self, session: Session, run: RunId, *, become: bool, wait: int = 0) -> Sight:
        """Tell where a run stands, after at most `wait` seconds of waiting for its end, and fetch its new output."""
        program = look_program(run, become=become, wait=wait, held=self.output.held(run))
        return self._ask(session, run, program)

    def resume(
        self,
        session: Session,
        run: RunId,
        fleet: FleetId,
        *,
        epoch: int,
        expired: bool = False,
        become: bool,
        wait: int = 0,
    ) -> Sight:
        """Let a run go on that asked for a reboot, on the node that came back from it; repeating it resumes nothing twice."""
        held = self.output.held(run)
        program = resume_program(run, fleet, epoch=epoch, expired=expired, become=become, wait=wait, held=held)
        return self._ask(session, run, program)

    def cancel(self, session: Session, run: RunId, *, become: bool, for_good: bool = False) -> Sight:
        """Kill the running step's process group; a run that has not begun does not.

        `for_good`: nor does it by a start that is still on its way. For commands, whose ids are never used again.
        """
        held = self.output.held(run)
        return self._ask(session, run, cancel_program(run, become=become, held=held, for_good=for_good))

    def discard(self, session: Session, run: RunId, *, become: bool, for_good: bool = False) -> Sight:
        """Remove a run of which nothing ran; where it did begin after all, tell where it stands. `for_good`: as in `cancel`."""
        held = self.output.held(run)
        return self._ask(session, run, discard_program(run, become=become, held=held, for_good=for_good))

    def _ask(self, session: Session, run: RunId, program: Program) -> Sight:
        found = self._read(session, run, session.run(program).stdout)
        if isinstance(found, Refusal):
            raise AnswerGarbled(session.node, found.words)
        return self._rest(session, run, found, become=program.become)

    def _rest(self, session: Session, run: RunId, sight: Sight, *, become: bool) -> Sight:
        """Fetch the output that did not fit into the first answer; what else the first look found stays."""
        more, until = sight.more, time.monotonic() + FETCH_PATIENCE
        while more and time.monotonic() < until:
            program = look_program(run, become=become, wait=0, held=self.output.held(run))
            next_one = self._read(session, run, session.run(program).stdout)
            more = isinstance(next_one, Sight) and next_one.more and bool(next_one.pieces)
        return replace(sight, pieces=(), more=False)

    def _read(self, session: Session, run: RunId, answer: bytes) -> Sight | Refusal:
        try:
            found = read_report(answer)
            if isinstance(found, Sight) and not self.output.keep(run, found.pieces):
                found = replace(found, more=False)
        except ValueError as error:
            raise AnswerGarbled(session.node, f"the report about run {run[:12]} cannot be read: {error}") from error
        return found
