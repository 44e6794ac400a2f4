"""Images that chains of restorations make, batch by batch, each from its own key."""

from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.keys import keys_of
from vdm_jax.base.mesh import across_devices
from vdm_jax.diffusion.degradation.chains import even_times
from vdm_jax.experiments.degradation.samplings import Generation
from vdm_jax.experiments.degradation.starts import DrawStart
from vdm_jax.models.degradation import RestorationModel

Pixels = Float[np.ndarray, "n h w c"]


def generate_restored(
    model: RestorationModel,
    params: PyTree,
    key: Key[Array, ""],
    number: int,
    way: Generation,
    draw: DrawStart,
    *,
    batch_size: int,
    first: int = 0,
    keep: tuple[int, ...] = (),
    progress: Callable[[range], Iterable[int]] = iter,
) -> Iterator[tuple[Pixels, Float[np.ndarray, "b k h w c"]]]:
    """Images `first` … N - 1 of N = `number` as pixels, and z at the steps `keep`, in batches.

    Image i depends on `key` and i alone. draw: of `make_starts`, the start of `way`.
    """
    batch_size, times = min(batch_size, number), even_times(way.num_steps, model.num_steps)
    for start in progress(range(first, number, batch_size)):
        index = np.minimum(np.arange(start, start + batch_size), number - 1)
        keys = across_devices(keys_of(key, jnp.asarray(index)))
        z, kept = model.run_back(params, keys, draw(keys, index), times, way.method, keep=keep)
        size = min(batch_size, number - start)
        z, kept = jax.device_get((z, kept))
        chain = np.stack(kept, axis=1) if keep else np.zeros((len(z), 0, *z.shape[1:]), np.float32)
        yield np.asarray(z[:size]), chain[:size]
