"""Many codes of the same images side by side: trained ones and baselines, measured in the same ways.

A run trains the codes of `variants` first, or takes those of `runs`, and measures each: readouts of every factor,
nearest neighbours, readouts from few labels, bounds on information, scores of disentanglement; reconstructions and
images between two codes; at which log SNR each helps its denoiser. Variants:

    quick       8x8 digits, 200 updates each: DRL, DRL with E(x, t), VDRL, VAE-VDM; far from converged
    digits      8x8 digits: DRL by its weighting, E(x, t) and a code of the same total size, VDRL, VAE-VDM, autoencoders
    baselines   8x8 digits without any training: pixels, PCA, a random projection

Own runs: `--config.runs.other_1=DIR`. The sweep: `digits` with three seeds.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import choose

CODES = (
    *("drl", "drl_uniform", "drl_bound", "drl_low", "drl_high", "drl_time", "drl_wide"),
    *("vdrl", "vdrl_target", "vdrl_time", "vae_vdm", "target", "target_learned", "none"),
    *("autoencoder", "vae", "unconditional", "other_1", "other_2", "other_3", "other_4"),
)
DIGITS = {"data.source": "digits", "data.name": "digits"}
OF_DIGITS = {
    **{name: f"representation:{name.replace('_', '-')}" for name in CODES if name.startswith(("drl_", "vdrl_"))},
    "drl": "representation:drl",
    "drl_wide": "representation:drl model.w_dim=80",  # as many numbers as five codes of E(x, t)
    "vdrl": "representation:vdrl",
    "vae_vdm": "representation:vae_vdm",
    "target": "representation:target",
    "target_learned": "digits:target_learned_prior",
    "none": "digits:none",
    "unconditional": "representation:unconditional",
}
QUICK = {
    "measure.readout_steps": 300,
    "measure.readout_seeds": 2,
    "measure.draws": 3,
    "decode.num_images": 100,
    "decode.pairs": 20,
    "decode.num_steps": 20,
    "worth.num_images": 100,
    "worth.points": 14,
    "worth.passes": 1,
}
VARIANTS = {
    "quick": DIGITS
    | QUICK
    | {f"variants.{name}": OF_DIGITS[name] for name in ("drl", "drl_time", "vdrl", "vae_vdm", "unconditional")}
    | {"codes.num_steps": 200},
    "digits": DIGITS | {f"variants.{name}": stated for name, stated in OF_DIGITS.items()},
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
    """`digits` with three seeds, and the baselines."""
    return [{"variant": "digits", "codes.seed": seed} for seed in range(3)]


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
            information_images=2_000,  # test images, at most, of the bounds on I(x; w)
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
