"""The sweep of a config file: its members are checked, run or listed, and put into one table."""

import pathlib
import shlex
from collections.abc import Sequence
from functools import partial

import jax

from vdm_jax.base.errors import RunFailed, UserError
from vdm_jax.base.signals import catch_sigterm
from vdm_jax.launch import flags
from vdm_jax.launch.ensemble import members_of
from vdm_jax.launch.kind import Kind, Kinds, jobs_of, kind_of, lock_of
from vdm_jax.launch.members import Member, check, make_members, select
from vdm_jax.launch.runner import LOG, Outcome, run_members, say
from vdm_jax.launch.status import is_compared, remaining

MISSING = {"failed": "failed", "stopped": "stopped", "elsewhere": "in progress elsewhere"}


class SweepFailed(RunFailed):
    """Some members failed. The sentence names them and their logs."""


def run(arguments: flags.Arguments, kinds: Kinds, launcher: Sequence[str]) -> None:
    """Runs the members that match, or lists what would be run; writes the table of these and of all that were begun.

    launcher: the command that launches one member, without its flags. Raises `UserError` for a mistake, before anything
    has started, and `SweepFailed` at the end.
    """
    jax.config.update("jax_platforms", "cpu")  # accelerators belong to the members, which read the environment anew
    kind = kind_of(kinds, arguments.config)
    if kind.compare is None and not arguments.sweep.dry_run:
        raise UserError(f"--sweep: runs of kind {arguments.config.kind!r} are not compared; launch them one by one")
    members = make_members(arguments, kinds)
    chosen = select(members, arguments.sweep.pattern)
    check(kinds, chosen, arguments.workdir)

    def left(member: Member) -> list[str]:
        return remaining(kind, member.config, member.workdir, member.jobs)

    def locks(jobs: Sequence[str]) -> list[str]:
        return [lock for job in jobs if (lock := lock_of(job, jobs_of(kind)[job]))]

    if arguments.sweep.dry_run:
        commands = (f"{shlex.join(m.command(launcher, m.jobs))}  # {','.join(left(m)) or 'done'}" for m in chosen)
        print("\n".join(commands))  # at once, for a reader that stops after a few
        return
    try:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"workdir {arguments.workdir} cannot be written: {error}") from error
    with catch_sigterm() as stop_requested:
        names = {member.name for member in chosen}
        begun = [member for member in members if member.name in names or member.workdir.exists()]
        table = partial(write_table, kind, begun, arguments)
        outcomes = run_members(
            chosen, left=left, locks=locks, launcher=launcher, stop_requested=stop_requested, ended=table
        )
        if stop_requested():
            say("stopped; the same command goes on from there")
            return
    print(table(outcomes))
    say(f"table, figures and numbers in {arguments.workdir}/sweep.md, sweep*.png, sweep.json")
    if failed := [member for member in chosen if member.name in outcomes and outcomes[member.name].status == "failed"]:
        told = ", ".join(f"{member.name} ({member.workdir / LOG})" for member in failed)
        raise SweepFailed(f"{len(failed)} of {len(chosen)} members failed: {told}; the same command tries them again")


def write_table(kind: Kind, members: Sequence[Member], arguments: flags.Arguments, outcomes: dict[str, Outcome]) -> str:
    """Writes the kind's table and figures: every member that has numbers, the others with a reason."""
    runs, missing = {}, {}
    for member in members:
        reason = f"no {kind.jobs[kind.compared].writes} yet"
        try:
            if is_compared(kind, member.config, member.workdir):
                runs |= _runs_of(kind, member)
                continue
        except UserError as error:
            reason = str(error)
        status = outcomes[member.name].status if member.name in outcomes else "done"
        missing[member.name] = MISSING.get(status, reason)
    return kind.compare(arguments.workdir, runs, missing)


def _runs_of(kind: Kind, member: Member) -> dict[str, pathlib.Path]:
    """The folders of a member of the sweep by name; of an ensemble those of its own members."""
    own = members_of(kind, member.config, member.workdir)
    return {f"{member.name}/{name}": run.workdir for name, run in own.items()} or {member.name: member.workdir}
