"""Ensembles larger than the memory: so many timesteps at a time, each chunk saved when it is done."""

import pathlib
import zipfile
import zlib
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Int, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_npz
from vdm_jax.probing.batching import in_turn
from vdm_jax.probing.ensemble import Ensemble
from vdm_jax.probing.feeds import Level

Arrays = dict[str, np.ndarray]  # of one timestep
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
# Of the parameters, as XLA allots them: themselves, the best, two moments of Adam; gradient, update, and what a loop
# writes beside what it reads. Of what the backward pass keeps: itself, its gradients, noise and images on the way.
COPIES = {"vmap": 7, "map": 12, "map_members": 12}
PASSES = 4


def chunk_size(ensemble: Ensemble, level: Level, num_timesteps: int, budget_bytes: int | float) -> int:
    """How many of `num_timesteps` train at once within `budget_bytes` on each device, all devices alike.

    A timestep needs what its level holds, its members' parameters with optimizer and best, and what the backward pass
    keeps of one batch; the latter once in all where timesteps follow each other, of one member where members do too.
    level: of one timestep. Raises `UserError` where not even one timestep a device fits.
    """
    state, kept = bytes_of_timestep(ensemble, level)
    every, once = (state, kept) if ensemble.objective.how.timesteps is in_turn else (state + kept, 0)
    size = int((budget_bytes - once) // every)
    if size < 1:
        told = f"a budget of {budget_bytes / 2**30:.3g} GiB; the members of one timestep need"
        raise UserError(f"{told} {(every + once) / 2**30:.3g} GiB on a device")
    devices = ensemble.mesh.size
    return devices * min(size, -(-num_timesteps // devices))


def bytes_of_timestep(ensemble: Ensemble, level: Level) -> tuple[int, int]:
    """(state, residuals), at most: from shapes alone."""

    def residuals(params):
        return ensemble.objective.residuals(params, ensemble.train_batches(jax.random.key(0), level), level["gamma"])

    params = jax.eval_shape(lambda key: ensemble.init(key[None]), jax.random.key(0))
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    state = COPIES[ensemble.batching] * num_bytes(params) + num_bytes(level)
    return state, PASSES * num_bytes(jax.eval_shape(residuals, params))


def num_bytes(shapes: PyTree) -> int:
    """Of all leaves."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def run_in_chunks(
    run: Callable[[Int[np.ndarray, " m"], Int[np.ndarray, " m"]], Arrays],
    timesteps: Int[np.ndarray, " m"],
    size: int,
    folder: pathlib.Path,
    say: Callable[[str], None] = lambda text: None,
) -> Arrays:
    """`run(index, timesteps)` for `size` timesteps at a time -> {name: [M, ...]}, in the order of `timesteps`.

    Every chunk is of one size, so that one program serves all: the last is filled up with timesteps that are done, and
    what comes of these is dropped. A chunk's arrays are saved whole in `folder`; what is there is not run again,
    whatever the size was then.
    """
    done = load_chunks(folder)
    left = [i for i, t in enumerate(timesteps.tolist()) if t not in done]
    for start in range(0, len(left), size):
        own = left[start : start + size]
        index = np.array(own + [own[-1]] * (size - len(own)))
        arrays = {name: np.asarray(array)[: len(own)] for name, array in run(index, timesteps[index]).items()}
        chunk = timesteps[own]
        write_npz(folder / f"timesteps-{chunk[0]:05d}-{chunk[-1]:05d}.npz", arrays | {"timesteps": chunk})
        done |= split(arrays, chunk)
        say(f"timesteps {chunk[0]} … {chunk[-1]} done")
    return {name: np.stack([done[t][name] for t in timesteps.tolist()]) for name in done[int(timesteps[0])]}


def load_chunks(folder: pathlib.Path) -> dict[int, Arrays]:
    """{timestep: {name: array}} of all chunks there are. Raises `UserError` for a file that cannot be read."""
    done: dict[int, Arrays] = {}
    for path in sorted(folder.glob("timesteps-*.npz")):
        try:
            with np.load(path) as file:
                arrays = dict(file)
            done |= split(arrays, arrays.pop("timesteps"))
        except UNREADABLE as error:
            raise UserError(f"{path} cannot be read ({error}); delete it to train its probes again") from error
    return done


def stored_timesteps(folder: pathlib.Path) -> set[int]:
    """Of all chunks that can be read."""
    done: set[int] = set()
    for path in folder.glob("timesteps-*.npz"):
        try:
            with np.load(path) as file:
                done |= set(file["timesteps"].tolist())
        except UNREADABLE:
            continue
    return done


def split(arrays: Arrays, timesteps: Int[np.ndarray, " m"]) -> dict[int, Arrays]:
    """By timestep."""
    return {int(t): {name: array[i] for name, array in arrays.items()} for i, t in enumerate(timesteps)}


def flat(params: PyTree) -> Arrays:
    """The leaves by "params/PATH"."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        f"params/{jax.tree_util.keystr(path, simple=True, separator='/')}": np.asarray(leaf) for path, leaf in leaves
    }


def unflat(arrays: Arrays, like: PyTree) -> PyTree:
    """The inverse of `flat`, in the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in flat(like)])
