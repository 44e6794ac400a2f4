"""The same probes in PyTorch, trained one after the other: dense nets, convolutions and matched filters.

Needs the extra `peers`.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vdm_jax.benchmarks.peer_steps import finish
from vdm_jax.benchmarks.probe_cases import (
    CLIP,
    GRID,
    HIDDEN,
    LEARNING_RATE,
    NUM_TEMPLATES,
    WINDOW,
    ProbeCase,
    conditions_of,
    make_ensemble,
)
from vdm_jax.data.sprites import load_sprites
from vdm_jax.probing.matched import READOUT_GAIN, SHARPEST


class Matched(nn.Module):
    """`vdm_jax.probing.nets.apply_matched` for outputs that are all logits (`categorical`), or all values."""

    def __init__(self, side: int, num_outputs: int, categorical: bool):
        super().__init__()
        places = side - WINDOW + 1
        sizes = {"template": NUM_TEMPLATES, "row": places, "column": places}
        self.templates = nn.Parameter(0.1 * torch.randn(NUM_TEMPLATES, 1, WINDOW, WINDOW))
        self.level = nn.Parameter(torch.zeros(NUM_TEMPLATES))
        self.bias = nn.ParameterDict({name: torch.zeros(size) for name, size in sizes.items()})
        self.readout = nn.ParameterDict(
            {name: 0.1 / READOUT_GAIN * torch.randn(size, num_outputs) for name, size in sizes.items()}
        )
        self.output_bias = nn.Parameter(torch.zeros(1, num_outputs))
        self.categorical = categorical

    def forward(self, z, gamma):
        alpha = torch.sqrt(torch.sigmoid(-gamma))
        sharpness = torch.clamp(alpha * (1 + torch.exp(-gamma)), max=SHARPEST)
        logits = sharpness * F.conv2d(z, self.templates)  # [B, N, rows, columns]
        bias, readout = ({k: READOUT_GAIN * leaf for k, leaf in group.items()} for group in (self.bias, self.readout))
        logits = logits + (bias["template"] - sharpness * alpha * self.level)[:, None, None]
        logits = logits + bias["row"][:, None] + bias["column"]
        p = logits.flatten(1).softmax(1).reshape(logits.shape)
        marginals = {"template": p.sum((2, 3)), "row": p.sum((1, 3)), "column": p.sum((1, 2))}
        out = READOUT_GAIN * self.output_bias
        for name, m in marginals.items():
            if self.categorical:
                top = readout[name].detach().amax(0, keepdim=True)
                tiny = float(np.finfo(np.float32).tiny)
                out = out + top + torch.log(m @ torch.exp(readout[name] - top) + tiny)
            else:
                out = out + m @ readout[name]
        return out


class TorchConv(nn.Module):
    """4x4 convolutions two pixels apart, relu, and a linear layer over all places."""

    def __init__(self, side: int, channels: tuple[int, ...], num_outputs: int):
        super().__init__()
        sizes = [1, *channels]
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(sizes, channels, strict=False)]
        )
        self.readout = nn.Linear(channels[-1] * (side // 2 ** len(channels)) ** 2, num_outputs)

    def forward(self, z, gamma):
        for layer in self.convolutions:
            z = F.relu(layer(z))
        return self.readout(z.permute(0, 2, 3, 1).flatten(1))


class Dense(nn.Module):
    """relu between linear layers; one layer is a linear probe."""

    def __init__(self, sizes: list[int]):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)])

    def forward(self, z, gamma):
        h = z.flatten(1)
        for layer in self.layers[:-1]:
            h = F.relu(layer(h))
        return self.layers[-1](h)


def make_probe(case: ProbeCase, num_outputs: int, categorical: bool) -> nn.Module:
    """One member's net."""
    side = load_sprites(GRID).side
    if case.net == "matched":
        return Matched(side, num_outputs, categorical)
    if case.net == "conv":
        return TorchConv(side, HIDDEN["conv"], num_outputs)
    return Dense([side**2, *HIDDEN[case.net], num_outputs])


def make_train(
    several: int, case: ProbeCase, device: str, *, channels_last: bool, compiled: bool
) -> Callable[[int], None]:
    """`run(n)`: n updates of each of `several` members, one after the other: a batch of the images kept on the device,
    noise, the loss of a feature, clipping, Adam (fused where there is one)."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    grid, members = load_sprites(GRID), make_ensemble(case, "vmap").members
    images = torch.tensor(np.asarray(grid.render(jnp.arange(len(grid)))), device=device).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    factors = grid.factors(np.arange(len(grid)))
    gammas = [torch.tensor(float(gamma), device=device) for gamma in conditions_of(several)["gamma"]]
    probes = []
    for member in range(several):
        name = case.features[member % len(case.features)]
        head = members.heads[name]
        net = make_probe(case, members.num_outputs, head.categorical).to(device)
        optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
        if head.categorical:
            targets = torch.tensor(factors[name], device=device)
        else:
            values = (head.feature.values - head.mean) / np.sqrt(head.feature.variance)
            targets = torch.tensor(values[factors[name]], device=device, dtype=torch.float32)
        forward = torch.compile(net) if compiled else net
        probes.append((net, forward, optimizer, head, targets, gammas[member]))

    def run(count: int) -> None:
        for _ in range(count):
            for net, forward, optimizer, head, targets, gamma in probes:
                index = torch.randint(len(images), (case.batch_size,), device=device)
                x = images[index]
                z = torch.sqrt(torch.sigmoid(-gamma)) * x + torch.sqrt(torch.sigmoid(gamma)) * torch.randn_like(x)
                outputs = forward(z, gamma)[:, : head.size]
                optimizer.zero_grad(set_to_none=True)
                if head.categorical:
                    loss = F.cross_entropy(outputs, targets[index]) / head.feature.entropy
                else:
                    loss = ((outputs - targets[index]) ** 2).sum(1).mean()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), CLIP)
                optimizer.step()
        finish(device)

    return run
