"""A degradation of the user: a function module:name of images and times, checked before it is used."""

import functools
import hashlib
import importlib
import inspect
import os
import sys

import jax
import jax.numpy as jnp

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.diffusion.degradation.functions import Degrade

SETTING = "config.degradation.function"
TAKES = "a function of images [B, H, W, C] and times [B] in [0, 1] that returns images [B, H, W, C]"


def user_degradation(text: str, shape: tuple[int, int, int]) -> Degrade:
    """The function `text`, written module:name; the module is looked up as by `python -m` in the current folder.

    Raises `UserError` where there is none, or where it does not return images of `shape` for images of it.
    """
    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise UserError(f"{SETTING}={text!r}; expected module:name, {TAKES}")
    function = getattr(_module(text, module_name), name, None)
    if not callable(function):
        near = suggestion(name, [each for each in vars(sys.modules[module_name]) if not each.startswith("_")])
        raise UserError(f"{SETTING}={text!r}: {module_name} has no function {name!r}{near}")
    _check(text, function, shape)
    return function


def fingerprint_of(function: Degrade, text: str) -> str:
    """12 hex digits of the source of the module of `function`, or of the name where there is no source: another source
    is another D.

    text: module:name, as of `user_degradation`. Of a `functools.partial` the sources are those of the module of what it
    calls and of this one, which holds its arguments.
    """
    modules = [inspect.getmodule(function)]
    if isinstance(function, functools.partial):  # its own module is functools
        modules = list(dict.fromkeys((inspect.getmodule(function.func), sys.modules.get(text.partition(":")[0]))))
    try:
        source = "".join(inspect.getsource(module or function) for module in modules)
    except (OSError, TypeError):
        source = repr(getattr(function, "__qualname__", function))
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _module(text: str, name: str):
    added = os.getcwd()
    sys.path.insert(0, added)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the module of the user raises
        why = f"{type(error).__name__}: {_first_line(error)}"
        raise UserError(f"{SETTING}={text!r}: {name} cannot be imported from {added} ({why})") from error
    finally:
        sys.path.remove(added)


def _check(text: str, function: Degrade, shape: tuple[int, int, int]) -> None:
    for batch in (2, 3):
        x = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
        t = jax.ShapeDtypeStruct((batch,), jnp.float32)
        try:
            found = jax.eval_shape(function, x, t)
        except Exception as error:  # whatever the function of the user raises
            why = f"{type(error).__name__}: {_first_line(error)}"
            raise UserError(f"{SETTING}={text!r} fails on images {list(x.shape)} ({why}); expected {TAKES}") from error
        if getattr(found, "shape", None) != x.shape:
            own = list(found.shape) if hasattr(found, "shape") else type(found).__name__
            raise UserError(f"{SETTING}={text!r} returns {own} for images {list(x.shape)}; expected the same shape")
        if not jnp.issubdtype(found.dtype, jnp.floating):
            raise UserError(f"{SETTING}={text!r} returns {found.dtype}; expected floating-point pixels")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or "no message"
