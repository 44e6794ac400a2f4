"""What an autoencoder is, in words, from its config; the names of its numbers."""

from collections.abc import Mapping
from typing import Any

from vdm_jax.report.primitives.measured import plain
from vdm_jax.report.primitives.workdir import Workdir, is_number, section_of

RECONSTRUCTION = {
    "reconstruction_sum": "squared error summed over an image, pixels in [0, 1]",
    "reconstruction_per_pixel": "squared error per pixel",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
}
BOUND = {
    "negative_log_likelihood": "distortion D, −log p(x | u), nats / image",
    "rate_nats": "rate R, KL(q(u | x) ‖ N(0, I)), nats / image",
    "bound_nats": "bound on −log p(x), D + R, nats / image",
    "rate_per_dim": "rate per latent, nats",
}
SCORES = {  # name, what a copy of the factors scores, what latents that are independent of the factors score
    "z_diff": ("Z-diff (β-VAE score)", "1", "1 / number of factors"),
    "factor_vae": ("FactorVAE score", "1", "1 / number of factors"),
    "mig": ("MIG", "1", "0"),
    "sap": ("SAP, chance-corrected", "1", "0"),
    "dci": ("DCI disentanglement", "1", "0"),
}
CODES = {"gaussian": "VAE", "deterministic": "AE", "quantised": "VQ-VAE"}
REGULARISERS = {"dip1": "DIP-VAE-I", "dip2": "DIP-VAE-II"}
BACKBONES = {
    "fc": "convolutions, then dense layers",
    "conv": "convolutions alone",
    "attention": "residual blocks with self-attention",
}


def variant(config: Mapping[str, Any]) -> str:
    """The name of the losses, such as "VAE", "β-VAE (β = 4)", "DIP-VAE-I (λ_od = 10)", "KL-VAE", "conditional VAE"."""
    model, rate, loss = (section_of(config, name) for name in ("model", "rate", "reconstruction"))
    code, regulariser = str(model.get("code", "gaussian")), section_of(config, "regulariser")
    name = CODES.get(code, code)
    if regulariser.get("name") in REGULARISERS:
        name = f"{REGULARISERS[regulariser['name']]} (λ_od = {regulariser.get('lambda_od', 10):g})"
    elif code == "gaussian" and (loss.get("perceptual") or loss.get("discriminator")):
        name = f"KL-VAE (weight of the rate {rate.get('beta', 1):g})"
    elif code == "gaussian" and rate.get("mode", "fixed") == "fixed" and rate.get("beta", 1) != 1:
        name = f"β-VAE (β = {rate['beta']:g})"
    elif code == "gaussian" and rate.get("mode", "fixed") != "fixed":
        name = f"VAE with the rate mode {rate['mode']}"
    return f"conditional {name}" if model.get("conditional") else name


def no_bits(config: Mapping[str, Any]) -> str | None:
    """Why D and the bound are no bits of the images, as a sentence; None where they are."""
    if section_of(config, "model").get("likelihood") != "gaussian":
        return None
    return "D and D + R are those of a density, in the scale of the pixel values: they may be below 0, and are no bits."


def no_distortion(config: Mapping[str, Any]) -> str | None:
    """Why there is no D, as a sentence; None where there is one."""
    loss = section_of(config, "reconstruction").get("loss", "likelihood")
    if loss == "likelihood":
        return None
    return f"The decoder is trained by the {loss} distance, not by −log p(x | u): there is no distortion in nats."


def num_latents(workdir: Workdir) -> int | None:
    """The number of latents of an image, from evaluate.json or the config; None where neither says it."""
    found = workdir.evaluate.get("num_latents")
    if is_number(found):
        return int(found)
    model = section_of(workdir.config, "model")
    return int(model["latents"]) if model.get("backbone", "fc") == "fc" and is_number(model.get("latents")) else None


def description(workdir: Workdir) -> str:
    """One sentence on what was made and how it was trained."""
    config = workdir.config
    model, train = section_of(config, "model"), section_of(config, "train")
    latents, backbone = num_latents(workdir), str(model.get("backbone", ""))
    words = variant(config) + (f" with {plain(latents)} latents" if latents else "")
    words += f"; {BACKBONES[backbone]}" if backbone in BACKBONES else ""
    words += f"; likelihood {model['likelihood']}" if "likelihood" in model else ""
    if is_number(train.get("num_steps")) and is_number(train.get("batch_size")):
        words += f"; {plain(train['num_steps'])} updates of {plain(train['batch_size'])} images"
    return f"{words}."
