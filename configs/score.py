"""Score matching and Langevin dynamics: NCSN on images, and the study of a mixture of two Gaussians in the plane.

Variants: `quick` (all jobs on 8x8 digits in minutes on two CPU cores), `digits` (NCSN: denoising score matching at
geometric noise levels, sampled by annealed Langevin dynamics), `digits-vp` (a DDPM, whose eps_hat is the score),
`digits-single` (one noise level alone, as the thesis' figure 2.15), `digits-sliced` and `digits-exact` (other
objectives), `mnist`, and `mixture` (the study alone, with its full settings).
The sweep: `digits`, `digits-sliced` and `digits-single` with three seeds.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.ddpm import get_config as get_ddpm_config
from vdm_jax.configs.ddpm import samplers

from vdm_jax.base.errors import choose

METHODS = (
    "ancestral,reverse_sde_vp,reverse_sde_ve,ddim,dpmpp_2m,flow_vp,langevin:5:0.2,langevin:10:0.2,"
    "ancestral+langevin:1:0.1,ddim+langevin:2:0.1"
)
OF_IMAGES = {"jobs": "train,evaluate,sample,samplers,report"}
DIGITS = {
    "data.source": "digits",
    "data.name": "digits",
    "model.size": "digits",
    "model.channels": 16,
    "train.num_steps": 1_000,
    "train.eval_every": 250,
    "train.checkpoint_every": 250,
    "train.eval_images": 0,
    "samplers.num_images": 300,
}
SINGLE = {"noise.sigma_max": 0.05, "noise.sigma_min": 0.05, "noise.num_levels": 1, "sample.num_steps": 1}
SINGLE |= {"sample.sampler": "langevin:1000:0.2", "samplers.methods": ""}
VARIANTS = {
    "quick": DIGITS
    | {
        "evaluate.passes": 1,
        "sample.sampler": "langevin:5:0.2",
        "samplers.methods": "ancestral,reverse_sde_vp,ddim,langevin:5:0.2,ancestral+langevin:1:0.1",
        "samplers.num_seeds": 2,
        "mixture.num_steps": 1_000,
        "mixture.num_seeds": 1,
        "mixture.num_chains": 1_000,
    },
    "digits": DIGITS | OF_IMAGES,
    "digits-vp": DIGITS | OF_IMAGES | {"noise.process": "vp", "sample.sampler": "ancestral", "sample.num_steps": 100},
    "digits-single": DIGITS | OF_IMAGES | SINGLE,
    "digits-sliced": DIGITS | OF_IMAGES | {"objective.matching": "sliced", "samplers.methods": ""},
    "digits-exact": DIGITS | OF_IMAGES | {"objective.matching": "exact", "train.batch_size": 32},
    "mnist": OF_IMAGES
    | {
        "data.source": "npz",
        "data.name": "mnist",
        "model.network": "vdm",
        "model.size": "m",
        "noise.sigma_max": 30.0,
        "noise.num_levels": 60,
        "sample.num_steps": 60,
        "train.num_steps": 20_000,
    },
    "mixture": DIGITS | {"jobs": "mixture,report"},
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `quick`. Other settings: configs/base.py."""
    base, ddpm = get_base_config(), get_ddpm_config()
    config = ConfigDict(
        dict(
            kind="score",
            name=f"score-{variant or 'quick'}",
            jobs="",  # of a launch without --jobs; empty: all
            data=base.data,
            model=ddpm.model,
            noise=_noise(),
            objective=dict(matching="denoising"),  # denoising, sliced, exact (D derivatives of the network)
            train=base.train,
            evaluate=_evaluate(),
            sample=_sample(),
            samplers=samplers(),
            mixture=_mixture(),
        )
    )
    config.lock()
    config.update_from_flattened_dict(
        {
            "samplers.methods": METHODS,
            "train.num_steps": 4_000,
            "train.learning_rate": 2e-3,
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
    """The digits at all levels by two objectives, and at one level, with the seeds 0, 1 and 2."""
    names = ("digits", "digits-sliced", "digits-single")
    return [{"variant": name, "train.seed": seed} for name in names for seed in range(3)]


def _noise() -> dict:
    return dict(
        process="ve",  # ve: y = x + sigma eps at falling sigmas (NCSN); vp: DDPM's linear table
        sigmas="",  # of ve: the sigmas themselves, falling, such as 10,3,1; empty: geometric by the next three
        sigma_max=10.0,
        sigma_min=0.02,
        num_levels=20,
        num_steps=1000,  # of vp: its T
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
        frechet_images=300,  # of other data: generated images; 0: none
        seed=0,
    )


def _sample() -> dict:
    return dict(
        # ancestral, ancestral_beta, ddim, dpmpp_2m, reverse_sde_vp, reverse_sde_ve, flow_vp; langevin:STEPS:RATIO,
        # annealed Langevin dynamics with so many steps of size RATIO sigma² at a level; SAMPLER+langevin:STEPS:RATIO
        sampler="langevin:10:0.2",
        num_steps=20,  # noise levels, at most those of the table
        grid="time",  # steps uniform in "time" or in "logsnr"
        num_images=64,  # generated for samples/prior.npz
        png_folder=False,  # True: each of them also as samples/prior/000000.png, …
        num_paths=8,  # images whose path is drawn
        clip=False,  # x_hat to the range of pixel values: no longer the score
        batch_size=250,
        seed=0,
    )


def _mixture() -> dict:
    return dict(
        weight=0.2,  # of the Gaussian N(-centre, I); that of N(+centre, I) is 1 - weight
        centre=5.0,  # both coordinates
        width=128,  # of the networks
        num_layers=3,
        num_steps=2_000,  # of each training
        batch_size=256,  # fresh draws
        learning_rate=1e-3,
        num_seeds=3,
        sigma=0.3,  # of denoising score matching at one level
        sigma_max=20.0,  # of the noise levels
        sigma_min=0.1,
        num_levels=15,
        num_points=41,  # of the grid over the square, along each side
        num_chains=2_000,
        langevin_steps=1_000,  # of plain Langevin dynamics, from a uniform start in the square
        step_size=0.1,
        annealed_steps=100,  # Langevin steps at each level
        ratio=0.2,  # their size, times sigma²
        separations="2,4,6,8",  # distances of the modes of which mixing is measured
        seed=0,
    )
