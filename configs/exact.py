"""When does noise destroy the class of an image? Exact curves over the training images, without any training.

Variants: DATA-SCHEDULE, such as `digits-linear` (seconds) or `mnist-cosine` (55,000 images of 28x28, as quick; its file
is looked for in VDM_DATA_DIR); any other labelled data by `--config.data.source` and `…data.name`.
The sweep: both data sets under each schedule.
"""

from ml_collections import ConfigDict

from configs.base import get_config as get_base_config
from configs.base import table_settings
from vdm_jax.base.errors import choose

DATA = {
    "digits": {"data.source": "digits", "data.name": "digits"},
    "mnist": {"data.source": "npz", "data.name": "mnist", "exact.num_timesteps": 51},
}
SCHEDULES = {
    "linear": {"diffusion.schedule": "ddpm_linear"},
    "cosine": {"diffusion.schedule": "cosine"},
    "dirac": {"diffusion.schedule": "dirac"},
}
VARIANTS = {
    f"{data}-{schedule}": of_data | of_schedule
    for data, of_data in DATA.items()
    for schedule, of_schedule in SCHEDULES.items()
}


def get_config(variant: str = "") -> ConfigDict:
    """`variant`: one of `VARIANTS`; nothing for `digits-linear`."""
    config = ConfigDict()
    config.kind = "exact"
    config.name = f"exact-{variant or 'digits-linear'}"
    config.data = get_base_config().data
    config.diffusion = ConfigDict(
        dict(
            schedule="ddpm_linear",  # any table of SCHEDULES in vdm_jax/diffusion/schedules.py
            num_steps=1000,
            **table_settings(),
        )
    )
    config.exact = ConfigDict(
        dict(
            num_timesteps=101,  # evenly spaced from 0 to num_steps
            batch_size=100,  # queries at a time, half of them with the noise of the others turned round
            max_queries=8_000,  # of each timestep
            tolerance=0.005,  # standard error of every curve at which a timestep is done
            seed=0,
        )
    )
    config.lock()
    config.update_from_flattened_dict(choose("variant", variant or "digits-linear", VARIANTS))
    return config


def get_sweep():
    """Each data set under each schedule."""
    return [{"variant": variant} for variant in VARIANTS]
