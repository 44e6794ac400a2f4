"""CIFAR-10 with VDM's choices for it: variant UNET-ENCODER, `vdm-none` … `mvdm-te`; U-Nets of VDM's size or smaller.

Read from a TFDS build (`python -m vdm_jax.data.prepare cifar10`). VDM's own run is `vdm-none` with
`diffusion.schedule=monotone`, `model.unet.zero_init=True` and `train.num_steps=10_000_000`.
"""

from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.mnist import ENCODERS, UNETS

from vdm_jax.base.errors import choose

CIFAR10 = {
    "data.source": "tfds",
    "data.name": "cifar10",
    "model.unet.fourier_min": 7,
    "model.unet.fourier_max": 8,
    "train.batch_size": 128,
    "train.warmup_steps": 100,
}

VARIANTS = {
    f"{unet}-{encoder}": {"model.unet.size": size} | deltas
    for unet, size in ({"vdm": "original"} | UNETS).items()
    for encoder, deltas in ENCODERS.items()
}


def get_config(variant: str = ""):
    """`variant`: a U-Net and an encoder as in configs/mnist.py, or the U-Net `vdm`; nothing for `mvdm-te`."""
    config = get_base_config()
    config.name = f"cifar10-{variant or 'mvdm-te'}"
    config.update_from_flattened_dict(CIFAR10 | choose("variant", variant or "mvdm-te", VARIANTS))
    return config


def get_sweep():
    """Every U-Net with every encoder and without."""
    return [{"variant": variant} for variant in VARIANTS]
