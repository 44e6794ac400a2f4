"""Runs the jobs of one experiment: `python launch.py --config=configs/FILE.py[:VARIANT] --workdir=DIR --jobs=A,B`."""

import logging
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent

HELP = f"""{__doc__}

  --config=FILE.py[:VARIANT]   default configs/digits.py; without it, a workdir brings its own
  --config.KEY=VALUE           any setting of configs/base.py, such as --config.train.num_steps=1000
  --workdir=DIR                default results/runs/NAME
  --jobs=A,B                   any of train, evaluate, sample, report; default all four

Exit code 0: done, or stopped by SIGTERM with a checkpoint; 1: the training failed; 2: a mistake in what was asked,
told in one sentence."""


def main(argv: list[str]) -> int:
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(HELP)
        return 0
    # Imported late: a missing package or a mistyped flag should not wait for, or drown in, the start of a device.
    from vdm_jax.base.errors import UserError
    from vdm_jax.experiments import flags, jobs
    from vdm_jax.train.loop import TrainingFailed

    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        arguments = flags.parse(argv, str(ROOT / "configs" / "digits.py"), jobs.JOBS)
        jobs.run(arguments.config, arguments.workdir, arguments.jobs)
    except UserError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 2
    except TrainingFailed as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("launch.py: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
