"""Runs the jobs of one experiment: `python launch.py --config=configs/FILE.py[:VARIANT] --workdir=DIR --jobs=A,B`."""

import logging
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent

HELP = f"""{__doc__}

  --config=FILE.py[:VARIANT]   default configs/digits.py; without it, a workdir brings its own
  --config.KEY=VALUE           any setting of configs/base.py, such as --config.train.num_steps=1000
  --workdir=DIR                default results/runs/NAME
  --jobs=A,B                   any of train, evaluate, sample, report; of configs/probes.py exact, train,
                               probe, chains, chain_probes, report; of configs/exact.py exact, report; default the
                               variant's own (such as of configs/probes.py:quick-forward), or all
  --stop_after=SECONDS         of training: it is saved and stops, and the same command goes on
  --archive=DIR                bring the run from files of limited size in DIR, and pack it there after its training
  --sweep[=PATTERN]            every run that the config file's get_sweep() lists, or those whose name matches,
                               one after the other in DIR/NAME; what is done is left as it is
  --dry_run                    with --sweep: print a command for each, and what is left of it, and run nothing

Exit code 0: done, or stopped by SIGTERM with a checkpoint; 1: the training, or a run of the sweep, failed, memory was
too little, or a file could not be written; 2: a mistake in what was asked. Both are told in one sentence."""


def main(argv: list[str]) -> int:
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(HELP)
        return 0
    # Imported late: a missing package or a mistyped flag should not wait for, or drown in, the start of a device.
    from vdm_jax.base.errors import UserError
    from vdm_jax.experiments import jobs, kinds, sweep
    from vdm_jax.launch import flags
    from vdm_jax.launch.memory import OutOfMemory
    from vdm_jax.train.checkpoint import SaveFailed
    from vdm_jax.train.loop import TrainingFailed

    for name in ("absl", "asyncio"):  # orbax's voices: what ends a run is told below, in one sentence
        logging.getLogger(name).setLevel(logging.CRITICAL)
    default_config = str(ROOT / "configs" / "digits.py")
    try:
        arguments = flags.parse(argv, default_config, kinds.jobs_of)
        if arguments.sweep:
            sweep.run(arguments, default_config, [sys.executable, argv[0]])
        else:
            jobs.run(arguments.config, arguments.workdir, arguments.jobs, arguments.stop_after, arguments.archive)
    except UserError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 2
    except (TrainingFailed, SaveFailed, OutOfMemory, sweep.SweepFailed, OSError) as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("launch.py: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    if code == 1:
        os._exit(code)  # the threads of a save that failed would wait ten minutes for each other
    sys.exit(code)
