"""The VAE of the backbone `fc` of `networks.autoencoder` in PyTorch, trained member after member.

Needs the extra `peers`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import PyTree
from torch import nn

from vdm_jax.benchmarks.peer_networks import copy_params
from vdm_jax.benchmarks.peer_steps import finish
from vdm_jax.experiments.autoencoder.at_once import MemberTraining
from vdm_jax.networks.autoencoder import HIGHEST_LOGVAR, LOWEST_LOGVAR, OUTPUT


class PeerCase(NamedTuple):
    """What is trained. levels: [N, H, W, 1], 0 or 1; pixel_values: of these two."""

    name: str
    members: Sequence[MemberTraining]
    levels: np.ndarray
    pixel_values: np.ndarray


class TorchVectorEncoder(nn.Module):
    """mean, logvar of `VectorEncoder`."""

    def __init__(self, shapes: PyTree):
        super().__init__()
        self.num_downs = sum(name.startswith("down") for name in shapes)
        for i in range(self.num_downs):
            *_, c_in, c_out = shapes[f"down{i}"]["kernel"].shape
            self.add_module(f"down{i}", nn.Conv2d(c_in, c_out, 4, stride=2, padding=1))
        self.dense, self.moments = (nn.Linear(*shapes[name]["kernel"].shape) for name in ("dense", "moments"))

    def forward(self, x):
        for i in range(self.num_downs):
            x = F.silu(getattr(self, f"down{i}")(x))
        h = F.silu(self.dense(x.permute(0, 2, 3, 1).flatten(1)))
        mean, logvar = self.moments(h).chunk(2, dim=1)
        return mean, logvar.clamp(LOWEST_LOGVAR, HIGHEST_LOGVAR)


class TorchVectorDecoder(nn.Module):
    """The logits of `VectorDecoder`."""

    def __init__(self, shapes: PyTree, grid: tuple[int, int]):
        super().__init__()
        self.grid = grid
        self.dense_in, self.dense = (nn.Linear(*shapes[name]["kernel"].shape) for name in ("dense_in", "dense"))
        self.ups = [f"up{i}" for i in range(sum(name.startswith("up") for name in shapes))] + [OUTPUT]
        for name in self.ups:
            *_, c_in, c_out = shapes[name]["kernel"].shape
            self.add_module(name, nn.Conv2d(c_in, c_out, 3, padding=1))

    def forward(self, u):
        h = F.silu(self.dense(F.silu(self.dense_in(u))))
        h = h.unflatten(1, (*self.grid, -1)).permute(0, 3, 1, 2)
        for name in self.ups:
            h = F.pixel_shuffle(getattr(self, name)(h), 2)
            h = h if name == OUTPUT else F.silu(h)
        return h


class TorchVae(nn.Module):
    """D + R of each image of a batch of levels [B, 1, H, W] (0 or 1), nats. Starts from the weights `params`."""

    def __init__(self, params: PyTree, pixel_values: np.ndarray, shape: tuple[int, int, int]):
        super().__init__()
        self.encoder = TorchVectorEncoder(params["encoder"])
        factor = 2 ** (1 + sum(name.startswith("up") for name in params["decoder"]))
        self.decoder = TorchVectorDecoder(params["decoder"], (shape[0] // factor, shape[1] // factor))
        self.low, self.high = (float(value) for value in pixel_values)
        copy_params(params["encoder"], self.encoder)
        copy_params(shuffled(params["decoder"]), self.decoder)

    def forward(self, levels):
        bits = levels.float()
        mean, logvar = self.encoder(self.low + (self.high - self.low) * bits)
        u = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        distortion = F.binary_cross_entropy_with_logits(self.decoder(u), bits, reduction="none").flatten(1).sum(1)
        return distortion + self.rate(mean, logvar)

    @staticmethod
    def rate(mean, logvar):
        return 0.5 * (mean**2 + torch.exp(logvar) - logvar - 1).sum(1)


def shuffled(decoder: PyTree) -> PyTree:
    """Our weights with the outputs of the convolutions in the order of PyTorch's `pixel_shuffle`: the channel first,
    then the place in the 2 x 2 pixels."""

    def reordered(leaf):
        array = np.asarray(leaf)
        return array.reshape(*array.shape[:-1], 4, -1).swapaxes(-1, -2).reshape(array.shape)

    return {
        name: {kind: reordered(leaf) for kind, leaf in layer.items()} if name == OUTPUT or name[:2] == "up" else layer
        for name, layer in decoder.items()
    }


def make_train(case: PeerCase, device: str, *, channels_last: bool, compiled: bool) -> Callable[[int], None]:
    """`run(n)`: n updates of each member, one member after the other: a batch of the images kept on the device, the
    loss, clipping, Adam (fused), and the average of the weights."""

    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if channels_last else torch.contiguous_format
    levels = torch.tensor(case.levels.transpose(0, 3, 1, 2), device=device).contiguous(memory_format=layout)
    members = []
    for member in case.members:
        config = member.config.train
        model = TorchVae(member.params, case.pixel_values, case.levels.shape[1:]).to(device).to(memory_format=layout)
        params = list(model.parameters())
        optimizer = torch.optim.Adam(params, lr=config.learning_rate, betas=(config.b1, config.b2), fused=True)
        averages = [p.detach().clone() for p in params]
        members.append((torch.compile(model) if compiled else model, params, averages, optimizer, config))

    def run(count: int) -> None:
        for loss_of, params, averages, optimizer, config in members:
            for _ in range(count):
                batch = levels[torch.randint(len(levels), (config.batch_size,), device=device)]
                optimizer.zero_grad(set_to_none=True)
                loss_of(batch).mean().backward()
                nn.utils.clip_grad_norm_(params, config.clip)
                optimizer.step()
                torch._foreach_lerp_(averages, [p.detach() for p in params], 1 - config.ema_decay)
        finish(device)

    return run
