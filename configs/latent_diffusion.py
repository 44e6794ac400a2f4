"""Diffusion models of the latents of a trained autoencoder, or of a first stage of diffusers.

Variants: `linear`, `cosine` and `dirac` (tables of T = 1000, the mean squared error of the noise), `vdm` (VDM's linear
log SNR) and `learned` (a monotone network), both trained on the bound; `quick` is `linear` with a short training.
`quality` is `linear` with the job quality, which samples in many ways; --config.quality.exact=DIR names exact curves.
`--config.space.workdir=DIR` names the space. Without it a VAE of 16 latents is trained first, `autoencoder.py:quick`.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import NOISE_TABLES, SHORT_TRAINING, space_settings, table_settings
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

SAMPLERS = ("ancestral", "ddim", "dpmpp_2m")
SAMPLINGS = ",".join(  # the studies of sampling: samplers and steps; times; starts
    [f"{sampler}:{steps}" for sampler in SAMPLERS for steps in (10, 20, 50, 100)]
    + [f"ancestral:{steps}:{times}" for times in ("cosine", "information") for steps in (20, 50, 100)]
    + [f"ancestral:{steps}:time:{start}" for start in ("gaussian", "mixture") for steps in (50, 100)]
)
BOUND = {"diffusion.weighting": "bound", "diffusion.num_steps": None}
VARIANTS = NOISE_TABLES | {
    "dirac": NOISE_TABLES["dirac"] | {"sample.num_steps": 50},  # it adds noise at 50 entries
    "vdm": BOUND | {"diffusion.schedule": "linear"},
    "learned": BOUND | {"diffusion.schedule": "monotone"},
    "quality": {"quality.samplers": SAMPLINGS},
    "quick": {  # all jobs in under 5 minutes on two cores, the space among them
        "train.num_steps": 2_000,
        "train.batch_size": 128,
        "model.width": 256,
        "evaluate.passes": 1,
        "evaluate.reader_images": 2_000,
        "evaluate.reader_steps": 200,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `quick`. Other settings: configs/base.py."""
    base = get_base_config()
    config = ConfigDict(
        dict(
            kind="latent_diffusion",
            name=f"latent_diffusion-{variant or 'quick'}",
            data=base.data,  # its source may also be "sprites" or "dsprites", as in configs/probes.py
            space=space_settings(train="quick"),
            model=_model(),
            diffusion=dict(
                schedule="ddpm_linear",  # any of SCHEDULES in vdm_jax/diffusion/schedules.py, or monotone, scalar
                gamma_min=-13.3,  # of linear, monotone, scalar
                gamma_max=5.0,
                **table_settings(),
                num_steps=1000,  # T of a table and of the bound; none: the table's own, or T = infinity
                target="v",  # what the network predicts: eps, x, v, normal (eps_hat = sigma_t z_t + output)
                weighting="simple",  # simple, bound, uniform, p2, min_snr; the bound is reported whatever is trained
            ),
            train=base.train,
            evaluate=_evaluate(),
            sample=_sample(),
            quality=_quality(),
        )
    )
    config.lock()
    config.update_from_flattened_dict(
        SHORT_TRAINING
        | {
            "data.source": "sprites",
            "data.name": "small",
            "train.num_steps": 10_000,  # 0: the untrained network is evaluated
            "train.batch_size": 256,
            "train.eval_every": 500,
            "train.checkpoint_every": 500,
        }
    )
    config.update_from_flattened_dict(choose("variant", variant or "quick", VARIANTS))
    return config


def get_sweep():
    """Every schedule with the seeds 0, 1 and 2 in one space, `space.workdir`; and the untrained network."""
    schedules = ("linear", "cosine", "dirac", "vdm", "learned")
    trained = [{"variant": name, "train.seed": seed} for name in schedules for seed in range(3)]
    return [*trained, {"variant": "linear", "train.num_steps": 0}]


def _model() -> dict:
    return dict(
        network="auto",  # mlp, resmlp, concmlp: of vectors; multiscale, vdm: of maps; auto: resmlp or multiscale
        width=512,  # of mlp, resmlp, concmlp
        num_layers=4,
        size="latents",  # of multiscale: ddpm, medium, small, latents, digits; of vdm as in configs/base.py
        channels=config_dict.placeholder(int),  # none: the size's own; so the next four
        num_blocks=config_dict.placeholder(int),
        multipliers=config_dict.placeholder(tuple),  # of multiscale: of channels, one for each level
        attention=config_dict.placeholder(tuple),  # of multiscale: sides of maps at which there is attention
        patch=config_dict.placeholder(int),  # of multiscale: side of the patches that are a place of the first level
        conditioning="adagn",  # of the ResBlocks by the time: concat, adagn
        zero_init=True,  # the output starts at 0: with the target v or normal the denoiser of N(0, I)
        fourier_min=0,  # Fourier features 2^n pi z for n in min … max; none where max < min
        fourier_max=-1,
        num_heads=1,
        dropout=0.0,
        dtype="float32",
    )


def _quality() -> dict:
    return dict(
        # Ways to sample, SAMPLER:STEPS[:TIMES[:START]]; empty: the job has nothing to do. TIMES: time, logsnr, cosine,
        # information (each step loses as much of it). START: noise, or at the edge of the features gaussian, mixture.
        samplers="",
        exact="",  # workdir of the exact curves of the space at the same scale, of information, gaussian, mixture
        num_images=2_000,  # of each sampling and seed
        num_seeds=3,  # of the evaluation: errors are over these
        batch_size=500,
        seed=0,
    )


def _evaluate() -> dict:
    return dict(
        checkpoint="best",  # best, latest, or a step
        weights="ema",  # ema, raw
        num_images=0,  # the first so many test images; 0: all
        passes=4,  # noise passes over them
        batch_size=250,
        denoising_parts=20,  # equal parts of the time, in each of which the loss is measured
        mixture_components=10,  # of the mixture of Gaussians that is fitted to training latents; 0: none
        fitted_images=10_000,  # training latents, at most, that it is fitted to
        coverage_images=500,  # generated sprites of each model whose features are counted; 0: none
        sprite_tolerance=0.25,  # an image with a larger share of wrong pixels than this is no sprite
        reader_images=20_000,  # training sprites, at most, of the network that reads features
        reader_steps=1_500,
        frechet_images=600,  # of other data: generated images of each model; 0: none
        seed=0,
    )


def _sample() -> dict:
    return dict(
        sampler="ancestral",  # ancestral, ancestral_beta, ddim, dpmpp_2m
        num_steps=100,  # of inference, of a table at most diffusion.num_steps
        grid="time",  # steps uniform in "time" or in "logsnr"
        num_images=64,  # generated for samples/prior.npz
        png_folder=False,  # True: each of them also as samples/prior/000000.png, …
        num_paths=8,  # images whose path is drawn
        batch_size=250,
        seed=0,
    )
