"""Variational diffusion models with a learned code, and the times at which features are destroyed and decided."""

import pathlib

_checkout = pathlib.Path(__file__).resolve().parent.parent
if not (_checkout / "vdm_jax" / "configs").is_dir() and (_checkout / "configs" / "base.py").is_file():
    # An installed package has its configs inside, as `vdm_jax.configs`. In a checkout they are beside it.
    __path__.append(str(_checkout))


def __getattr__(name: str):
    """`vdm_jax.load`, imported when it is first used: the rest of the package does without it."""
    if name == "load":
        from vdm_jax.experiments.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
