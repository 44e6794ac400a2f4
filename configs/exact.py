"""When does noise destroy the class of an image? Exact curves over the training images, without any training.

Variants: DATA-SCHEDULE, such as `digits-linear` (seconds) or `mnist-cosine` (55,000 images of 28x28, minutes; its file
is in the folder VDM_DATA_DIR). Other labelled data: `--config.data.source` and `--config.data.name`. configs/probes.py
adds trained probes and chains. The sweep: both data sets under each schedule.
"""

from ml_collections import ConfigDict
from vdm_jax.configs.base import NOISE_TABLES, paired, space_settings
from vdm_jax.configs.base import get_config as get_base_config
from vdm_jax.configs.probes import get_config as get_probes_config

from vdm_jax.base.errors import choose

DATA = {
    "digits": {"data.source": "digits", "data.name": "digits", "exact.num_timesteps": 101},
    "mnist": {"data.source": "npz", "data.name": "mnist", "exact.num_timesteps": 51},
}
VARIANTS = paired(DATA, NOISE_TABLES)


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `digits-linear`."""
    config, probes = ConfigDict(), get_probes_config()
    config.kind = "exact"
    config.name = f"exact-{variant or 'digits-linear'}"
    config.data, config.space = get_base_config().data, space_settings()
    config.diffusion, config.exact = probes.diffusion, probes.exact
    config.lock()
    config.update_from_flattened_dict(choose("variant", variant or "digits-linear", VARIANTS))
    return config


def get_sweep():
    """Each data set under each schedule."""
    return [{"variant": variant} for variant in VARIANTS]
