"""DDPM in pixels: the simple loss, T = 1000, a multi-scale U-Net, without a code.

Variants: GRID-SCHEDULE of sprites, `small-linear` (9,216 of 32x32, an hour on one CPU core), `sparse-linear` (768, as
long) … `full-dirac` (64x64, for an accelerator), and `digits-linear`, `digits-cosine`, `digits-dirac` on
scikit-learn's 8x8 digits. `digits-score` is a small `digits-linear` that is sampled as a score model in many ways.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import NOISE_TABLES, SHORT_TRAINING, paired, table_settings
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

ONE_CORE = {
    "train.num_steps": 9_000,
    "train.batch_size": 32,
    "train.learning_rate": 2e-3,
    "train.ema_decay": 0.999,
    "train.eval_every": 500,
}
DATA = {
    "small": {"data.name": "small"} | ONE_CORE,
    # 12 templates instead of 36, at every second pixel, so that all have the same place in their patches.
    "sparse": ONE_CORE | {"data.name": "sparse", "train.learning_rate": 1e-3, "train.eval_images": 0},
    "distinct": {"data.name": "distinct", "model.size": "medium"},
    "full": {"data.name": "full", "model.size": "medium", "train.num_steps": 100_000, "evaluate.num_images": 2_000},
    "digits": {
        "data.source": "digits",
        "data.name": "digits",
        "diffusion.target": "eps",
        "model.size": "digits",
        "train.num_steps": 2_000,
        "train.learning_rate": 2e-3,
        "train.eval_images": 0,
    },
}
DIRAC = NOISE_TABLES["dirac"] | {"sample.num_steps": 50}  # it adds noise at 50 entries
VARIANTS = paired(DATA, NOISE_TABLES | {"dirac": DIRAC})
VARIANTS["digits-score"] = VARIANTS["digits-linear"] | {
    "train.num_steps": 1_000,
    "model.channels": 16,
    "sample.clip": False,
    "samplers.num_images": 300,
    "samplers.methods": "ancestral,reverse_sde_vp,reverse_sde_ve,ddim,flow_vp,langevin:2:0.1,ancestral+langevin:1:0.1",
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `small-linear`. Other settings: configs/base.py."""
    config = ddpm_config(f"ddpm-{variant or 'small-linear'}")
    config.update_from_flattened_dict(choose("variant", variant or "small-linear", VARIANTS))
    return config


def ddpm_config(name: str) -> ConfigDict:
    """The settings of the kind "ddpm", before those of a variant."""
    base = get_base_config()
    config = ConfigDict(
        dict(
            kind="ddpm",
            name=name,
            data=base.data,  # its source may also be "sprites" or "dsprites", as in configs/probes.py
            model=_model(),
            diffusion=dict(
                schedule="ddpm_linear",  # any table of SCHEDULES in vdm_jax/diffusion/schedules.py
                num_steps=1000,
                **table_settings(),
                target="log_odds",  # what the network predicts: eps, x, v; of pixels of ±1 also log_odds
                pixel_max=config_dict.placeholder(float),  # pixels reach from -pixel_max to it; none: as the data's
                weighting="simple",  # simple, bound, uniform, p2, min_snr; the bound is reported whatever is trained
            ),
            train=base.train,
            evaluate=_evaluate(),
            sample=_sample(),
            round_trip=_round_trip(),
            samplers=samplers(),
        )
    )
    config.lock()
    config.update_from_flattened_dict(
        SHORT_TRAINING
        | {
            "data.source": "sprites",
            "train.num_steps": 2_000,
            "train.eval_every": 250,
            "train.checkpoint_every": 250,
            "train.eval_images": 250,
        }
    )
    return config


def get_sweep():
    """Every schedule on the digits with the seeds 0, 1 and 2; on 768 and 9,216 sprites with one."""
    digits = [{"variant": f"digits-{noise}", "train.seed": seed} for noise in NOISE_TABLES for seed in range(3)]
    return digits + [
        {"variant": f"{grid}-{noise}", "train.seed": 0} for grid in ("sparse", "small") for noise in NOISE_TABLES
    ]


def _model() -> dict:
    return dict(
        network="multiscale",  # DDPM's U-Net; "vdm", with the sizes of configs/base.py; or "cnn": the coursework's
        size="small",  # ddpm, medium, small, digits; of cnn: coursework
        channels=config_dict.placeholder(int),  # none: the size's own; so the next four
        num_blocks=config_dict.placeholder(int),
        multipliers=config_dict.placeholder(tuple),  # of multiscale: of channels, one for each level
        attention=config_dict.placeholder(tuple),  # of multiscale: sides of images at which there is attention
        conditioning="adagn",  # of the ResBlocks by the time: concat, adagn
        zero_init=False,
        fourier_min=0,  # Fourier features 2^n pi z for n in min … max; none where max < min
        fourier_max=-1,
        num_heads=1,
        widths=config_dict.placeholder(tuple),  # of cnn: of its layers but the last
        patch=config_dict.placeholder(int),  # of multiscale: side of the patches that are a place of the first level
        dropout=0.0,
        dtype="float32",
    )


def _evaluate() -> dict:
    return dict(
        checkpoint="best",  # best, latest, or a step
        weights="ema",  # ema, raw
        num_images=0,  # the first so many test images; 0: all
        passes=4,  # noise passes over them
        batch_size=250,
        coverage_images=500,  # generated sprites whose features are counted; 0: none
        sprite_tolerance=0.25,  # an image with a larger share of wrong pixels than this is no sprite
        reader_images=20_000,  # training sprites, at most, of the network that reads features
        reader_steps=1_500,
        frechet_images=600,  # of other data: generated images; 0: none
        inception="",  # npz file of InceptionV3 weights (configs/README.md, FID); empty: no FID
        fid_reference_images=0,  # training images that the FID is taken against; 0: all
        seed=0,
    )


def _sample() -> dict:
    return dict(
        sampler="ancestral",  # ancestral, ancestral_beta, ddim, dpmpp_2m; further ones as in configs/score.py
        num_steps=100,  # of inference, at most diffusion.num_steps
        grid="time",  # steps uniform in "time" or in "logsnr"
        num_images=64,  # generated for samples/prior.npz
        png_folder=False,  # True: each of them also as samples/prior/000000.png, …
        num_paths=8,  # images whose path is drawn
        clip=True,  # x_hat to the range of pixel values
        batch_size=250,
        seed=0,
    )


def _round_trip() -> dict:
    return dict(
        num_images=0,  # the first so many test images, noised to T and sampled back; 0: there is no such job
        num_full=0,  # of them also by every step of the table
        times="0.1,0.5,1",  # t, to which the drawn images are noised
        epochs="",  # at which images are drawn besides the chosen checkpoint, such as "1,5,10,15"
        num_shown=8,  # images of each grid
        frechet_images=0,  # generated from each start of the chain, for Fréchet distances; 0: none
        step_beta=0.1,  # of constant beta: chains whose steps are as large as those of this table
        timesteps=20,  # at which the loss is measured
        batch_size=250,
        seed=0,
    )


def samplers() -> dict:
    """The section of the job samplers; also of configs/score.py."""
    return dict(
        methods="",  # as sample.sampler, with commas between them, over sample.num_steps steps; empty: no such job
        num_images=1_000,  # of each sampler and seed
        num_seeds=3,  # of the evaluation: errors are over these
        seed=0,
    )
