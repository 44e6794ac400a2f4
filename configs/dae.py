"""Denoising autoencoders: what x' = x - eta (x - DAE(x)) makes of a start, by noise level and size of the training set.

The trained DAE is compared with the optimal one, a softmax over the training images, and with the linear one. Sigma is
in the model's pixels, whose values are between -1 and 1. Variants: `quick` and `digits` (8x8, a residual MLP),
`digits-unet`, `digits-sizes` (of the sweep, a fifth of the training), `sprites` (32x32, a residual MLP), `sprites-256`
(of the sweep: narrower and deeper, on 2,000 sprites) and `sprites-unet`.
The sweep: sizes of the training set of digits, and sprites, each with three seeds; `--config.train.num_steps=0` leaves
the trained DAE out of it.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

UNET = {"model.network": "multiscale", "model.size": "digits"}
SPRITES = {
    "data.source": "sprites",
    "data.name": "small",
    "model.width": 1_024,  # a narrower network cannot take the noise off all pixels
    "model.num_layers": 1,
    "model.sigma_max": 10.0,  # images are farther apart than digits, and nearer to each other a pixel
    "evaluate.sigmas": "0.1,0.2,0.4,0.8,1.6,2.4,3.2,4.8,9.6",
    "attractors.sigmas": "0.2,0.4,0.8,1.6,2.4,3.2,4.8,9.6",
    "attractors.on_data": 0.03,
    "attractors.num_starts": 50,
    "attractors.max_steps": 150,
    "attractors.basin_sigmas": "0.4,1.6,3.2",
    "attractors.basin_grid": 20,
    "jacobians.sigmas": "0.2,0.4,0.8,1.6,3.2",
    "jacobians.num_points": 4,
}
VARIANTS = {
    "quick": {"train.num_steps": 3_000, "attractors.basin_grid": 30},
    "digits": {},
    "digits-unet": UNET,
    "digits-sizes": {"train.num_steps": 4_000, "attractors.sizes": "", "attractors.basin_grid": 20},
    "sprites": SPRITES,
    "sprites-256": SPRITES
    | {
        "model.width": 256,
        "model.num_layers": 3,
        "train.num_steps": 4_000,
        "subset.num_images": 2_000,
        "attractors.sizes": "10,100",
    },
    "sprites-unet": SPRITES | UNET | {"model.size": "small"},
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `quick`. Other settings: configs/base.py."""
    base = get_base_config()
    config = ConfigDict(
        dict(
            kind="dae",
            name=f"dae-{variant or 'quick'}",
            data=base.data,
            subset=dict(
                num_images=0,  # training images that the DAEs know; 0: all. Smaller subsets are part of larger ones.
                seed=0,  # of the order in which they are taken
            ),
            model=_model(),
            train=base.train,
            evaluate=_evaluate(),
            attractors=_attractors(),
            jacobians=_jacobians(),
        )
    )
    config.lock()
    config.update_from_flattened_dict(
        {
            "data.source": "digits",
            "data.name": "digits",
            "train.num_steps": 20_000,  # 0: the untrained network, which is the best DAE of an isotropic Gaussian
            "train.batch_size": 128,
            "train.learning_rate": 1e-3,
            "train.learning_rate_schedule": "cosine",
            "train.warmup_steps": 100,
            "train.weight_decay": 0.0,
            "train.ema_decay": 0.995,
            "train.log_every": 50,
            "train.eval_every": 500,
            "train.checkpoint_every": 500,
        }
    )
    config.update_from_flattened_dict(choose("variant", variant or "quick", VARIANTS))
    return config


def get_sweep():
    """Training sets of 10 to 1,000 digits and of 2,000 sprites, each with the seeds 0, 1 and 2."""
    digits = [{"variant": "digits-sizes", "subset.num_images": size} for size in (10, 30, 100, 300, 1_000)]
    sprites = {"variant": "sprites-256"}
    return [member | {"subset.seed": seed, "train.seed": seed} for seed in range(3) for member in (*digits, sprites)]


def _model() -> dict:
    return dict(
        network="resmlp",  # mlp, resmlp, concmlp: of all pixels; multiscale, vdm: U-Nets
        width=256,  # of mlp, resmlp, concmlp
        num_layers=3,
        size="digits",  # of multiscale: ddpm, medium, small, latents, digits; of vdm as in configs/base.py
        channels=config_dict.placeholder(int),  # none: the size's own; so the next four
        num_blocks=config_dict.placeholder(int),
        multipliers=config_dict.placeholder(tuple),  # of multiscale: of channels, one for each level
        attention=config_dict.placeholder(tuple),  # of multiscale: sides of images at which there is attention
        patch=config_dict.placeholder(int),  # of multiscale: side of the patches that are a place of the first level
        conditioning="adagn",  # of the ResBlocks by the noise level: concat, adagn
        zero_init=True,  # the output starts at 0
        fourier_min=0,  # Fourier features 2^n pi z for n in min … max; none where max < min
        fourier_max=-1,
        num_heads=1,
        dropout=0.0,
        dtype="float32",
        sigma_min=0.05,  # sigma is log-uniform in this range; a classical DAE has both equal
        sigma_max=4.0,
    )


def _evaluate() -> dict:
    return dict(
        checkpoint="latest",  # best, latest, or a step; the best, by validation images, is the one least overfitted
        weights="ema",  # ema, raw
        sigmas="0.05,0.1,0.2,0.4,0.6,0.8,1.2,1.6,2.4,4",  # noise levels of the errors
        num_images=0,  # the first so many test images, and as many training images; 0: all
        batch_size=250,
        seed=0,
    )


def _attractors() -> dict:
    return dict(
        sigmas="0.1,0.2,0.3,0.4,0.6,0.8,1.2,1.6,2.4",  # the trained DAE at those in its range
        sizes="10,100,1000",  # of training sets of the optimal DAE, besides the subset's own
        num_starts=100,  # of each kind: noised training images, noised test images, noise
        eta=0.5,  # of the step, above 0 and at most 1
        tolerance=1e-3,  # a start has come to rest where x - DAE(x) is at most this, root mean square a pixel
        max_steps=300,
        on_data=0.1,  # an end this near to a training image is that image; root mean square of pixels in [0, 1]
        two_point_sigmas="0.2,0.4,0.6,0.7,0.8,0.85,0.9,0.95,0.98,1.02,1.1,1.4",  # of half the distance of two images
        components=8,  # of the projection of "SVD diffusion"
        basin_sigmas="0.2,0.6,1.2",  # of the figures of basins
        basin_grid=40,  # starts along each side of a plane through three training images; 0: no such figures
        batch_size=500,
        seed=0,
    )


def _jacobians() -> dict:
    return dict(
        sigmas="0.1,0.2,0.4,0.8,1.6",  # the trained DAE at those in its range
        num_points=8,  # of each kind of place
        seed=0,
    )
