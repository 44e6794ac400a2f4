"""Runs the members of a sweep one after the other, each in a process of its own. A failure does not stop the others."""

import shlex
import signal
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from vdm_jax.base.errors import UserError
from vdm_jax.base.locks import Busy, alone_in
from vdm_jax.base.progress import duration, line_was_printed, show_line
from vdm_jax.launch.members import Member
from vdm_jax.launch.process import last_line, run_logged
from vdm_jax.launch.store import alone_at

LOCK = ".sweep"
LOG = "log.txt"


class Outcome(NamedTuple):
    """How the run of a member ended.

    Attributes:
        status: "elsewhere": another process runs it.
        reason: of a failure, or who runs it.
        seconds: from start to end; None for a member that did not end here.
    """

    status: Literal["done", "failed", "stopped", "elsewhere"]
    reason: str = ""
    seconds: float | None = None


STORIES = {
    "done": "is done",
    "failed": "failed",
    "stopped": "was stopped",
    "elsewhere": "is skipped",
}


def run_members(
    members: Sequence[Member],
    *,
    left: Callable[[Member], list[str]],
    locks: Callable[[Sequence[str]], list[str]],
    launcher: Sequence[str],
    stop_requested: Callable[[], bool],
    ended: Callable[[dict[str, Outcome]], None],
) -> dict[str, Outcome]:
    """Runs the jobs that `left` names of each member by `launcher`; returns the outcome of each member that had any.

    Stops with the member that is running once `stop_requested()`: that member gets SIGTERM. A member that another
    process runs is skipped: `locks(jobs)` are the files it would hold. `ended` is called with the outcomes so far
    whenever a member has ended.
    """
    waiting = [member for member in members if left(member)]
    say(f"{len(members)} members, {len(members) - len(waiting)} of them done")
    outcomes: dict[str, Outcome] = {}
    for number, member in enumerate(waiting, 1):
        if stop_requested():
            break
        took = [outcome.seconds for outcome in outcomes.values() if outcome.seconds is not None]
        rest = f", about {duration(sum(took) / len(took) * (len(waiting) - number + 1))} left" if took else ""
        place = f"{number} of {len(waiting)}{rest}: {member.name}"
        outcomes[member.name] = outcome = run_member(member, place, left, locks, launcher, stop_requested)
        seconds = "" if outcome.seconds is None else f" in {duration(outcome.seconds)}"
        say(f"{member.name} {STORIES[outcome.status]}{seconds}{outcome.reason and f': {outcome.reason}'}")
        if outcome.status in ("done", "failed"):
            ended(outcomes)
    return outcomes


def run_member(
    member: Member,
    place: str,
    left: Callable[[Member], list[str]],
    locks: Callable[[Sequence[str]], list[str]],
    launcher: Sequence[str],
    stop_requested: Callable[[], bool],
) -> Outcome:
    """Runs what remains of one member, alone in its folder, with a log there."""
    began, log = time.perf_counter(), member.workdir / LOG
    try:
        with alone_in(member.workdir, LOCK, "running this member") as lock:
            jobs = left(member)
            if not jobs:  # another process was faster
                return Outcome("done")
            for name in locks(jobs):
                with alone_at(member.workdir, name):  # a run started by hand does not hold the sweep's lock
                    pass
            command = member.command(launcher, jobs)
            say(place)
            say(shlex.join(command))
            line_was_printed()
            code = run_logged(
                command, log, lock=lock, stop_requested=stop_requested, show=lambda line: show_line(f"{place}: {line}")
            )
            jobs = left(member)
    except KeyboardInterrupt:
        show_line("")
        raise
    except Busy as error:
        return Outcome("elsewhere", str(error))
    except UserError as error:
        return Outcome("failed", str(error))
    if code == 0 and not jobs:
        return Outcome("done", seconds=time.perf_counter() - began)
    if stop_requested():
        return Outcome("stopped")
    if code == 0:
        what = f"ended before the job {jobs[0]} was done"
    else:
        what = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
    return Outcome("failed", f"{what}, {last_line(log)!r} in {log}")


def say(what: str) -> None:
    show_line("")
    print(f"sweep: {what}", flush=True)
