"""A batch over all devices, where it divides."""

import jax
from jaxtyping import PyTree

from vdm_jax.train.sharding import make_mesh, split_over_data


def across_devices(batch: PyTree) -> PyTree:
    """Every leaf's leading axis split over the devices; as it is where they do not divide it."""
    mesh = make_mesh()
    if any(leaf.shape[0] % mesh.size for leaf in jax.tree.leaves(batch)):
        return batch
    return jax.device_put(batch, split_over_data(mesh))
