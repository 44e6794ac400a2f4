"""The sweep of a config file: its members are checked, run or listed, and put into one table."""

import shlex
from collections.abc import Sequence
from functools import partial

import jax

from vdm_jax.base.errors import UserError
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.experiments.members import Member, check, make_members, select
from vdm_jax.experiments.runner import LOG, Outcome, run_members, say
from vdm_jax.experiments.swept import Swept, swept
from vdm_jax.launch import flags
from vdm_jax.launch.memory import what_memory_lacks

MISSING = {"failed": "failed", "stopped": "stopped", "elsewhere": "in progress elsewhere"}


class SweepFailed(RuntimeError):
    """Some members failed; the sentence names them, and where they tell why."""


def run(arguments: flags.Arguments, default_config: str, launcher: Sequence[str]) -> None:
    """Runs the members that match, or lists what would be run; writes the table of all. `launcher` is launch.py.

    Raises `UserError` for a mistake, before anything has started, and `SweepFailed` at the end.
    """
    jax.config.update("jax_platforms", "cpu")  # accelerators belong to the members, which read the environment anew
    members = make_members(arguments, default_config)
    chosen = select(members, arguments.sweep.pattern)
    kind = swept(arguments.config)
    with what_memory_lacks("reading the data"):
        check(chosen, arguments.workdir, kind.make_check())

    def left(member: Member) -> list[str]:
        return kind.outstanding(member.config, member.workdir, member.jobs)

    if arguments.sweep.dry_run:
        commands = (f"{shlex.join(m.command(launcher, m.jobs))}  # {','.join(left(m)) or 'done'}" for m in chosen)
        print("\n".join(commands))  # at once, for a reader that stops after a few
        return
    try:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"workdir {arguments.workdir} cannot be written: {error}") from error
    with catch_sigterm() as stop_requested:
        table = partial(write_table, kind, members, arguments)
        outcomes = run_members(chosen, left=left, launcher=launcher, stop_requested=stop_requested, ended=table)
        if stop_requested():
            say("stopped; the same command goes on from there")
            return
    print(table(outcomes))
    say(f"table, figures and numbers in {arguments.workdir}/sweep.md, sweep*.png, sweep.json")
    if failed := [member for member in chosen if member.name in outcomes and outcomes[member.name].status == "failed"]:
        told = ", ".join(f"{member.name} ({member.workdir / LOG})" for member in failed)
        raise SweepFailed(f"{len(failed)} of {len(chosen)} members failed: {told}; the same command tries them again")


def write_table(
    kind: Swept, members: Sequence[Member], arguments: flags.Arguments, outcomes: dict[str, Outcome]
) -> str:
    """Writes the kind's table and figures: every member that has numbers, the others with a reason."""
    runs, missing = {}, {}
    for member in members:
        reason = f"not {kind.numbers} yet"
        try:
            if kind.has_numbers(member.config, member.workdir):
                runs[member.name] = member.workdir
                continue
        except UserError as error:
            reason = str(error)
        status = outcomes[member.name].status if member.name in outcomes else "done"
        missing[member.name] = MISSING.get(status, reason)
    return kind.write(arguments.workdir, runs, missing)
