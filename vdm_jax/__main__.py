"""Runs the jobs of one experiment: `vdm-jax --config=configs/FILE.py[:VARIANT] --workdir=DIR --jobs=A,B`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # The current folder comes last: a file such as random.py in it would be imported in place of a module of Python.
    sys.path.append(sys.path.pop(0))

import logging
import os
import pathlib

from vdm_jax.base.ending import FAILED, OneSentence, escape_output
from vdm_jax.base.signals import Stopped, catch_sigterm, stop_at_sigterm

DOES = "Runs the jobs of one experiment: `vdm-jax --config=configs/FILE.py[:VARIANT] --workdir=DIR --jobs=A,B`."
HELP = f"""{DOES}

`python -m vdm_jax` and, in a checkout, `python launch.py` do the same.

  --config=FILE.py[:VARIANT]   default configs/digits.py; without it, that of the workdir. FILE is looked for in the
                               current folder, then in the checkout or the installed package
  --config.KEY=VALUE           any setting of configs/base.py, such as --config.train.num_steps=1000
  --workdir=DIR                default results/runs/NAME
  --jobs=A,B                   any of those below; default the variant's own (such as of
                               configs/probes.py:quick-forward), or all
  --stop_after=SECONDS         of training: it is saved and stops, and the same command continues it
  --archive=DIR                restore the run from files of limited size in DIR, and pack it there after its training
  --sweep[=PATTERN]            every run that the config file's get_sweep() lists, or those whose name matches,
                               one after the other in DIR/NAME; what is complete is left as it is
  --dry_run                    print what was understood: the data, the parameters, memory and work of the training, the
                               jobs that remain. With --sweep: a command for each run and its remaining jobs. Nothing is
                               run or written

Exit code 0: done, or stopped by SIGTERM, as a line says. 1: the training or a run of the sweep failed, there was too
little memory, or a file could not be written. 2: invalid request. Both are reported in one sentence; with
VDM_JAX_TRACEBACK=1 in the environment also with the traceback. 130: Ctrl-C. 141: nobody reads the output.

Jobs of each kind of config, in their order:
"""


def print_help() -> None:
    """How the program is called; at once, and then what takes seconds to import."""
    print(HELP, end="", flush=True)
    from vdm_jax.experiments.kinds import KINDS
    from vdm_jax.launch.kind import jobs_of

    print("\n".join(f"  {name + ':':<10} {', '.join(jobs_of(kind))}" for name, kind in KINDS.items()))


def main(argv: list[str]) -> int:
    """Does what the command line asks; returns the exit code."""
    is_module = pathlib.Path(argv[0]).name == "__main__.py"
    with OneSentence("vdm-jax" if is_module else pathlib.Path(argv[0]).name) as ending, stop_at_sigterm():
        if {"--help", "-h", "-help"} & set(argv[1:]):
            print_help()
        else:
            launch(argv, [sys.executable, *(["-m", "vdm_jax"] if is_module else [argv[0]])], ending)
    return ending.code


def launch(argv: list[str], launcher: list[str], ending: OneSentence) -> None:
    """Runs or lists what the command line asks for. launcher: the command that starts this program."""
    # What ends a run is reported in one sentence, and orbax logs it too; matplotlib warns of each folder it cannot use.
    for name in ("absl", "asyncio", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not all(any(flag in argument for argument in argv) for flag in ("dry_run", "sweep")):  # its lines are commands
        print(f"{ending.program}: starting …", flush=True)
    # Imported late: a missing package or a mistyped flag should not wait for the start of a device.
    with catch_sigterm() as stop_requested:  # what it raises could be lost in an import
        from vdm_jax.experiments.kinds import KINDS
        from vdm_jax.launch import choices, dry_run, flags, run, sweep
        from vdm_jax.launch.compiled import keep_compiled_programs
        from vdm_jax.launch.memory import keep_freed_memory
    if stop_requested():
        raise Stopped

    arguments = flags.parse(argv, KINDS)
    ending.folder = arguments.workdir
    if arguments.sweep:
        sweep.run(arguments, KINDS, launcher)
        return
    kind = KINDS[arguments.config.kind]
    choices.check_typed(kind.choices, arguments.config, arguments.before, arguments.overrides)
    if arguments.dry_run:
        for line in dry_run.describe_run(KINDS, arguments.config, arguments.workdir, arguments.jobs):
            print(line, flush=True)
    else:
        print(f"{arguments.file} -> {arguments.workdir}: {', '.join(arguments.jobs)}", flush=True)
        keep_compiled_programs()
        keep_freed_memory()
        run.run(KINDS, arguments.config, arguments.workdir, arguments.jobs, arguments.options)


def script() -> None:
    """Runs `main` on the command line and ends the process."""
    os.environ["MPLBACKEND"] = "Agg"  # a notebook's own is none of this program's, and members inherit it
    escape_output()
    code = main(sys.argv)
    if code == FAILED:
        os._exit(code)  # the threads of a save that failed would wait ten minutes for each other
    sys.exit(code)


if __name__ == "__main__":
    script()
