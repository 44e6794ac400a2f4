"""Which settings the code of the experiments reads, so that what a kind declares can be compared with it."""

import json
import pathlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import ml_collections
from ml_collections import ConfigDict

import vdm_jax
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.choices import unread

LIBRARY = str(pathlib.Path(ml_collections.__file__).parent)
EXPERIMENTS = str(pathlib.Path(vdm_jax.__file__).parent / "experiments")


ALWAYS = {"kind", "name", "jobs"}  # of the launch
DECIDES_ITSELF = {  # the range of features, and lists of an ensemble, read to see whether there is one
    *("model.unet.fourier_min", "model.fourier_min"),
    *("ensemble.beta", "ensemble.lambda_od"),
}


@contextmanager
def jobs_read_what_is_declared(
    workdir: pathlib.Path, *, all_jobs: bool = True, of_others: tuple[str, ...] = ()
) -> Iterator[None]:
    """The jobs of a run in `workdir` read no setting that its choices leave out; all jobs together read every other.

    of_others: kinds of runs whose configs the jobs read as well, such as that of their space.
    """
    with settings_read(of_others) as read:
        yield
    config = ConfigDict(json.loads((workdir / "config.json").read_text()))
    left_out = set(unread(KINDS[config.kind].choices, config))
    undeclared = read & left_out - DECIDES_ITSELF
    assert not undeclared, f"no choice in force declares {sorted(undeclared)}"
    not_read = set(_leaves(config)) - ALWAYS - left_out - read if all_jobs else set()
    assert not not_read, f"declared, and no job reads {sorted(not_read)}"


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@contextmanager
def settings_read(but: tuple[str, ...] = ()) -> Iterator[set[str]]:
    """The dotted names of settings that `vdm_jax/experiments` reads meanwhile, of any config with a kind that is not
    in `but`.

    Functions that check a value, copies of a section and whole configs written to a file do not count.
    """
    read: set[str] = set()
    sections: dict[int, tuple[str, ConfigDict]] = {}  # by identity, kept alive so that none is taken twice
    get = ConfigDict.__getitem__

    def recorded(self: ConfigDict, key: str):
        value = get(self, key)
        prefix = sections.get(id(self), (None, None))[0]
        if "kind" in self._fields:
            prefix = None if self._fields["kind"] in but else ""
        if prefix is not None:
            if isinstance(value, ConfigDict):
                sections[id(value)] = (f"{prefix}{key}.", value)
            elif _counts():
                read.add(f"{prefix}{key}")
        return value

    ConfigDict.__getitem__ = recorded
    try:
        yield read
    finally:
        ConfigDict.__getitem__ = get


def _counts() -> bool:
    """Whether the caller is the code of an experiment, and no check."""
    frame = sys._getframe(2)
    while frame and frame.f_code.co_filename.startswith(LIBRARY):
        if frame.f_code.co_name not in ("__getattr__", "__getitem__", "get"):
            return False  # of a copy, or of all that is written
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(EXPERIMENTS):
        return False
    return not (frame.f_code.co_filename.endswith("checks.py") or frame.f_code.co_name.startswith("check"))
