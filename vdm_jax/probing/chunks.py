"""Ensembles larger than the memory: a chunk of timesteps at a time, each saved when it is done.

In memory results are nested dicts. `flatten` and `unflatten` are the only way to the names of arrays in files.
"""

import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_npz
from vdm_jax.probing.batching import in_turn
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.example_sources import Condition

Arrays = dict[str, np.ndarray | np.generic]  # by path, "probe/shape/accuracy"
Results = dict[str, Any]  # nested: {"probe": {"shape": {"accuracy": [M, …]}}, …}
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
# Copies that XLA allocates. Of the parameters: themselves, the best, two moments of Adam, the gradient, the update, and
# the outputs of a loop beside its inputs. Of the residuals of the backward pass: themselves, their gradients, noise and
# images.
COPIES = {"vmap": 7, "map": 12, "map_members": 12}
PASSES = 4


def chunk_size(ensemble: Ensemble, condition: Condition, num_timesteps: int, budget_bytes: int | float) -> int:
    """How many of `num_timesteps` train at once within `budget_bytes` on each device, all devices alike.

    A timestep needs its condition, its members' parameters with optimizer and best, and the residuals of the backward
    pass of one batch. Where timesteps follow each other the residuals count once, and of one member where members
    follow each other too. condition: of one timestep. Raises `UserError` where not even one timestep fits on a device.
    """
    state, kept = bytes_of_timestep(ensemble, condition)
    every, once = (state, kept) if ensemble.objective.how.timesteps is in_turn else (state + kept, 0)
    size = int((budget_bytes - once) // every)
    if size < 1:
        given = f"a budget of {budget_bytes / 2**30:.3g} GiB; the members of one timestep need"
        raise UserError(f"{given} {(every + once) / 2**30:.3g} GiB on a device")
    devices = ensemble.mesh.size
    return devices * min(size, -(-num_timesteps // devices))


def bytes_of_timestep(ensemble: Ensemble, condition: Condition) -> tuple[int, int]:
    """(state, residuals), an upper bound from shapes alone."""

    def residuals(params):
        batches = ensemble.train_batches(jax.random.key(0), condition)
        return ensemble.objective.residuals(params, batches, condition["gamma"])

    params = jax.eval_shape(lambda key: ensemble.init(key[None]), jax.random.key(0))
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    state = COPIES[ensemble.batching] * num_bytes(params) + num_bytes(condition)
    return state, PASSES * num_bytes(jax.eval_shape(residuals, params))


def num_bytes(shapes: PyTree) -> int:
    """The bytes of all leaves."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def run_in_chunks(
    run: Callable[[Int[np.ndarray, " m"], Int[np.ndarray, " m"]], Results],
    timesteps: Int[np.ndarray, " m"],
    size: int,
    folder: pathlib.Path,
    say: Callable[[str], None] = lambda text: None,
    like: PyTree = None,
) -> Results:
    """`run(index, timesteps)` for `size` timesteps at a time; its nested results [M, ...] in the order of `timesteps`.

    All chunks have one size, so that one program serves all. The last is filled with a repeated timestep, whose results
    are dropped. A chunk is saved whole in `folder`. Stored timesteps are not run again, whatever their chunk's size.
    Lists come back as dicts by position; see `restructure`. like: as of `load_chunks`.
    """
    done = load_chunks(folder, like)
    remaining = [i for i, t in enumerate(timesteps.tolist()) if t not in done]
    for start in range(0, len(remaining), size):
        own = remaining[start : start + size]
        index = np.array(own + [own[-1]] * (size - len(own)))
        arrays = {name: array[: len(own)] for name, array in flatten(run(index, timesteps[index])).items()}
        chunk = timesteps[own]
        write_npz(folder / f"timesteps-{chunk[0]:05d}-{chunk[-1]:05d}.npz", arrays | {"timesteps": chunk})
        done |= split(arrays, chunk)
        say(f"timesteps {chunk[0]} … {chunk[-1]} done")
    names = done[int(timesteps[0])]
    return unflatten({name: np.stack([done[t][name] for t in timesteps.tolist()]) for name in names})


def load_chunks(folder: pathlib.Path, like: PyTree = None) -> dict[int, Arrays]:
    """{timestep: {path: array}} of all stored chunks.

    like: arrays or shapes that every timestep must have, such as {"params": …}, among others. Raises `UserError` for a
    file that cannot be read, that lacks one of them or has it in another shape, or that has other names than the first.
    """
    done: dict[int, Arrays] = {}
    again = "delete it to train its probes again"
    for path in sorted(folder.glob("timesteps-*.npz")):
        try:
            with np.load(path) as file:
                arrays = dict(file)
            found = split(arrays, arrays.pop("timesteps"))
        except (*UNREADABLE, IndexError) as error:
            raise UserError(f"{path} cannot be read ({error}); {again}") from error
        if fault := _fault(arrays, like, next(iter(done.values()), arrays)):
            raise UserError(f"{path} holds probes of another net, or of other features: {fault}; {again}")
        done |= found
    return done


def _fault(arrays: Arrays, like: PyTree, first: Arrays) -> str:
    """The first array [M, …] that differs from `like`, or that `first` has and `arrays` has not; or the reverse."""
    for place, leaf in jax.tree_util.tree_leaves_with_path(like):
        name = jax.tree_util.keystr(place, simple=True, separator="/")
        there = list(arrays[name].shape[1:]) if name in arrays else "missing"
        if there != list(leaf.shape):
            return f"{name} is {there} there and {list(leaf.shape)} here"
    other = sorted(first.keys() ^ arrays.keys())
    return f"{other[0]} is {'missing' if other[0] in first else 'only'} there" if other else ""


def stored_timesteps(folder: pathlib.Path) -> set[int]:
    """The timesteps of all chunks that can be read."""
    done: set[int] = set()
    for path in folder.glob("timesteps-*.npz"):
        try:
            with np.load(path) as file:
                done |= set(file["timesteps"].tolist())
        except UNREADABLE:
            continue
    return done


def split(arrays: Arrays, timesteps: Int[np.ndarray, " m"]) -> dict[int, Arrays]:
    """{timestep: {path: array}}."""
    return {int(t): {name: array[i] for name, array in arrays.items()} for i, t in enumerate(timesteps)}


def flatten(results: PyTree) -> Arrays:
    """The leaves by their path: {"probe": {"shape": a}} -> {"probe/shape": a}."""
    leaves = jax.tree_util.tree_leaves_with_path(results)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def unflatten(arrays: Mapping[str, np.ndarray]) -> Results:
    """Nested dicts by the parts of each path; a list comes back as a dict by position."""
    found: Results = {}
    for path, array in arrays.items():
        *parts, last = path.split("/")
        place = found
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = array
    return found


def restructure(results: PyTree, like: PyTree) -> PyTree:
    """The leaves of `results` in the structure of `like`, whose paths they have."""
    arrays = flatten(results)
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in flatten(like)])
