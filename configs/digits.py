"""A VAE-VDM on scikit-learn's 8x8 digits: minutes on two CPU cores. Variants: the rate modes, and no code at all.

The sweep: every variant with three seeds.
"""

from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

VARIANTS = {
    "target": {"rate.mode": "target", "rate.target_nats": 10.0},
    "beta1": {"rate.mode": "fixed", "rate.beta": 1.0},
    "beta1e4": {"rate.mode": "fixed", "rate.beta": 1e4},
    "warmup": {"rate.mode": "warmup", "rate.warmup_steps": 1_000},
    "cyclical": {"rate.mode": "cyclical", "rate.cycle_steps": 600},
    "free_bits": {"rate.mode": "free_bits", "rate.free_bits_nats": 0.5},
    "mmd": {"rate.mode": "mmd", "rate.mmd_weight": 1_000.0},
    "w_dropout": {"rate.mode": "w_dropout", "rate.w_dropout": 0.2},
    "high_noise": {"rate.mode": "high_noise", "rate.high_noise_weight": 3.0, "rate.high_noise_logsnr": 0.0},
    "learned_prior": {"rate.mode": "fixed", "rate.prior": "diffusion"},
    "target_learned_prior": {"rate.mode": "target", "rate.prior": "diffusion"},
    "none": {"rate.mode": "none"},
    "control": {"model.encoder": "control"},
    "unconditional": {"model.encoder": "none", "model.equal_capacity": True},
}

DIGITS = {
    "data.source": "digits",
    "data.name": "digits",
    "model.w_dim": 16,
    "model.unet.size": "digits",
    "model.unet.conditioning": "adagn",
    "model.unet.fourier_min": 3,  # n near log2 of the 17 levels distinguishes neighbours
    "model.unet.fourier_max": 4,
    "model.encoder": "digits",
    "diffusion.gamma_min": -8.0,
    "train.num_steps": 2_000,
    "train.learning_rate": 6e-3,
    "train.learning_rate_schedule": "cosine",
    "train.warmup_steps": 50,
    "train.ema_decay": 0.995,
    "train.log_every": 20,
    "train.eval_every": 200,
    "train.checkpoint_every": 200,
    "train.eval_images": 0,
    "train.eval_passes": 4,
    "evaluate.passes": 16,
    "evaluate.batch_size": 100,  # divides 200 validation and 300 test images: one program for both, no filled batches
    "evaluate.frechet_images": 600,
    "sample.num_steps": 100,
    "sample.batch_size": 64,  # the number of images of the sampling job
}


def get_config(variant: str = ""):
    """`variant`: a rate mode, `unconditional`, or nothing for a rate target of 10 nats."""
    config = get_base_config()
    config.name = f"digits-{variant or 'target'}"
    config.update_from_flattened_dict(DIGITS | choose("variant", variant or "target", VARIANTS))
    return config


def get_sweep():
    """Each variant with the seeds 0, 1 and 2."""
    return [{"variant": variant, "train.seed": seed} for variant in VARIANTS for seed in range(3)]
