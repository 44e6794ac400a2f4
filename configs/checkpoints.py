"""Is a better diffusion model one whose chains are closer to the exact curves? Checkpoints of one training.

`--config.chains.model` names the training, with as many checkpoints as the sweep asks for (`train.keep_latest=20`), and
`--config.space.workdir` its space. The sweep measures chains of each checkpoint; its table and figure compare the
distance of the curves from the exact ones with the validation bound. Variants and settings: configs/probes.py.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.probes import get_config as get_probes_config

STEPS = (500, 1_000, 2_000, 4_000, 7_000, 10_000)  # of the defaults of configs/latent_diffusion.py
VARIANTS = ("vectors-linear", "vectors-cosine", "maps-linear", "maps-cosine")  # others of configs/probes.py go as well


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: of configs/probes.py; nothing for vectors under the linear schedule."""
    variant = variant or "vectors-linear"
    config = get_probes_config(variant)
    config.name = f"checkpoints-{variant}"
    config.jobs = "exact,chains,report"
    settings = {
        "chains.samplers": "model-ancestral:100",
        "chains.round_trips": False,
        "chains.num_queries": 2_000,
        "chains.readers": "exact",
    }
    config.update_from_flattened_dict(settings)
    return config


def get_sweep():
    """One member a checkpoint."""
    return [{"chains.checkpoint": str(step)} for step in STEPS]
