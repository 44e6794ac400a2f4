"""From a config of kind "exact" to plain objects: labelled images, or sprites, and a table of noise."""

from ml_collections import ConfigDict

from vdm_jax.experiments.common.build import fixed_table, load
from vdm_jax.experiments.common.exact import ExactExperiment, check_exact
from vdm_jax.experiments.common.populations import check_classes
from vdm_jax.experiments.common.space.encoded import open_space


def build_exact(config: ConfigDict, folder: str = "") -> ExactExperiment:
    """Checks every setting and loads the data. Raises `UserError`, also for images without two classes.

    folder: of the data, where `config.data` names none.
    """
    check_exact(config)
    schedule = fixed_table(config.diffusion)
    data = load(config.data, folder)
    check_classes(data)
    return ExactExperiment(config, data, schedule, open_space(config.space, data))
