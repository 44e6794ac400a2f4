"""CIFAR-10 with VDM's choices for it: variant UNET-ENCODER, `vdm-none` … `mvdm-te`; U-Nets of VDM's size or smaller.

Read from a TFDS build (`python -m vdm_jax.data.prepare cifar10`). `vdm-none` is VDM's own run without augmentation,
as google-research/vdm has it in configs/cifar10.py, experiment.py and train_state.py. Three
differences remain: a tenth of the training images is the validation split; weight decay leaves the learned gamma alone,
which VDM's code shrinks as it does kernels; and the learning rate rises from its first hundredth, not from 0.
"""

from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.mnist import ENCODERS, UNETS

from vdm_jax.base.errors import choose

CIFAR10 = {
    "data.source": "tfds",
    "data.name": "cifar10",
    "model.unet.fourier_min": 7,  # 2^6 and 2^7 times 2 pi there
    "model.unet.fourier_max": 8,
    "train.batch_size": 128,
    "train.warmup_steps": 100,
}
VDM = {  # lines of google-research/vdm
    "diffusion.schedule": "scalar",  # gamma_type='learnable_scalar': both ends are learned, from -13.3 and 5.0 on
    "model.unet.zero_init": True,  # conv2, cond_proj, proj_out and conv_out have kernel_init=zeros
    "train.num_steps": 10_000_000,  # num_steps_train
    "train.clip": 0.0,  # no gradient_clip_norm
    "train.decay": "all_but_biases",  # decay_mask_fn: path[-1] != "bias"; its layer norms do not occur in the network
    "train.ema_warmup": False,  # x + (1 - ema_rate) (y - x) at every update
    "sample.num_steps": 1_000,  # T of sample_fn
    "sample.clip": False,  # its sampler takes x_hat as it is
}

VARIANTS = {
    f"{unet}-{encoder}": {"model.unet.size": size} | deltas
    for unet, size in ({"vdm": "original"} | UNETS).items()
    for encoder, deltas in ENCODERS.items()
}
VARIANTS["vdm-none"] |= VDM


def get_config(variant: str = ""):
    """`variant`: a U-Net and an encoder as in configs/mnist.py, or the U-Net `vdm`; nothing for `mvdm-te`."""
    config = get_base_config()
    config.name = f"cifar10-{variant or 'mvdm-te'}"
    config.update_from_flattened_dict(CIFAR10 | choose("variant", variant or "mvdm-te", VARIANTS))
    return config


def get_sweep():
    """Every U-Net with every encoder and without."""
    return [{"variant": variant} for variant in VARIANTS]
