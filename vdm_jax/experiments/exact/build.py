"""From a config of kind "exact" to plain objects: labelled images, or sprites, and a table of noise."""

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.build import fixed_table, load
from vdm_jax.experiments.common.exact import ExactExperiment, check_exact


def build_exact(config: ConfigDict) -> ExactExperiment:
    """Checks every setting and loads the data. Raises `UserError`, also for images without labels."""
    check_exact(config)
    schedule = fixed_table(config.diffusion)
    data = load(config.data)
    if data.train.labels is None:
        raise UserError(f"{data.name!r} has no labels: there is no class whose curve could be measured")
    return ExactExperiment(config, data, schedule)
