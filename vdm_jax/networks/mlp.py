"""A denoiser of vectors z_t: for latent codes."""

import flax.linen as nn
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.networks.blocks import ZEROS, Dense, init_params, time_embedding
from vdm_jax.networks.network import Network


class MlpDenoiser(nn.Module):
    """Residual blocks norm-swish-dense-(+ time)-swish-dense of one width; the output starts at zero."""

    width: int
    num_blocks: int

    @nn.compact
    def __call__(self, z: Float[Array, "b d"], t: Float[Array, " b"], *, train: bool) -> Float[Array, "b d"]:
        time = nn.silu(Dense(self.width, name="time")(time_embedding(t, self.width)))
        h = Dense(self.width, name="in")(z)
        for i in range(self.num_blocks):
            inner = Dense(self.width, name=f"first{i}")(nn.silu(nn.LayerNorm(name=f"norm{i}")(h)))
            inner = nn.silu(inner + Dense(self.width, name=f"time{i}")(time))
            h = h + Dense(self.width, name=f"second{i}")(inner)
        return Dense(z.shape[-1], kernel_init=ZEROS, name="out")(nn.silu(nn.LayerNorm(name="norm_out")(h)))


def make_mlp_denoiser(dim: int, *, width: int, num_blocks: int) -> Network:
    """`apply(params, z [B, dim], t [B] in [0, 1]) -> [B, dim]`, zero at the start. `width` is even, at least 4."""
    net = MlpDenoiser(width, num_blocks)

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, dim), (1,))

    def apply(params: PyTree, z: Float[Array, "b d"], t: Float[Array, " b"]) -> Float[Array, "b d"]:
        return net.apply({"params": params}, z, t, train=False)

    return Network(init, apply)
