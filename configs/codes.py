"""Many codes of the same images side by side: trained ones and baselines, measured in the same ways.

A run trains the codes of `variants` first, or takes those of `runs`, and measures each: readouts of every factor,
nearest neighbours, readouts from few labels, bounds on information, scores of disentanglement; reconstructions and
images between two codes; at which log SNR each helps its denoiser. Variants:

    quick       8x8 digits, 200 updates each: DRL, DRL with E(x, t), VDRL, VAE-VDM and no code; far from converged
    digits      8x8 digits: DRL by its weighting, E(x, t) and a code of the same total size, VDRL by its weighting and
                with a learned prior, VAE-VDM, autoencoders, no code
    sprites     the same of 768 sprites of 32x32, whose five factors are known; hours
    mnist14     the same of MNIST at 14x14; hours
    baselines   8x8 digits without any training: pixels, PCA, a random projection

Own runs: `--config.runs.other_1=DIR`. The sweep: `digits` and `sprites` with three seeds, `mnist14` with one.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

COMPARED = (
    *("drl", "drl_uniform", "drl_p2", "drl_low", "drl_high", "drl_time", "drl_wide"),
    *("vdrl_uniform", "vdrl_p2", "vdrl_learned", "vdrl_time", "vae_vdm", "target", "unconditional"),
)
CODES = (*COMPARED, "target_learned", "none", "autoencoder", "vae", "other_1", "other_2", "other_3", "other_4")
DIGITS = {"data.source": "digits", "data.name": "digits"}
SPRITES = {"data.source": "sprites", "data.name": "sparse", "data.split": "population"}
MNIST = {"data.source": "npz", "data.name": "mnist", "data.downsample": 2}


def compared(base: str, width: int, **others: str) -> dict[str, str]:
    """`variants` of configs/representation.py for the data of `base`, the start of its variants. width: of one code."""
    found = {name: f"representation:{base}{name.replace('_', '-')}" for name in COMPARED}
    found["vae_vdm"] = f"representation:{base}vae_vdm"
    # as many numbers as the five times of E(x, t) have
    found["drl_wide"] = f"representation:{base}drl model.w_dim={5 * width}"
    return {f"variants.{name}": stated for name, stated in (found | others).items()}


QUICK = {
    "codes.num_steps": 200,
    "measure.readout_steps": 300,
    "measure.readout_seeds": 2,
    "measure.draws": 3,
    "measure.passes": 1,
    "decode.num_images": 100,
    "decode.pairs": 20,
    "decode.num_steps": 20,
    "worth.num_images": 100,
    "worth.points": 14,
    "worth.passes": 1,
}
OF_QUICK = ("drl", "drl_time", "vdrl_p2", "vae_vdm", "unconditional")
OF_DIGITS = {
    "target_learned": "digits:target_learned_prior",
    "none": "digits:none",
    "autoencoder": "autoencoder:ae-16-digits",
    "vae": "autoencoder:vae-16-digits",
}
OF_SPRITES = {
    "target_learned": "sprites:target_learned_prior",
    "none": "sprites:none",
    "autoencoder": "autoencoder:ae-8-sparse",
    "vae": "autoencoder:vae-8-sparse",
}
OF_MNIST = {
    "target_learned": "collapse:14-target_learned_prior",
    "none": "collapse:14-none",
    "autoencoder": "autoencoder:ae-16-mnist",
    "vae": "autoencoder:vae-16-mnist",
}
VARIANTS = {
    "quick": DIGITS | QUICK | {f"variants.{name}": compared("", 16)[f"variants.{name}"] for name in OF_QUICK},
    "digits": DIGITS | compared("", 16, **OF_DIGITS),
    "sprites": SPRITES | compared("sprites-", 8, **OF_SPRITES),
    "mnist14": MNIST | compared("14-", 16, **OF_MNIST),
    "baselines": DIGITS | QUICK,
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `quick`."""
    settings = choose("variant", variant or "quick", VARIANTS)
    config = ConfigDict()
    config.kind = "codes"
    config.name = f"codes-{variant or 'quick'}"
    config.jobs = ""  # of a launch without --jobs; empty: all
    config.data = get_base_config().data
    config.runs = ConfigDict(dict.fromkeys(CODES, ""))  # workdirs of trained runs
    # What is trained first where `runs` names no folder, as FILE:VARIANT KEY=VALUE …, such as
    # "representation:drl model.w_dim=32", a variant of configs/FILE.py; empty: no such code.
    config.variants = ConfigDict(dict.fromkeys(CODES, ""))
    config.codes = _codes()
    config.measure = _measure()
    config.decode = _decode()
    config.worth = _worth()
    config.lock()
    config.update_from_flattened_dict(settings)
    return config


def get_sweep():
    """`digits` and `sprites` with three seeds, `mnist14` with one."""
    seeds = {"digits": 3, "sprites": 3, "mnist14": 1}
    return [{"variant": name, "codes.seed": seed} for name, number in seeds.items() for seed in range(number)]


def _codes() -> ConfigDict:
    """Which codes there are besides."""
    return ConfigDict(
        dict(
            baselines="pixels,pca,random,untrained",  # any of these; empty: none
            times="0.1,0.3,0.5,0.7,0.9",  # of E(x, t): the t whose codes are measured, and all of them together
            width=16,  # of PCA and of random projections, where there is no trained code whose width they take
            seed=0,  # train.seed of what is trained, and of the random projection
            num_steps=config_dict.placeholder(int),  # train.num_steps of what is trained; none: the variant's own
            checkpoint="best",  # of every run: best, latest, or a step
            weights="ema",  # ema, raw
            batch_size=250,
        )
    )


def _measure() -> ConfigDict:
    """The job measure."""
    return ConfigDict(
        dict(
            train_images=10_000,  # training images, at most, that readouts are fitted on
            test_images=0,  # test images, and validation images, at most; 0: all
            readout_steps=1_000,
            readout_seeds=3,  # initial weights and batches of each readout
            labels="1,10,100",  # labelled images a class that few-label readouts see
            draws=5,  # of these images
            information_images=2_000,  # test images, at most, of the bounds on I(x; w), and of R, D and D + R
            passes=4,  # of R, D and D + R, with other times and noise
            disentanglement_images=10_000,  # images of sprites whose codes the scores compare; 0: no scores
            dci=False,  # True: also DCI, 20 boosted trees a factor and code
            seed=0,
        )
    )


def _decode() -> ConfigDict:
    """The job decode."""
    return ConfigDict(
        dict(
            num_images=500,  # test images, at most, that are reconstructed
            pairs=100,  # of test images, with images between their codes
            steps=9,  # from the one image of a pair to the other, both among them
            sampler="ddim",  # of codes of diffusion models
            num_steps=50,
            grid="time",  # steps uniform in "time" or in "logsnr"
            seed=0,
        )
    )


def _worth() -> ConfigDict:
    """The job worth."""
    return ConfigDict(
        dict(
            num_images=250,  # of the training and of the test images
            points=27,  # log SNRs, over the range that the schedules of all runs have
            passes=4,  # draws of noise of each image and log SNR
            seed=0,
        )
    )
