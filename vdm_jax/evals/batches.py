"""Applies a compiled function to more images than one call can take."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, Shaped


def map_batches(
    apply: Callable[[Any], PyTree],
    images: Shaped[np.ndarray, "n ..."],
    batch_size: int,
    *,
    progress: Callable[[range], Iterable[int]] = iter,
    place: Callable[[Any], Any] = lambda batch: batch,
    whole: bool = False,
) -> PyTree:
    """Applies `apply(batch) -> arrays [B, ...]` to all N images. -> arrays [N, ...] on the host.

    The last batch is filled with copies, whose results are dropped, so that all batches have one compiled program.

    Args:
        progress: wraps the range of batches (tqdm).
        place: puts a batch on its devices.
        whole: fewer images than a batch are also filled up, for one program in all calls.
    """
    batch_size = batch_size if whole else min(batch_size, len(images))
    parts = []
    for start in progress(range(0, len(images), batch_size)):
        indices = np.minimum(np.arange(start, start + batch_size), len(images) - 1)
        parts.append(jax.device_get(apply(place(images[indices]))))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[: len(images)], *parts)
