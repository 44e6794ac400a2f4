"""The same U-Net and encoder in PyTorch, with the same layers and names, for comparison.

`copy_params` copies our weights into them; the outputs are then equal. They need the extra `peers`.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vdm_jax.networks.blocks import default_groups
from vdm_jax.networks.sizes import ENCODER_SIZES, UNET_SIZES
from vdm_jax.networks.unet import CODE_TIME_WIDTH


def conv(c_in: int, c_out: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, size, padding=size // 2)


def norm(groups: int, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=1e-6)


class TorchResBlock(nn.Module):
    """norm-swish-conv, + condition, norm-swish-dropout-conv, + skip."""

    def __init__(self, c_in: int, channels: int, groups: int, dropout: float, condition: int = 0):
        super().__init__()
        self.norm1, self.conv1 = norm(groups, c_in), conv(c_in, channels)
        self.norm2, self.conv2 = norm(groups, channels), conv(channels, channels)
        self.condition = nn.Linear(condition, channels, bias=False) if condition else None
        self.skip = conv(c_in, channels, 1) if c_in != channels else None
        self.dropout = dropout

    def forward(self, h, condition=None):
        out = self.conv1(F.silu(self.norm1(h)))
        if self.condition is not None:
            out = out + self.condition(condition)[:, :, None, None]
        out = self.conv2(F.dropout(F.silu(self.norm2(out)), self.dropout, self.training))
        return out + (h if self.skip is None else self.skip(h))


class TorchAttention(nn.Module):
    """Attention with one head over all pixels (PyTorch's fused attention), added to its input."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = norm(groups, channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, h):
        b, c, height, width = h.shape
        flat = self.norm(h).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(flat).chunk(3, dim=-1)
        mixed = self.out(F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0])
        return h + mixed.transpose(1, 2).reshape(b, c, height, width)


class TorchUNet(nn.Module):
    """eps_hat(z_t, t, w) of `vdm_jax.networks.unet` with conditioning "concat"."""

    def __init__(self, size: str, w_dim: int, dropout: float = 0.1):
        super().__init__()
        channels, self.num_blocks = UNET_SIZES[size]["channels"], UNET_SIZES[size]["num_blocks"]
        groups, condition = default_groups(channels), CODE_TIME_WIDTH + w_dim
        self.channels = channels
        self.time1, self.time2 = nn.Linear(channels, CODE_TIME_WIDTH), nn.Linear(CODE_TIME_WIDTH, CODE_TIME_WIDTH)
        self.conv_in, self.conv_out = conv(1, channels), conv(channels, 1)
        self.norm_out = norm(groups, channels)
        self.attention = TorchAttention(channels, groups)
        widths = {f"down{i}": channels for i in range(self.num_blocks)} | {"mid1": channels, "mid2": channels}
        widths |= {f"up{i}": 2 * channels for i in range(self.num_blocks + 1)}
        self.blocks = nn.ModuleDict(
            {name: TorchResBlock(width, channels, groups, dropout, condition) for name, width in widths.items()}
        )

    def forward(self, z, t, w):
        half = self.channels // 2
        rates = torch.exp(-math.log(10_000.0) * torch.arange(half, device=t.device) / (half - 1))
        angles = 1000.0 * t[:, None] * rates
        time = torch.cat([angles.sin(), angles.cos()], dim=1)
        condition = torch.cat([F.silu(self.time2(F.silu(self.time1(time)))), w], dim=1)
        h = self.conv_in(z)
        skips = [h]
        for i in range(self.num_blocks):
            h = self.blocks[f"down{i}"](h, condition)
            skips.append(h)
        h = self.blocks["mid2"](self.attention(self.blocks["mid1"](h, condition)), condition)
        for i in range(self.num_blocks + 1):
            h = self.blocks[f"up{i}"](torch.cat([h, skips.pop()], dim=1), condition)
        return z + self.conv_out(F.silu(self.norm_out(h))).float()


class TorchEncoder(nn.Module):
    """mu, logvar of `vdm_jax.networks.encoder`."""

    def __init__(self, name: str, side: int, dropout: float = 0.1):
        super().__init__()
        size = ENCODER_SIZES[name]
        channels, groups = size["channels"], size["groups"]
        self.conv_in, self.conv_out = conv(1, channels), conv(channels, 1)
        self.norm_out = norm(groups, channels)
        self.attention = TorchAttention(channels, groups)
        names = [f"block{i}" for i in range(size["layers"])] + ["mid1", "mid2"]
        self.blocks = nn.ModuleDict({name: TorchResBlock(channels, channels, groups, dropout) for name in names})
        self.moments = nn.Linear(side * side, 2 * size["w_dim"])

    def forward(self, x):
        h = self.conv_in(x)
        for name, block in self.blocks.items():
            h = block(h)
            if name == "mid1":
                h = self.attention(h)
        h = self.conv_out(F.silu(self.norm_out(h)))
        return self.moments(h.flatten(1).float()).chunk(2, dim=1)


def copy_params(params: dict, module: nn.Module) -> None:
    """Copies the weights of our network into `module`. Raises KeyError or RuntimeError if their parameters differ."""
    state = {}
    for path, value in _leaves(params):
        *place, kind = path
        place = ["blocks", *place] if hasattr(module, "blocks") and place[0] in module.blocks else place
        array = np.asarray(value)
        if kind == "kernel":
            array = np.moveaxis(array, (-1, -2), (0, 1))  # [..., in, out] -> [out, in, ...]
        name = {"kernel": "weight", "scale": "weight", "bias": "bias"}[kind]
        state[".".join([*place, name])] = torch.tensor(array.copy())
    module.load_state_dict(state)


def _leaves(tree: dict, path: tuple[str, ...] = ()):
    for name, value in tree.items():
        yield from _leaves(value, (*path, name)) if isinstance(value, dict) else [((*path, name), value)]
