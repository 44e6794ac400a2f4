"""Which setting keeps information in the code? MNIST under every rate mode of `configs/digits.py`, and without a code.

Variants: SIDE-MODE. `14-target` is MNIST reduced to 14x14, minutes on two CPU cores; `28-target` has 28x28 and
the size of the blog's MVDM, with the settings of `ALL`. The sweep: every mode at 14x14 with three seeds, and the four
that matter at 28x28 with two.
"""

from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.base import paired
from vdm_jax.configs.digits import VARIANTS as MODES

from vdm_jax.base.errors import choose

SIDES = {
    "14": {
        "data.downsample": 2,
        "model.encoder": "digits",
        "train.num_steps": 5_000,
        "evaluate.num_images": 2_000,
        "evaluate.frechet_images": 500,
    },
    "28": {
        "model.encoder": "te",
        "train.num_steps": 6_000,
        "evaluate.num_images": 1_000,
        "evaluate.passes": 2,
        "evaluate.frechet_images": 250,
    },
}
ALL = {
    "model.w_dim": 16,
    "model.dropout": 0.0,  # an image is used once or twice: overfitting is no danger
    "model.encoder_dropout": 0.0,
    "model.unet.size": "m",
    "model.unet.conditioning": "adagn",
    "model.unet.fourier_min": 7,  # n near log2 of the 256 levels distinguishes neighbours
    "model.unet.fourier_max": 8,
    "train.learning_rate_schedule": "cosine",
    "train.learning_rate": 3e-3,
    "train.warmup_steps": 100,
    "train.batch_size": 16,  # a short run learns more from many small batches than from few large ones
    "train.ema_decay": 0.9975,
    "train.eval_every": 1_000,
    "train.checkpoint_every": 1_000,
    "evaluate.curve_images": 250,
    "evaluate.probe_images": 5_000,
    "sample.num_steps": 50,
}
OF_LONGER_RUNS = {"warmup": {"rate.warmup_steps": 2_500}, "cyclical": {"rate.cycle_steps": 1_500}}
OWN_MODES = {name: settings | OF_LONGER_RUNS.get(name, {}) for name, settings in MODES.items()}
VARIANTS = paired({side: ALL | of_side for side, of_side in SIDES.items()}, OWN_MODES)
THAT_MATTER = ("target", "beta1", "beta1e4", "unconditional")  # a rate target, the bound, the blog, no code


def get_config(variant: str = ""):
    """`variant`: one of `VARIANTS`; nothing for `14-target`."""
    config = get_base_config()
    config.name = f"collapse-{variant or '14-target'}"
    config.update_from_flattened_dict(choose("variant", variant or "14-target", VARIANTS))
    return config


def get_sweep():
    """Every mode at 14x14 with the seeds 0, 1 and 2; four modes at 28x28 with 0 and 1."""
    small = [{"variant": f"14-{mode}", "train.seed": seed} for mode in MODES for seed in range(3)]
    return small + [{"variant": f"28-{mode}", "train.seed": seed} for mode in THAT_MATTER for seed in range(2)]
