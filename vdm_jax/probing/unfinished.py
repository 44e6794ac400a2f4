"""Members whose training SIGTERM has stopped between two rounds: their state in a file, from which they go on."""

import pathlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, PyTree

from vdm_jax.base.files import write_npz
from vdm_jax.probing.chunks import UNREADABLE, flatten, restructure, unflatten

NUM_ROUNDS, TIMESTEPS, STATE = "num_rounds", "timesteps", "state"


class Unfinished(NamedTuple):
    """The file of one chunk of timesteps. That of another chunk, or one that cannot be read, is passed over."""

    path: pathlib.Path
    timesteps: Int[np.ndarray, " m"]

    def save(self, state: PyTree, num_rounds: int) -> None:
        """Writes the state after `num_rounds` rounds."""
        arrays = flatten({STATE: jax.device_get(state)})
        write_npz(self.path, arrays | {NUM_ROUNDS: np.array(num_rounds), TIMESTEPS: self.timesteps})

    def load(self, like: PyTree) -> tuple[PyTree, int] | None:
        """(state, rounds) that are stored; None where they are not of this chunk. like: shapes of the state."""
        try:
            with np.load(self.path) as file:
                arrays = dict(file)
            if not np.array_equal(arrays.pop(TIMESTEPS), self.timesteps):
                return None
            num_rounds = int(arrays.pop(NUM_ROUNDS))
            state = restructure(unflatten(arrays)[STATE], like)
        except UNREADABLE:
            return None
        same = jax.tree.map(lambda leaf, shape: (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype), state, like)
        return (state, num_rounds) if all(jax.tree.leaves(same)) else None

    def remove(self) -> None:
        """Called when what follows the training is stored."""
        self.path.unlink(missing_ok=True)
