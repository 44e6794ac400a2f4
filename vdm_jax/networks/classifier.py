"""A small classifier. The Fréchet distance uses its features and is named after it."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from vdm_jax.networks.blocks import Conv, Dense, GroupNorm, default_groups, init_params
from vdm_jax.networks.halving import HalvingConv
from vdm_jax.networks.network import Network

DROPOUT = 0.1


class Classifier(nn.Module):
    """conv, conv-norm-swish stages of stride 2 down to at most 4 pixels a side, pooled features, a linear layer.

    Without pooling the features keep positions."""

    num_classes: int
    width: int
    num_stages: int
    pooled: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> tuple[Float[Array, "b k"], Float[Array, "b f"]]:
        def stage(conv, h, channels, name):
            h = conv(channels, dtype=self.dtype, name=name)(h)
            return nn.silu(GroupNorm(default_groups(channels), self.dtype, name=f"{name}_norm")(h))

        same, halving = partial(Conv, kernel_size=(3, 3)), partial(HalvingConv, side=3)
        h = stage(same, x, self.width, "conv_in")
        for i in range(self.num_stages):
            h = stage(halving, h, 2 * self.width, f"stage{i}")
        h = stage(same, h, 2 * self.width, "conv_out")
        h = h.astype(jnp.float32)
        features = h.mean((1, 2)) if self.pooled else h.reshape(h.shape[0], -1)
        kept = nn.Dropout(DROPOUT, deterministic=not train)(features)
        return Dense(self.num_classes, name="logits")(kept), features


def make_classifier(
    image_shape: tuple[int, int, int],
    num_classes: int,
    width: int = 32,
    dtype: DTypeLike = jnp.float32,
    pooled: bool = True,
) -> Network:
    """`apply(params, x [B, H, W, C], *, key=None) -> (logits [B, num_classes], features [B, 2 width])`, float32.

    pooled: the features are means over the last pixels (at most 4x4); False: all of these values."""
    side, num_stages = max(image_shape[:2]), 0
    while side > 4:
        side, num_stages = -(-side // 2), num_stages + 1
    net = Classifier(num_classes, width, num_stages, pooled, dtype)

    def init(key: Key[Array, ""]) -> PyTree:
        return init_params(net, key, (1, *image_shape))

    def apply(
        params: PyTree, x: Float[Array, "b h w c"], *, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "b k"], Float[Array, "b f"]]:
        rngs = None if key is None else {"dropout": key}
        return net.apply({"params": params}, x, train=key is not None, rngs=rngs)

    return Network(init, apply)
