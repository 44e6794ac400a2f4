"""The devices, and a mesh of them with one axis, "data". Each device holds the whole state and a part of each batch."""

import os
from collections.abc import Callable

import jax
from jax.extend.backend import clear_backends
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from vdm_jax.base.errors import UserError

DATA = "data"
VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
EXTRAS = {"gpu": "cuda", "cuda": "cuda", "tpu": "tpu"}  # of this package, by the platform's name


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


def check_devices(start: Callable[[], object] = jax.devices) -> None:
    """Starts JAX's back end. Raises `UserError` that names the requested devices, those there are, and the way out."""
    try:
        start()
    except Exception as error:  # jax raises RuntimeError or AssertionError, and what a plugin raises
        raise UserError(no_device(_requested(), error, _there())) from error


def _requested() -> str:
    """ "JAX_PLATFORMS=gpu", or "" where no platform is requested."""
    asked = next((f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)), "")
    return asked or (f"jax_platforms={jax.config.jax_platforms}" if jax.config.jax_platforms else "")


def no_device(asked: str, error: Exception, there: str) -> str:
    """The sentence on a back end that did not start. asked: NAME=VALUE that requested it. there: what could be used."""
    reason = str(error).strip().partition("\n")[0].partition(" (set JAX_PLATFORMS")[0]
    if not asked:
        return f"JAX found no device ({reason or type(error).__name__}); JAX_PLATFORMS=cpu uses the CPU"
    name, _, value = asked.partition("=")
    if "known backends" in reason:  # of one of the names that a platform may have: no news
        reason = ""
    extras = sorted({EXTRAS[each] for each in value.lower().split(",") if each in EXTRAS})
    install = "".join(f", or install its driver and python -m pip install 'vdm-jax[{each}]'" for each in extras)
    told = f"{asked}: there is no such device ({reason})" if reason else f"{asked}: there is no such device"
    return f"{told}; there is {there}: unset {name}{install}"


def _there() -> str:
    """The devices that JAX finds where no platform is requested, such as "1 cpu"; the request stays as it was."""
    requested = jax.config.jax_platforms
    try:
        clear_backends()
        jax.config.update("jax_platforms", "")
        platforms = [device.platform for device in jax.devices()]
        return ", ".join(f"{platforms.count(name)} {name}" for name in dict.fromkeys(platforms))
    except Exception:  # of the back ends that nobody requested
        return "the CPU"
    finally:
        jax.config.update("jax_platforms", requested)
        clear_backends()  # with what was not requested nothing is computed later
