"""A table of latent spaces: when noise destroys each feature in each of them, as they stand and at unit variance.

A run is one space: an autoencoder is trained, its images are encoded, and exact curves and probes are measured in the
space as it stands (`none`), scaled by one number to mean variance 1 (`global`), and with every latent at variance 1
(`component`). The sweep is the table.

Variants: `quick` (16 latents for sprites of 32x32, minutes on two CPU cores), and every variant of
configs/autoencoder.py, METHOD[-SIZE][-DATA], such as `vae-16-small`, `conv-small` or `dip1-256-full`.
The sweep: ten methods at 32x32 with three seeds, and at 64x64 sizes and methods of the thesis with one. A pattern
chooses from it: `--sweep='*-small*'`.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.autoencoder import SPATIAL, STUDY
from vdm_jax.configs.autoencoder import get_config as get_autoencoder_config
from vdm_jax.configs.probes import get_config as get_probes_config

SIZE = 16  # latents at 32x32
STUDY_64 = (
    *(f"{method}-{size}" for method in ("vae", "beta10", "dip1") for size in (5, 16, 256, 1024)),
    "conv",
    "kl",
)
VECTORS = {  # probes of latents that are vectors
    "probe.net": "mlp",
    "probe.hidden": (256, 256),
    "probe.learning_rate": 3e-3,
    "probe.batch_size": 256,
    "probe.num_updates": 800,
    "probe.updates_per_round": 100,
    "probe.warm_updates": 800,
    "probe.num_test": 2_048,
}
MAPS = VECTORS | {  # and of latents [H/4, W/4, C]
    "probe.net": "conv",
    "probe.hidden": (32, 64),
    "probe.batch_size": 64,
    "probe.num_updates": 400,
}
DATA = {
    "full": {  # 737,280 images: one encoding on disk at a time
        "exact.max_queries": 1_000,
        "exact.tolerance": 0.02,
        "table.keep_encodings": False,
    },
}
QUICK = {
    "exact.num_timesteps": 11,
    "exact.max_queries": 4_000,
    "probe.num_updates": 200,
    "probe.warm_updates": 400,
}
VARIANTS = ("quick", "vae-16-small", "conv-small", "vae-16-full")  # others, as in configs/autoencoder.py, go as well


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: "quick", or METHOD[-SIZE][-DATA]; nothing for `quick`."""
    variant = variant or "quick"
    of_probes = get_probes_config()
    config = ConfigDict()
    config.kind = "spaces"
    config.name = f"spaces-{variant}"
    config.jobs = ""  # of a launch without --jobs; empty: all
    config.data = get_autoencoder_config(variant).data
    config.space = _space(variant)
    config.runs = _runs()
    for section in ("diffusion", "exact", "probe"):  # as in configs/probes.py
        config[section] = of_probes[section]
    config.table = _table()
    config.lock()
    method, *rest = variant.split("-")
    config.update_from_flattened_dict(MAPS if method in SPATIAL else VECTORS)
    config.update_from_flattened_dict(QUICK if variant == "quick" else {})
    config.update_from_flattened_dict(DATA.get(rest[-1], {}) if rest else {})
    return config


def get_sweep():
    """Ten methods at 32x32 with three seeds; sizes and methods of the thesis at 64x64 with one."""
    small = [f"{method}{'' if method in SPATIAL else f'-{SIZE}'}-small" for method in STUDY]
    return [{"variant": name, "space.seed": seed} for name in small for seed in range(3)] + [
        {"variant": f"{name}-full", "space.seed": 0} for name in STUDY_64
    ]


def _space(variant: str) -> ConfigDict:
    """The space."""
    return ConfigDict(
        dict(
            # A run of kind autoencoder, which the job `encode` has encoded, or a folder of diffusers. Empty: the
            # variant `train` of configs/autoencoder.py is trained first, in WORKDIR/needs/space.
            workdir="",
            train=variant,
            seed=0,  # train.seed of that variant
            sampled=True,  # queries u ~ q(u | x), drawn anew; False: their means
        )
    )


def _runs() -> ConfigDict:
    """Workdirs of probes in the space, by scale; empty: WORKDIR/needs/SCALE, which are run first."""
    return ConfigDict({"none": "", "global": "", "component": ""})


def _table() -> ConfigDict:
    """What is measured in the space."""
    return ConfigDict(
        dict(
            scales="none,global,component",  # any of these
            probes=True,  # False: exact curves alone, without any training in the space
            keep_encodings=True,  # False: WORKDIR/needs/space/encoded is removed with the table
        )
    )
