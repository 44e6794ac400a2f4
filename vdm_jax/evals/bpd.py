"""The bound over a whole split with several noise passes; its standard error is taken over images."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Integer, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.likelihood import bits_per_dim

TermsFn = Callable[[Any, Key[Array, " b"], Float[Array, " b"], Any], dict[str, Float[Array, "b ..."]]]


class BoundEstimate(NamedTuple):
    """Each quantity by its name, float64. A quantity of shape [B, ...] in a batch is [N, ...] here, then [...]."""

    per_image: dict[str, np.ndarray]  # [N, ...], the average over the passes
    mean: dict[str, np.ndarray]  # [...], over images
    standard_error: dict[str, np.ndarray]  # [...], of that mean: deviation over images / sqrt(N)
    num_images: int
    passes: int


def evaluate_bound(
    terms_fn: TermsFn,
    params: PyTree,
    data: PyTree,
    *,
    passes: int,
    batch_size: int,
    key: Key[Array, ""],
    progress: Callable[[range], Iterable[int]] = iter,
    place: Callable[[PyTree], PyTree] = lambda batch: batch,
) -> BoundEstimate:
    """Averages `terms_fn(params, keys [B], t [B], batch) -> {name: [B, ...]}` over all N images and all passes.

    data: a pytree of arrays with N in front (levels; or levels with labels, with codes, with levels of another image);
    `batch` is its slice. Image n has its own key in pass p, and the time that `image_times` gives it. Nothing depends
    on `batch_size` but the rounding. `jax.vmap(..., (None, 0, 0, 0))` makes a `terms_fn` of a function of one image;
    a chain takes `times.to_steps` or `to_entries` of t. A curve is a term of shape [B, M]. The last batch is filled up
    with copies, which are dropped again. The compiled program is kept for the next call with the same `terms_fn`
    object and the same shapes of a batch, whatever the number of images and of passes. `progress` wraps the range of
    batches (tqdm); `place` puts a batch on its devices. The standard error takes images as independent; the stratified
    times make it an upper estimate.
    """
    data = jax.tree.map(np.asarray, data)
    sizes = {len(leaf) for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or passes < 1 or batch_size < 1:
        raise UserError(
            f"passes={passes}, batch_size={batch_size}, {sorted(sizes)} images; expected at least 1, one size"
        )
    num_images = sizes.pop()
    batch_size = min(batch_size, num_images)
    everyone = jnp.arange(num_images, dtype=jnp.int32)
    times = np.stack([image_times(key, p, everyone, num_images, passes) for p in range(passes)])
    sums: dict[str, np.ndarray] = {}
    for start in progress(range(0, num_images, batch_size)):
        stop = min(start + batch_size, num_images)
        indices = np.minimum(np.arange(start, start + batch_size), num_images - 1).astype(np.int32)
        batch = place(jax.tree.map(lambda leaf, chosen=indices: leaf[chosen], data))
        for p in range(passes):
            for name, values in _terms(terms_fn, params, key, p, indices, times[p, indices], batch).items():
                total = sums.setdefault(name, np.zeros((num_images, *values.shape[1:])))
                total[start:stop] += np.asarray(values, np.float64)[: stop - start]
    return summarise({name: total / passes for name, total in sums.items()}, passes)


def summarise(per_image: dict[str, Float[np.ndarray, "n ..."]], passes: int) -> BoundEstimate:
    """Means over images and their standard errors (0 for a single image)."""
    num_images = len(next(iter(per_image.values())))
    spread = {name: values.std(0, ddof=1 if num_images > 1 else 0) for name, values in per_image.items()}
    return BoundEstimate(
        per_image,
        mean={name: values.mean(0) for name, values in per_image.items()},
        standard_error={name: values / np.sqrt(num_images) for name, values in spread.items()},
        num_images=num_images,
        passes=passes,
    )


def image_times(
    key: Key[Array, ""], p: Integer[Array, ""] | int, indices: Int32[Array, " b"], num_images: int, passes: int
) -> Float[Array, " b"]:
    """Times in [0, 1) of the images `indices` in pass p: `t = mod((p + u_p) / P + pi_n / N, 1)`, u_p uniform on [0, 1].

    Stratified both ways: the times of the N images of a pass are 1/N apart, and the P times of an image fall into P
    equal parts of the circle. Each single t is uniform over `key`, so that the average is unbiased. pi is a random
    permutation: an order of the images, by class for example, is no order in time.
    """
    u = jax.random.uniform(named_key(jax.random.fold_in(key, p), "times"))
    ranks = jax.random.permutation(named_key(key, "ranks"), num_images)[indices]
    return jnp.mod((p + u) / passes + ranks.astype(jnp.float32) / num_images, 1.0)


@partial(jax.jit, static_argnums=0)
def _terms(
    terms_fn: TermsFn,
    params: PyTree,
    key: Key[Array, ""],
    p: Integer[Array, ""],
    indices: Int32[Array, " b"],
    t: Float[Array, " b"],
    batch: PyTree,
) -> dict[str, Float[Array, "b ..."]]:
    """The terms of one batch in pass p."""
    pass_key = jax.random.fold_in(named_key(key, "noise"), p)
    keys = jax.vmap(partial(jax.random.fold_in, pass_key))(indices)
    return terms_fn(params, keys, t, batch)


NAMES = {"rate": "encoder_kl", "bound_bpd": "bpd"}  # of evaluate.json


def in_units(means: dict[str, Any], errors: dict[str, Any], num_dims: int) -> dict[str, float]:
    """Means in nats with their standard errors as `…_bpd` and `…_nats`, each with `…_standard_error`."""
    found = {}
    for name, mean in means.items():
        for unit, scale in {"bpd": bits_per_dim(1.0, num_dims), "nats": 1.0}.items():
            key_name = NAMES.get(f"{name}_{unit}") or f"{NAMES.get(name, name)}_{unit}"
            found[key_name] = float(mean) * scale
            found[f"{key_name}_standard_error"] = float(errors[name]) * scale
    return found
