"""A mesh of devices with one axis, "data". Each device holds the whole state and a part of each batch."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError

DATA = "data"


def make_mesh(num_devices: int | None = None) -> Mesh:
    """The first `num_devices` devices (None: all) along "data". Raises `UserError` if the machine has fewer."""
    devices = jax.devices()
    num_devices = len(devices) if num_devices is None else num_devices
    if not 1 <= num_devices <= len(devices):
        raise UserError(f"num_devices={num_devices}; this machine has {len(devices)} ({devices[0].platform})")
    return jax.make_mesh((num_devices,), (DATA,), axis_types=(AxisType.Auto,), devices=devices[:num_devices])


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split_over_data(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Each device holds an equal piece of the array along `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Puts all of `tree` on every device of the mesh. A train step takes its state and its data in this form."""
    return jax.device_put(tree, replicated(mesh))


def across_devices(batch: PyTree) -> PyTree:
    """Splits the leading axis of every leaf over all devices. Returns `batch` unchanged if the devices do not divide
    that axis."""
    mesh = make_mesh()
    if any(leaf.shape[0] % mesh.size for leaf in jax.tree.leaves(batch)):
        return batch
    return jax.device_put(batch, split_over_data(mesh))
