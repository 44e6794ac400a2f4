"""One axis of devices, "data": the state on each of them whole, a batch split over its examples."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError

DATA = "data"


def make_mesh(num_devices: int | None = None) -> Mesh:
    """The first `num_devices` devices (None: all) along "data". `UserError` where there are fewer."""
    devices = jax.devices()
    num_devices = len(devices) if num_devices is None else num_devices
    if not 1 <= num_devices <= len(devices):
        raise UserError(f"num_devices={num_devices}; this machine has {len(devices)} ({devices[0].platform})")
    return jax.make_mesh((num_devices,), (DATA,), axis_types=(AxisType.Auto,), devices=devices[:num_devices])


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_over_data(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The array's `axis` cut into as many equal pieces as there are devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """`tree` on every device of the mesh, as a train step takes its state and the data it gathers batches from."""
    return jax.device_put(tree, replicated(mesh))


def across_devices(batch: PyTree) -> PyTree:
    """Splits every leaf's leading axis over all devices; a batch that they do not divide stays as it is."""
    mesh = make_mesh()
    if any(leaf.shape[0] % mesh.size for leaf in jax.tree.leaves(batch)):
        return batch
    return jax.device_put(batch, split_over_data(mesh))
