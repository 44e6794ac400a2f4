"""The table and the figures of a sweep of autoencoders, from the files of its workdirs alone."""

from collections.abc import Mapping
from pathlib import Path


def write_autoencoder_sweep(folder: str | Path, runs: Mapping[str, Path], missing: Mapping[str, str]) -> str:
    """Writes sweep.md, sweep.json and the figures sweep_*.png into `folder`. Returns the text of sweep.md.

    Args:
        runs: name -> workdir of each evaluated member.
        missing: name -> reason, of each member without numbers.
    """
    raise NotImplementedError
