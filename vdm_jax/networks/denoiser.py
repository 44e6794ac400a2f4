"""Any network that reads (z, t, w) as a pair of pure functions."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.base.errors import UserError
from vdm_jax.networks.blocks import init_params
from vdm_jax.networks.network import Network


def make_denoiser(net: nn.Module, shape: tuple[int, ...], w_dim: int) -> Network:
    """`apply(params, z [B, *shape], t [B] in [0, 1], w [B, w_dim] | None = None, *, key=None) -> [B, *shape]`.

    A key switches dropout on. Raises `UserError` for a w of another width.
    """

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *shape), (1,), *([(1, w_dim)] if w_dim else []))

    def apply(
        params: PyTree,
        z: Float[Array, "b ..."],
        t: Float[Array, " b"],
        w: Float[Array, "b d"] | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "b ..."]:
        rngs = None if key is None else {"dropout": key}
        return net.apply({"params": params}, z, t, fitting_code(w, z.shape[0], w_dim), train=key is not None, rngs=rngs)

    return Network(init, apply)


def without_input(network: Network) -> Network:
    """The denoiser without the z that U-Nets add to their output: zero where their last layer is zero."""

    def apply(params: PyTree, z: Float[Array, "b ..."], *inputs: Any, **settings: Any) -> Float[Array, "b ..."]:
        return network.apply(params, z, *inputs, **settings) - z

    return Network(network.init, apply)


def fitting_code(w: Float[Array, "b d"] | None, batch: int, w_dim: int) -> Float[Array, "b w_dim"] | None:
    """The code that a U-Net made for `w_dim` reads: w, or w = 0 for None; None for a U-Net without a code."""
    if w is None:
        return jnp.zeros((batch, w_dim)) if w_dim else None
    if w.shape[-1] != w_dim:
        raise UserError(f"the code has {w.shape[-1]} dimensions; this U-Net was made with w_dim={w_dim}")
    return w
