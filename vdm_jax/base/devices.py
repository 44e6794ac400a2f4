"""The devices that JAX computes on, asked for before anything else: a missing one is reported in one sentence."""

import os
from collections.abc import Callable

import jax
from jax.extend.backend import clear_backends

from vdm_jax.base.errors import UserError

VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
EXTRAS = {"gpu": "cuda", "cuda": "cuda", "tpu": "tpu"}  # of this package, by the platform's name


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
