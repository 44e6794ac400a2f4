"""A VAE-VDM on 768 sprites of 32x32, a quarter of an hour on one CPU core. The data's entropy is known.

Trained and evaluated on all images of the grid (`data.split=population`): the bound on -log p(x) is then compared with
ln 768 = 6.64 nats, which no bound is below. Variants: the rate modes that matter, a control code, and no code. The
sweep: every variant with three seeds. `--config.data.name=small` has 9,216 sprites, ln 9,216 = 9.13 nats.
"""

from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

VARIANTS = {
    "target": {"rate.mode": "target", "rate.target_nats": 4.0},
    "beta1": {"rate.mode": "fixed", "rate.beta": 1.0},
    "learned_prior": {"rate.mode": "fixed", "rate.prior": "diffusion"},
    "target_learned_prior": {"rate.mode": "target", "rate.target_nats": 4.0, "rate.prior": "diffusion"},
    "none": {"rate.mode": "none"},
    "control": {"model.encoder": "control"},
    "unconditional": {"model.encoder": "none", "model.equal_capacity": True},
}

SPRITES = {
    "data.source": "sprites",
    "data.name": "sparse",
    "data.split": "population",
    "model.w_dim": 8,
    "model.dropout": 0.0,  # all images are trained on
    "model.encoder_dropout": 0.0,
    "model.unet.network": "multiscale",
    "model.unet.size": "small",
    "model.unet.conditioning": "adagn",
    "model.encoder": "patches",
    "diffusion.target": "log_odds",  # of pixels of ±1
    # Pixels of ±1 are legible at -4 (an error rate of 1e-13); at 10 the prior term is 0.02 nats over 1,024 pixels.
    "diffusion.gamma_min": -4.0,
    "diffusion.gamma_max": 10.0,
    "train.num_steps": 6_000,
    "train.batch_size": 16,
    "train.learning_rate": 1e-3,
    "train.learning_rate_schedule": "cosine",
    "train.warmup_steps": 100,
    "train.ema_decay": 0.999,
    "train.log_every": 50,
    "train.eval_every": 500,
    "train.checkpoint_every": 500,
    "train.eval_images": 0,
    "evaluate.passes": 16,
    "evaluate.frechet_images": 500,
    "sample.num_steps": 100,
}


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`; nothing for a rate target of 4 nats."""
    config = get_base_config()
    config.name = f"sprites-{variant or 'target'}"
    config.update_from_flattened_dict(SPRITES | choose("variant", variant or "target", VARIANTS))
    return config


def get_sweep():
    """Each variant with the seeds 0, 1 and 2."""
    return [{"variant": variant, "train.seed": seed} for variant in VARIANTS for seed in range(3)]
