"""Autoencoders: the spaces in which other experiments live. Every variant is a loss, not a trainer.

Variants: `quick` (a VAE of 16 latents on 9,216 sprites of 32x32, minutes on two CPU cores), and METHOD[-SIZE][-DATA].
METHOD is `ae`, `vae`, `beta4`, `beta10`, `beta60`, `dip1`, `dip2` or `cvae` (conditional), with a number of latents,
such as `vae-256` (none: 16), or `conv`, `kl` or `vq`, whose latents are spatial. DATA is `sparse`, `small` (the
default, sprites of 32x32), `full` (64x64), `digits`, `mnist`, `cifar` or `celeba`: `beta4-64-full`, `vq-celeba`.
`quick-ae`, `quick-beta4` and `quick-dip1` are `quick` with another loss.
The sweep: these four; every method at 32x32 with three seeds; the sizes and methods of the thesis at 64x64.
"""

from ml_collections import ConfigDict, config_dict
from vdm_jax.configs.base import get_config as get_base_config

from vdm_jax.base.errors import UserError, choose

SIZE = 16  # latents where a variant names none
METHODS = {
    "ae": {"model.code": "deterministic"},
    "vae": {},
    "beta4": {"rate.beta": 4.0},
    "beta10": {"rate.beta": 10.0},
    "beta60": {"rate.beta": 60.0},
    "dip1": {"regulariser.name": "dip1", "regulariser.lambda_od": 10.0},
    "dip2": {"regulariser.name": "dip2", "regulariser.lambda_od": 5.0},
    "cvae": {"model.conditional": True},
    "conv": {"model.backbone": "conv"},
    "kl": {  # the first stage of latent diffusion: its weight of the rate, losses and their weights
        "model.backbone": "attention",
        "model.likelihood": "gaussian",
        "rate.beta": 1e-6,
        "reconstruction.loss": "l1",
        "reconstruction.perceptual": 1.0,
        "reconstruction.discriminator": 0.5,
    },
    "vq": {"model.backbone": "conv", "model.code": "quantised"},
}
SPATIAL = ("conv", "kl", "vq")  # methods without a size
TOGETHER = {
    ("kl", "digits"): {"reconstruction.discriminator": 0.0},  # images of 8x8 are one patch
    # with 32 channels an update takes a quarter longer
    ("kl", "full"): {"reconstruction.discriminator_channels": 16},
}
LARGE = {"train.num_steps": 10_000, "train.eval_every": 500, "train.checkpoint_every": 500}
DATA = {
    "small": {"data.name": "small"},
    "sparse": {"data.name": "sparse"},
    "full": LARGE | {"data.name": "full", "reconstruction.discriminator_start": 5_000, "evaluate.num_images": 10_000},
    "digits": {"data.source": "digits", "data.name": "digits", "model.likelihood": "levels", "train.num_steps": 2_000},
    "mnist": LARGE | {"data.source": "npz", "data.name": "mnist", "model.likelihood": "levels"},
    "cifar": LARGE | {"data.source": "tfds", "data.name": "cifar10", "model.likelihood": "gaussian"},
    # Aligned faces, cropped to 64x64, with the attribute that probes predict. Not tested on the published files.
    "celeba": LARGE
    | {
        "data.source": "tfds",
        "data.name": "celeb_a",
        "data.size": 64,
        "data.label": "attributes/Male",
        "model.likelihood": "gaussian",
        "evaluate.num_images": 5_000,
    },
}
QUICK = {  # all jobs in under 4 minutes on two cores
    "train.num_steps": 1_500,
    "evaluate.num_images": 500,
    "evaluate.readout_images": 2_000,
    "evaluate.readout_steps": 300,
    "evaluate.disentanglement_images": 2_000,
    "evaluate.prior_images": 500,
}
QUICK_METHODS = ("vae", "ae", "beta4", "dip1")
STUDY = ("ae", "vae", "beta4", "beta10", "beta60", "dip1", "dip2", "conv", "kl", "vq")
# Tables 4.1 to 4.4 of the thesis, and the spaces of its diffusion models.
STUDY_64 = (
    *("vae-1024", "conv", "kl"),
    *(f"vae-{size}" for size in (256, 128, 64, 16, 4, 1)),
    *("ae-256", "beta10-256", "dip1-256", "vae-5", "ae-5"),
    *(f"{method}-{size}" for method in ("beta10", "dip1") for size in (5, 16, 1024)),
)
VARIANTS = (  # one for each method and for each kind of data; other sizes and pairs of these go as well
    *("quick", *(f"quick-{method}" for method in QUICK_METHODS)),
    *METHODS,
    *(f"vae-16-{name}" for name in DATA),
    "kl-full",
    "vq-cifar",
    "vq-celeba",
)


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: "quick", or METHOD[-SIZE][-DATA]; nothing for `quick`. Other settings: configs/base.py."""
    base = get_base_config()
    config = ConfigDict(
        dict(
            kind="autoencoder",
            name=f"autoencoder-{variant or 'quick'}",
            data=base.data,  # its source may also be "sprites" or "dsprites", as in configs/probes.py
            model=_model(),
            quantiser=_quantiser(),
            regulariser=_regulariser(),
            reconstruction=_reconstruction(),
            rate=_rate(),
            ensemble=_ensemble(),
            train=base.train,
            encode=dict(batch_size=100),
            evaluate=_evaluate(),
            sample=_sample(),
        )
    )
    config.lock()
    config.update_from_flattened_dict(
        {
            "data.source": "sprites",
            "train.num_steps": 3_000,
            "train.learning_rate": 1e-3,
            "train.weight_decay": 0.0,
            "train.ema_decay": 0.995,
            "train.log_every": 50,
            "train.eval_every": 250,
            "train.checkpoint_every": 250,
            "train.eval_images": 500,
        }
    )
    config.update_from_flattened_dict(overrides_of(variant or "quick"))
    return config


def overrides_of(variant: str) -> dict:
    """The settings of a variant. Raises `UserError` for an unknown one."""
    if variant.partition("-")[0] == "quick":
        method = variant.partition("-")[2] or "vae"
        return (
            METHODS[choose("variant, quick-METHOD: METHOD", method, dict.fromkeys(QUICK_METHODS, method))]
            | DATA["small"]
            | QUICK
        )
    method, *rest = variant.split("-")
    own = choose("variant, METHOD[-SIZE][-DATA]: METHOD", method, METHODS)
    size, data = SIZE, "small"
    if rest and rest[0].isdecimal():
        size = int(rest.pop(0))
        if method in SPATIAL or not size:
            why = "its latents are spatial" if method in SPATIAL else "a latent size is at least 1"
            raise UserError(f"variant={variant!r}: {why}; expected {method}{'' if method in SPATIAL else '-16'}")
    if rest:
        data = rest.pop(0)
    of_data = choose(f"variant={variant!r}: DATA", data, DATA)
    if rest:
        raise UserError(f"variant={variant!r}; expected METHOD[-SIZE][-DATA], such as vae-256-full")
    latents = {} if method in SPATIAL else {"model.latents": size}
    return of_data | latents | own | TOGETHER.get((method, data), {})


def get_sweep():
    """`quick` with four losses; ten methods at 32x32 with three seeds; sizes and methods of the thesis at 64x64."""
    return [
        *({"variant": f"quick-{method}"} for method in QUICK_METHODS),
        *({"variant": f"{method}{_size(method)}-small", "train.seed": seed} for method in STUDY for seed in range(3)),
        *({"variant": f"{name}-full", "train.seed": 0} for name in STUDY_64),
    ]


def _size(method: str) -> str:
    return "" if method in SPATIAL else f"-{SIZE}"


def _model() -> dict:
    return dict(
        backbone="fc",  # fc: dense layers to a vector; conv: fully convolutional; attention: with self-attention
        latents=SIZE,  # of fc: the size of the vector
        latent_channels=4,  # of conv, attention: C of latents [H/4, W/4, C]
        channels=config_dict.placeholder(int),  # none: the backbone's own
        code="gaussian",  # q(u | x): gaussian; deterministic: an AE; quantised: rows of a codebook
        conditional=False,  # True: encoder and decoder see the label
        likelihood="bernoulli",  # p(x | u): bernoulli of two levels, gaussian, levels (softmax over grey levels)
        sigma=config_dict.placeholder(float),  # of gaussian, levels: the decoder's deviation; none: one learned number
        dtype="float32",  # of the computation; parameters and losses stay float32
    )


def _quantiser() -> dict:
    return dict(  # of code="quantised"
        num_codes=512,
        codebook="ema",  # how it is updated: ema (moving averages of the encodings), gradient
        decay=0.99,  # of ema
        commitment=0.25,  # weight of the encoder's distance to its code
        restart_below=0.01,  # of ema: a code used less than this times the mean use of codes is restarted; 0: none is
    )


def _regulariser() -> dict:
    return dict(
        name="none",  # none; dip1: of Cov[mean], dip2: of Cov[mean] + E[variance], compared with the identity
        lambda_od=10.0,  # weight of the squared entries off the diagonal
        lambda_d=config_dict.placeholder(float),  # on the diagonal; none: 10 lambda_od of dip1, lambda_od of dip2
    )


def _reconstruction() -> dict:
    return dict(
        loss="likelihood",  # likelihood: -log p(x | u); l1, l2: distances of pixels
        perceptual=0.0,  # weight of the distance of features
        features="classifier",  # of perceptual: a classifier trained on the data set, or inception
        inception="",  # of features=inception: npz file of InceptionV3 weights (configs/README.md, FID)
        discriminator=0.0,  # weight of the patch discriminator, before it is adapted to the gradients; 0: none
        discriminator_start=1_000,  # the update from which the decoder is trained against it
        discriminator_channels=32,
    )


def _rate() -> dict:
    return dict(  # of code="gaussian", as in configs/base.py
        mode="fixed",  # fixed, warmup, cyclical, free_bits, target, mmd, none
        beta=1.0,  # of fixed, warmup, cyclical
        warmup_steps=1_000,  # of warmup
        cycle_steps=1_000,  # of cyclical
        free_bits_nats=0.5,  # of free_bits, for each dimension of u
        target_nats=10.0,  # of target
        mmd_weight=1_000.0,  # of mmd
        mmd_beta=0.0,  # of mmd: the weight of R
    )


def _ensemble() -> dict:
    return dict(  # lists such as "0,1,2"; all combinations are members, in WORKDIR/members; empty: the run itself
        seeds="",  # of train.seed
        beta="",  # of rate.beta
        lambda_od="",  # of regulariser.lambda_od
        learning_rate="",  # of train.learning_rate
    )


def _evaluate() -> dict:
    return dict(
        checkpoint="best",  # best, latest, or a step
        weights="ema",  # ema, raw
        num_images=0,  # the first so many test images; 0: all
        passes=4,  # draws of the code of each
        batch_size=250,
        readout_images=10_000,  # training images, at most, that readouts of the factors are fitted on
        readout_steps=1_000,
        disentanglement_images=10_000,  # images whose codes the scores compare; 0: no scores
        dci=False,  # True: also DCI, 20 boosted trees a factor and code
        prior_images=2_000,  # decoded draws of the prior, compared with all sprites
        on_data=0.1,  # root mean square a pixel below which an image is that of a sprite
        seed=0,
    )


def _sample() -> dict:
    return dict(
        num_images=64,  # decoded draws of the prior, for samples/prior.npz
        png_folder=False,  # True: each of them also as samples/prior/000000.png, …
        interpolations=8,  # pairs of test images
        interpolation_steps=10,  # images from one to the other, both ends among them
        traversals=8,  # latents, the leading ones, that are changed one at a time
        batch_size=250,
        seed=0,
    )
