"""Passes for ever: on the interval, at once when a ref moves or a lone run ends, with back-off while git cannot be read.

Every wait goes by a clock that nobody sets; what is due by the wall clock is looked at in each pass.
"""

from contextlib import ExitStack
from datetime import timedelta
from threading import Event, Thread

import structlog

from reconciler.commit.state_folder import serving_from
from reconciler.daemon.command_socket import CommandSocket
from reconciler.daemon.controller import Controller, since_boot
from reconciler.daemon.log import log_pass
from reconciler.daemon.passing import Request
from reconciler.daemon.watch import watching, watching_pauses
from reconciler.errors import ReconcilerError

log = structlog.get_logger()

FIRST_BACK_OFF = timedelta(seconds=5)
"""After a pass that could not read git; doubles up to the interval, so that a returning remote is noticed soon."""

TIDY_EVERY = 50
"""Passes between two looks at whether our clone should be packed: each pass leaves a heartbeat and perhaps a commit in it."""

SETTLED = timedelta(milliseconds=100)
"""A push moves several refs: wait until they have moved before looking."""


FIRST_LOOK = timedelta(seconds=1)
"""Until runs that go on alone are looked at; as long as the last pass took where that is longer, then twice as long each time."""

SELDOM = timedelta(minutes=1)
"""The longest time between two such looks."""


def serve(controller: Controller, stop: Event, *, take_over: bool = False) -> None:
    """Run passes until `stop` is set; returns after the pass that was under way has been drained.

    `take_over`: lead from now on, whoever does now. Raises LeaseLost where a daemon serves from this state folder already.
    """
    with serving_from(controller.state_dir):
        _serve(controller, stop, take_over=take_over)


def _serve(controller: Controller, stop: Event, *, take_over: bool) -> None:
    wake = Event()
    waiter = Thread(target=_wake_on_stop, args=(stop, wake), daemon=True, name="stop")
    waiter.start()
    with ExitStack() as watches:
        if (directory := controller.local_git_directory) is not None:
            watches.enter_context(watching(directory, wake, reports_branch=controller.reports_branch))
        watches.enter_context(watching_pauses(controller.pauses.path, wake))
        commands = watches.enter_context(CommandSocket(controller, stop, on_bug=wake.set))
        log.info("started", repository=controller.shown_address, state_folder=str(controller.state_dir))
        failures, passes = 0, 0
        while True:
            wake.clear()
            # Asked behind the clearing: what is set from here on wakes us.
            if stop.is_set():
                break
            if commands.broken is not None:
                raise commands.broken
            began = since_boot()
            failures = 0 if _pass_was_made(controller, stop, take_over=take_over) else failures + 1
            take_over = take_over and failures > 0
            passes += 1
            if passes % TIDY_EVERY == 0:
                controller.repository.tidy()
            pause = controller.interval
            if failures:
                pause = min(pause, FIRST_BACK_OFF * 2 ** min(failures - 1, 10))
            if _was_woken(controller, wake, pause, began) and not stop.is_set():
                stop.wait(SETTLED.total_seconds())
    waiter.join()
    log.info("stopped")


def _was_woken(controller: Controller, wake: Event, pause: timedelta, began: float) -> bool:
    """Wait until the next pass is due, `pause` after the last one `began`; say whether something woke us.

    It is due at once where a run ended that went on alone: what waits for its slot or its node would else wait for an interval.
    """
    look_after = min(max(FIRST_LOOK, timedelta(seconds=since_boot() - began)), SELDOM)
    while (left := began + pause.total_seconds() - since_boot()) > 0:
        going = controller.going
        # A machine that sleeps does not count its sleep in the wait itself: so it is cut in parts.
        if wake.wait(min(left, (SELDOM if going is None else look_after).total_seconds())):
            return True
        if going is not None and going.one_needs_a_pass():
            return False
        look_after = min(2 * look_after, SELDOM)
    return wake.is_set()


def _wake_on_stop(stop: Event, wake: Event) -> None:
    stop.wait()
    wake.set()


def _pass_was_made(controller: Controller, stop: Event, *, take_over: bool) -> bool:
    """Run one pass; our own errors are logged and end the pass, never the daemon. Anything else is a bug and ends it."""
    try:
        result = controller.one_pass(Request(take_over=take_over), stop=stop)
    except ReconcilerError as exc:
        log.error("pass failed", reason=str(exc), kind=type(exc).__name__)  # noqa: TRY400 - the sentence says all; a traceback is for bugs
        return False
    log_pass(result)
    return True
