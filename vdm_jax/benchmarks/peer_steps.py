"""The same training and sampling steps in PyTorch: the VAE-VDM bound, AdamW, clipping, EMA; a denoising step.

They need the extra `peers`.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from vdm_jax.benchmarks.networks import EMA_DECAY, GAMMA_RANGE, NUM_LEVELS, SETTINGS, Case, random_images
from vdm_jax.benchmarks.peer_networks import Encoder, UNet
from vdm_jax.networks.sizes import ENCODER_SIZES

LOW, HIGH = GAMMA_RANGE


class Vae(nn.Module):
    """Encoder and decoder. Calls give the bound of each image of a batch of grey levels [B, 1, H, W], in nats."""

    def __init__(self, case: Case):
        super().__init__()
        self.unet = UNet(case.size, ENCODER_SIZES[case.encoder]["w_dim"])
        self.encoder = Encoder(case.encoder, case.side)
        values = (2 * torch.arange(NUM_LEVELS) + 1) / NUM_LEVELS - 1
        self.register_buffer("pixel_values", values, persistent=False)

    def forward(self, levels):
        x = self.pixel_values[levels]
        mu, logvar = self.encoder(x)
        w = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        batch = len(x)
        t = torch.remainder(torch.rand(1, device=x.device) + torch.arange(batch, device=x.device) / batch, 1.0)
        gamma = (LOW + (HIGH - LOW) * t)[:, None, None, None]
        eps = torch.randn_like(x)
        z_t = torch.sqrt(torch.sigmoid(-gamma)) * x + torch.sqrt(torch.sigmoid(gamma)) * eps
        diffusion = 0.5 * (HIGH - LOW) * ((eps - self.unet(z_t, t, w)) ** 2).flatten(1).sum(1)
        kl = 0.5 * (mu**2 + torch.exp(logvar) - logvar - 1).sum(1)
        return self.reconstruction(x, levels) + self.prior(x) + diffusion + kl

    def reconstruction(self, x, levels):
        scaled = x + math.exp(0.5 * LOW) * torch.randn_like(x)  # z_0/alpha_0
        logits = -0.5 * math.exp(-LOW) * (scaled[..., None] - self.pixel_values) ** 2
        return F.cross_entropy(logits.flatten(0, 3), levels.flatten(), reduction="none").reshape(len(x), -1).sum(1)

    def prior(self, x):
        variance = 1 / (1 + math.exp(-HIGH))
        return 0.5 * ((1 - variance) * x**2 + variance - math.log(variance) - 1).flatten(1).sum(1)


def arithmetic(case: Case, device: str) -> AbstractContextManager:
    """float32, or bfloat16 by autocast."""
    return torch.autocast(device, torch.bfloat16) if case.dtype == "bfloat16" else nullcontext()


def make_peer(case: Case, device: str, *, channels_last: bool) -> tuple[Vae, torch.Tensor]:
    """The model and its data on the device. TF32 is allowed, as in XLA."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True  # tries several algorithms, as XLA does
    layout = torch.channels_last if channels_last else torch.contiguous_format
    levels = torch.tensor(random_images(case).transpose(0, 3, 1, 2).astype("int64"), device=device)
    return Vae(case).to(device).to(memory_format=layout), levels


def make_train(case: Case, device: str, *, channels_last: bool, compiled: bool) -> Callable[[int], None]:
    """`run(n)`: n updates, each with a new batch, clipping, AdamW (fused if available) and the EMA."""
    model, data = make_peer(case, device, channels_last=channels_last)
    bound = torch.compile(model) if compiled else model
    params = list(model.parameters())
    averages = [p.detach().clone() for p in params]
    optimizer = torch.optim.AdamW(
        params,
        lr=SETTINGS["learning_rate"],
        betas=(SETTINGS["b1"], SETTINGS["b2"]),
        weight_decay=SETTINGS["weight_decay"],
        fused=True,
    )

    def run(count: int) -> None:
        for _ in range(count):
            levels = data[torch.randint(len(data), (case.batch_size,), device=device)]
            optimizer.zero_grad(set_to_none=True)
            with arithmetic(case, device):
                loss = bound(levels).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(params, SETTINGS["clip"])
            optimizer.step()
            torch._foreach_lerp_(averages, [p.detach() for p in params], 1 - EMA_DECAY)
        finish(device)

    return run


def make_sample(
    case: Case, device: str, *, channels_last: bool, compiled: bool, num_steps: int
) -> Callable[[int], None]:
    """`run(n)`: n times, `num_steps` ancestral steps on a batch of images."""
    model, _ = make_peer(case, device, channels_last=channels_last)
    unet = torch.compile(model.unet) if compiled else model.unet
    model.eval()
    shape = (case.batch_size, 1, case.side, case.side)
    w = torch.zeros(case.batch_size, ENCODER_SIZES[case.encoder]["w_dim"], device=device)
    times = torch.linspace(1, 0, num_steps + 1, device=device)

    @torch.no_grad()
    def run(count: int) -> None:
        for _ in range(count):
            z = torch.randn(shape, device=device)
            for i in range(num_steps):
                with arithmetic(case, device):
                    eps_hat = unet(z, times[i].expand(case.batch_size), w)
                z = ancestral_step(z, eps_hat, times[i], times[i + 1])
        finish(device)

    return run


def ancestral_step(z, eps_hat, t, s):
    """z_s = (alpha_s/alpha_t)(z_t - c sigma_t eps_hat) + sqrt(sigma_s² c) n, x_hat clipped to ±1."""
    gamma_t, gamma_s = LOW + (HIGH - LOW) * t, LOW + (HIGH - LOW) * s
    alpha_t, sigma_t = torch.sqrt(torch.sigmoid(-gamma_t)), torch.sqrt(torch.sigmoid(gamma_t))
    alpha_s, variance_s = torch.sqrt(torch.sigmoid(-gamma_s)), torch.sigmoid(gamma_s)
    c = -torch.expm1(gamma_s - gamma_t)
    x_hat = ((z - sigma_t * eps_hat) / alpha_t).clamp(-1, 1)
    mean = alpha_s / alpha_t * (1 - c) * z + alpha_s * c * x_hat
    return mean + torch.sqrt(variance_s * c) * torch.randn_like(z)


def finish(device: str) -> None:
    """Waits for the device."""
    if device == "cuda":
        torch.cuda.synchronize()
