"""The DDPM of a coursework on MNIST: a plain convolutional network, constant noise, pixels in ±0.5.

Variants: `low-beta` (0.001, T = 2000), `high-beta` (0.1, T = 200), `linear` (1e-4 to 0.02, T = 1000); `high-beta-60` is
the first 60 steps of `high-beta`, after which no signal remains. `…-one-epoch` is each with one epoch and fewer images,
as published; `digits-…` is each on scikit-learn's 8x8 digits, and `quick` is `digits-low-beta` with a short training.
MNIST needs mnist.npz in the folder VDM_DATA_DIR.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.base import paired
from vdm_jax.configs.ddpm import ddpm_config

from vdm_jax.base.errors import choose

NOISES = {
    "low-beta": {"diffusion.schedule": "constant", "diffusion.beta": 0.001, "diffusion.num_steps": 2000},
    "high-beta": {"diffusion.schedule": "constant", "diffusion.beta": 0.1, "diffusion.num_steps": 200},
    "high-beta-60": {
        "diffusion.schedule": "constant",
        "diffusion.beta": 0.1,
        "diffusion.num_steps": 60,
        "sample.num_steps": 60,
    },
    # beta_t = 1e-4 + (t/T)(0.02 - 1e-4) begins at t = 1.
    "linear": {"diffusion.schedule": "ddpm_linear", "diffusion.beta_1": 1.199e-4, "diffusion.num_steps": 1000},
}
EPOCH = 375  # steps of 128 of the 48,000 training images
COURSEWORK = {
    "diffusion.target": "eps",
    "diffusion.pixel_max": 0.5,
    "model.network": "cnn",
    "model.size": "coursework",
    "train.num_steps": 15 * EPOCH,  # the coursework has 50 epochs
    "train.batch_size": 128,
    "train.learning_rate": 2e-4,
    "train.learning_rate_schedule": "constant",
    "train.warmup_steps": 0,
    "train.b2": 0.999,
    "train.clip": 0.0,
    "train.ema_decay": 0.0,
    "train.log_every": 75,
    "train.eval_every": EPOCH,
    "train.checkpoint_every": EPOCH,
    "train.keep_latest": 20,  # the epochs that are drawn are among them
    "train.eval_images": 2_000,
    "evaluate.passes": 1,
    "evaluate.frechet_images": 1_000,
    "round_trip.num_images": 10_000,
    "round_trip.num_full": 200,
    "round_trip.epochs": "1,5,10,15",
    "round_trip.frechet_images": 1_000,
}
DATA = {
    "mnist": {"data.source": "npz", "data.name": "mnist", "data.validation_size": 12_000},
    "digits": {
        "data.source": "digits",
        "data.name": "digits",
        "train.num_steps": 1_000,  # 99 epochs
        "train.eval_every": 100,
        "train.checkpoint_every": 100,
        "train.eval_images": 0,
        "train.learning_rate": 1e-3,
        "evaluate.passes": 16,
        "evaluate.frechet_images": 300,
        "round_trip.num_images": 300,
        "round_trip.num_full": 50,
        "round_trip.epochs": "20,50,80",
        "round_trip.frechet_images": 300,
    },
}
QUICK = {
    "train.num_steps": 600,
    "evaluate.passes": 2,
    "evaluate.frechet_images": 200,
    "sample.num_steps": 50,
    "round_trip.num_full": 10,
    "round_trip.epochs": "10,30",
    "round_trip.frechet_images": 200,
    "round_trip.timesteps": 10,
}
ONE_EPOCH = {
    "train.num_steps": EPOCH,
    "evaluate.frechet_images": 500,
    "round_trip.epochs": "1",
    "round_trip.num_images": 500,
    "round_trip.num_full": 20,
    "round_trip.frechet_images": 0,
}
VARIANTS = NOISES | paired({"digits": DATA["digits"]}, NOISES)
VARIANTS |= {f"{noise}-one-epoch": settings | ONE_EPOCH for noise, settings in NOISES.items()}
VARIANTS |= {"quick": VARIANTS["digits-low-beta"] | QUICK}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `low-beta`. Other settings: configs/ddpm.py."""
    config = ddpm_config(f"coursework-{variant or 'low-beta'}")
    config.update_from_flattened_dict(COURSEWORK | DATA["mnist"])
    config.update_from_flattened_dict(choose("variant", variant or "low-beta", VARIANTS))
    return config


def get_sweep():
    """Every table of noise on the digits with the seeds 0, 1 and 2; on MNIST with one."""
    digits = [{"variant": f"digits-{noise}", "train.seed": seed} for noise in NOISES for seed in range(3)]
    return digits + [{"variant": noise, "train.seed": 0} for noise in NOISES]
