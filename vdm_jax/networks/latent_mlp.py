"""Denoisers of vectors z_t, those of the thesis (section 4.3.5): DIFF-MLP, DIFF-ResMLP and DIFF-ConcMLP.

Each layer passes the sinusoidal embedding of the time through an MLP of two layers of its own, and adds the result to
the features, or concatenates it with them.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vdm_jax.base.errors import choose
from vdm_jax.networks.blocks import Dense, scaled_fan_in, time_embedding
from vdm_jax.networks.denoiser import make_denoiser
from vdm_jax.networks.network import Network

EMBEDDING = 128  # numbers of the embedding of the time
LATENT_MLPS = {
    "mlp": "DIFF-MLP: h = swish(dense(h) + time)",
    "resmlp": "DIFF-ResMLP: h = h + dense(swish(dense(swish(norm(h))) + time))",
    "concmlp": "DIFF-ConcMLP: h = swish(dense([h, time]))",
}


class LatentMlp(nn.Module):
    """`num_layers` layers of one width, by `LATENT_MLPS`, then a dense layer to the values of z."""

    kind: str
    width: int
    num_layers: int
    zero_init: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, z: Float[Array, "b d"], t: Float[Array, " b"], w: None = None, *, train: bool):
        embedding = time_embedding(t, EMBEDDING)

        def dense(h, name):
            return Dense(self.width, dtype=self.dtype, name=name)(h)

        def norm(h, name):
            return nn.silu(nn.LayerNorm(dtype=self.dtype, name=name)(h))

        residual = self.kind == "resmlp"
        h = dense(z, "in") if residual else z
        for i in range(self.num_layers):
            time = dense(nn.silu(dense(embedding, f"time{i}_1")), f"time{i}_2")
            if residual:
                h = h + dense(nn.silu(dense(norm(h, f"norm{i}"), f"first{i}") + time), f"second{i}")
            elif self.kind == "mlp":
                h = nn.silu(dense(h, f"layer{i}") + time)
            else:
                h = nn.silu(dense(jnp.concatenate([h, time.astype(h.dtype)], axis=-1), f"layer{i}"))
        h = norm(h, "norm_out") if residual else h
        init = scaled_fan_in(0.0 if self.zero_init else 1.0)
        return Dense(z.shape[-1], kernel_init=init, dtype=self.dtype, name="out")(h).astype(z.dtype)


def make_latent_mlp(
    shape: tuple[int],
    *,
    kind: str = "resmlp",
    width: int = 512,
    num_layers: int = 4,
    zero_init: bool = True,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """`apply(params, z [B, D], t [B] in [0, 1], w=None, *, key=None) -> [B, D]`, float32.

    kind: one of `LATENT_MLPS`. zero_init: the output starts at 0. The embedding is that of the timestep 1000 t. There
    is no dropout: a key changes nothing.
    """
    choose("network", kind, LATENT_MLPS)
    return make_denoiser(LatentMlp(kind, width, num_layers, zero_init, dtype), shape, 0)
