"""The source blog's experiment on MNIST: variant UNET-ENCODER, `svdm-oe++` … `mvdm-none`, its 18 columns.

Two settings are not the blog's: `rate.beta=1e4` and `model.unet.zero_init=True` would be. Its `none` columns have
another time MLP; `model.equal_capacity=True` with `model.w_dim=128` is the baseline of the same network.

The sweep: all 18 columns.
"""

from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

UNETS = {"svdm": "s", "tvdm": "t", "mvdm": "m"}

# `ue` is the blog's unregularised encoder: the largest but one, trained without the KL.
ENCODERS = {
    "oe++": {"model.encoder": "oe++"},
    "oe": {"model.encoder": "oe"},
    "se": {"model.encoder": "se"},
    "te": {"model.encoder": "te"},
    "ue": {"model.encoder": "oe", "rate.mode": "none"},
    "none": {"model.encoder": "none"},
}

VARIANTS = {
    f"{unet}-{encoder}": {"model.unet.size": size} | deltas
    for unet, size in UNETS.items()
    for encoder, deltas in ENCODERS.items()
}


def get_config(variant: str = ""):
    """`variant`: one of the blog's columns; nothing for `mvdm-te`. beta = 1, the bound's; the blog's code had 1e4."""
    config = get_base_config()
    config.name = f"mnist-{variant or 'mvdm-te'}"
    config.update_from_flattened_dict(choose("variant", variant or "mvdm-te", VARIANTS))
    return config


def get_sweep():
    """The blog's 18 columns."""
    return [{"variant": variant} for variant in VARIANTS]
