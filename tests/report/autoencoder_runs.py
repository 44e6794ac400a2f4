"""Workdirs like those that autoencoders leave, made by hand: disks on 32x32 images, five factors."""

import json
from pathlib import Path

import numpy as np

FACTORS = ("shape", "scale", "orientation", "pos_x", "pos_y")
SIDE = 32
PROVENANCE = {"commit": "922d38a0f5b1", "device": "2 x cpu", "versions": {"jax": "0.10.2"}}


def disks(n: int, *, radius=6.0, seed=0) -> np.ndarray:
    """Bytes [N, 32, 32, 1]: a disk at a random place."""
    centre = np.random.default_rng(seed).uniform(8, 24, (n, 2, 1, 1))
    return np.stack([_disk(*each, radius) for each in centre])


def _disk(y, x, radius) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(rows - y, columns - x)
    return (255 / (1 + np.exp(2 * (away - radius)))).astype(np.uint8)[..., None]


def config(name="autoencoder-vae-16", *, latents=16, seed=0, beta=1.0, **model) -> dict:
    own = {"backbone": "fc", "latents": latents, "code": "gaussian", "likelihood": "bernoulli", "conditional": False}
    return {
        "kind": "autoencoder",
        "name": name,
        "data": {"name": "small"},
        "model": own | model,
        "regulariser": {"name": "none"},
        "reconstruction": {"loss": "likelihood", "perceptual": 0.0, "discriminator": 0.0},
        "rate": {"mode": "fixed", "beta": beta},
        "train": {"seed": seed, "num_steps": 3000, "batch_size": 64},
        "evaluate": {"on_data": 0.1},
    }


def number(value, error=0.004, num=2000) -> dict:
    return {"value": value, "standard_error": error, "num": num}


def numbers(latents=16) -> dict:
    """evaluate.json of a VAE on sprites."""
    scores = {"z_diff": 0.81, "factor_vae": 0.62, "mig": 0.11, "sap": 0.042}
    eigenvalues = np.geomspace(2.1, 1e-3, latents).tolist()

    def readers(shift):
        return {
            name: {"metric": "accuracy" if name == "shape" else "r2", "linear": number(0.7 - shift), "mlp": number(0.9)}
            for name in FACTORS
        }

    return {
        "reconstruction_sum": 12.34, "reconstruction_sum_standard_error": 0.21,
        "reconstruction_per_pixel": 0.01205, "reconstruction_per_pixel_standard_error": 0.0002,
        "negative_log_likelihood": 41.2, "negative_log_likelihood_standard_error": 0.7,
        "rate_nats": 18.1, "rate_nats_standard_error": 0.08,
        "rate_per_dim": 1.13, "bound_nats": 59.3, "bound_nats_standard_error": 0.7,
        "psnr": 19.2, "psnr_standard_error": 0.1, "ssim": 0.912, "ssim_standard_error": 0.002,
        "active_units": 11, "num_images": 2000,
        "nearest_sprite": {"any": number(0.41, 0.011)} | {name: number(0.8, 0.009) for name in FACTORS},
        "readout": readers(0.0),
        "readout_baselines": {"pixels": readers(0.1), "pca": readers(0.2), "untrained": readers(0.3)},
        "disentanglement": {key: number(value, 0.01, 10_000) for key, value in scores.items()},
        "aggregate": {"mean_norm": 0.21, "covariance_eigenvalues": eigenvalues, "mmd": 0.0031,
                      "gaussian_kl": number(1.9, 0.1) | {"of_prior_draws": 0.038}},
        "prior_samples_on_data": number(0.32, 0.01),
        "reconstructions_on_data": number(0.43, 0.01), "holes": number(0.12, 0.02, 500),
        "holes_of_interpolations": number(0.23, 0.02, 504),
        "checkpoint_step": 3000, "weights": "ema", "provenance": PROVENANCE,
    }  # fmt: skip


def write(folder: Path, config: dict, values: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evaluate.json").write_text(json.dumps(values))
    return folder


def write_arrays(folder: Path, *, code="gaussian", latents=16) -> None:
    """What the jobs train, evaluate and sample leave besides."""
    samples, rng = folder / "samples", np.random.default_rng(3)
    samples.mkdir()
    real = disks(64)
    np.savez(samples / "real.npz", arr_0=real)
    np.savez(samples / "reconstructions.npz", arr_0=disks(64, radius=5.0))
    np.savez(samples / "prior.npz", arr_0=disks(64, seed=1))
    if code == "deterministic":
        np.savez(samples / "prior_covariance.npz", arr_0=disks(64, seed=2))
    between = np.stack([[_disk(8 + 2 * i + s, 12 + s, 6.0) for s in range(10)] for i in range(8)])
    np.savez(samples / "interpolations.npz", first=real[:8], between=between, last=real[8:16])
    if code == "quantised":
        np.savez(samples / "codes.npz", frequencies=np.append(np.geomspace(1, 1e-3, 100), np.zeros(28)) / 14.8,
                 num_images=2000)  # fmt: skip
        np.savez(samples / "heat_maps.npz", source=real[:8], maps=rng.normal(size=(8, 8, 8, 4)).astype(np.float32))
    else:
        rows = [[[_disk(16 + 3 * (s - 4) * (d == 0), 16 + 2 * (s - 4) * (d == 1), 4 + d) for s in range(9)]
                 for d in range(8)] for _ in range(3)]  # fmt: skip
        np.savez(
            samples / "traversals.npz", source=real[:3], traversals=np.array(rows), dimensions=np.arange(8) * 2 + 1,
            scores=np.geomspace(3, 0.01, 8), by=np.array("rate"), deviations=np.linspace(-2, 2, 9),
        )  # fmt: skip
    covariance = np.cov(rng.normal(size=(latents, 400)) * np.geomspace(1, 0.1, latents)[:, None])
    kl = np.geomspace(3, 1e-3, latents)
    np.savez(folder / "evaluate_latents.npz", kl_per_dim=kl, mean_covariance=covariance)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(50, 3001, 50):
            rate, distortion = 18 - 10 * np.exp(-step / 400), 41 + 300 * np.exp(-step / 300)
            row = {"step": step, "bound": rate + distortion, "rate": rate, "distortion": distortion}
            row |= {"squared_error": distortion / 4, "loss": rate + distortion}
            for split in ("train", *(["validation"] if step % 250 == 0 else [])):
                noise = rng.normal(0, 1 if split == "train" else 0.2)
                noisy = {key: value + noise * (key != "step") for key, value in row.items()}
                file.write(json.dumps({"split": split} | noisy) + "\n")
