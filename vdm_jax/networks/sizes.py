"""Named sizes: keyword arguments of `make_unet`, `make_multiscale_unet`, `make_time_cnn` and `make_encoder`.

`original` is the size of VDM for CIFAR-10. `s`, `t`, `m` and the encoders are those of the blog for 28x28 images.
`digits` is for 8x8 images on a CPU, the encoder `patches` for 32x32 images.
"""

UNET_SIZES = {
    "original": {"channels": 128, "num_blocks": 32},
    "s": {"channels": 64, "num_blocks": 16},
    "t": {"channels": 32, "num_blocks": 8},
    "m": {"channels": 16, "num_blocks": 4},
    "digits": {"channels": 32, "num_blocks": 2},
}

# `ddpm` is the size of Ho et al. (2020) for CIFAR-10. `small` is for 32x32 images on a CPU, `medium` for 64x64 images
# on an accelerator, `latents` for latents of 8x8 and 16x16, `digits` for 8x8 images.
MULTISCALE_SIZES = {
    "ddpm": {"channels": 128, "multipliers": (1, 2, 2, 2), "num_blocks": 2, "attention": (16,)},
    "medium": {"channels": 64, "multipliers": (1, 2, 2, 4), "num_blocks": 2, "attention": (16,)},
    "small": {"channels": 32, "multipliers": (1, 2, 4), "num_blocks": 1, "attention": (8,), "patch": 2},
    "latents": {"channels": 32, "multipliers": (1, 2), "num_blocks": 1, "attention": (8,)},
    "digits": {"channels": 32, "multipliers": (1, 2), "num_blocks": 1, "attention": (4,)},
}

# `coursework` is the size of the coursework on DDPM, for 28x28 images.
TIME_CNN_SIZES = {"coursework": {"widths": (16, 32, 32, 16)}}

ENCODER_SIZES = {
    "oe++": {"channels": 64, "layers": 2, "groups": 32, "w_dim": 256},
    "oe": {"channels": 64, "layers": 2, "groups": 32, "w_dim": 128},
    "se": {"channels": 32, "layers": 1, "groups": 16, "w_dim": 128},
    "te": {"channels": 16, "layers": 1, "groups": 8, "w_dim": 128},
    "digits": {"channels": 16, "layers": 1, "groups": 8, "w_dim": 16},
    "patches": {"channels": 16, "layers": 1, "groups": 8, "w_dim": 16, "patch": 2},
}
