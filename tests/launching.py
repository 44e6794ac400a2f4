"""launch.py on models so small that a run takes seconds: in this process, or in one of its own."""

import os
import pathlib
import subprocess
import sys
import time

import jax

from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import flags
from vdm_jax.train.metrics import read_metrics

ROOT = pathlib.Path(__file__).resolve().parents[1]
NUM_STEPS = 60
OF_A_CODE = ("evaluate__probe_images", "sample__guided_sources", "sample__guided_per_source")
SMALL = {
    "model.unet.num_blocks": 1,
    "model.unet.channels": 8,
    "train.num_steps": NUM_STEPS,
    "train.batch_size": 8,
    "train.log_every": 1,
    "train.eval_every": 5,
    "train.checkpoint_every": 10,  # a checkpoint costs as much as thirty updates
    "train.eval_images": 40,
    "train.eval_passes": 1,
    "evaluate.passes": 1,
    "evaluate.batch_size": 40,  # as many as of validation and for curves: they share a program
    "evaluate.curve_points": 3,
    "evaluate.curve_images": 40,
    "evaluate.curve_passes": 1,
    "evaluate.frechet_images": 20,
    "evaluate.probe_images": 100,
    "sample.num_steps": 4,
    "sample.num_images": 20,
    "sample.guided_sources": 2,
    "sample.guided_per_source": 2,
}


def parse(*typed) -> flags.Arguments:
    """What `launch.py` understands of a command line."""
    return flags.parse(["launch.py", *map(str, typed)], KINDS)


def arguments(workdir: pathlib.Path, config: str = "configs/digits.py", jobs: str = "", **deltas) -> list[str]:
    """What is typed after `launch.py`; deltas with `__` for a dot, on top of `SMALL`. None: not typed."""
    settings = SMALL | {name.replace("__", "."): value for name, value in deltas.items()}
    settings = {name: value for name, value in settings.items() if value is not None}
    typed = [f"--config={ROOT / config}", f"--workdir={workdir}", *(f"--config.{k}={v}" for k, v in settings.items())]
    return typed + ([f"--jobs={jobs}"] if jobs else [])


class Launched:
    """launch.py in a process of its own, with what the tests compiled before at hand."""

    def __init__(self, *arguments: str):
        environment = os.environ | {
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # of a notebook; it is not installed here
            "PYTHONIOENCODING": "ascii",
            "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        command = [sys.executable, str(ROOT / "launch.py"), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self) -> tuple[int, str, str]:
        """-> exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err

    def wait_for_step(self, workdir: pathlib.Path, step: int) -> None:
        """Returns when the log has a row of that step or of a later one, written by this process."""
        log = workdir / "metrics.jsonl"
        while not log.exists() or max((row["step"] for row in read_metrics(log)), default=0) < step:
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.005)
