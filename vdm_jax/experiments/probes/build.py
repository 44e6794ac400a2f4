"""From a config of timestep probes to plain objects: the data, the schedule, and perhaps a trained model."""

from dataclasses import dataclass

from ml_collections import ConfigDict

from vdm_jax.experiments.common.build import fixed_table, load
from vdm_jax.experiments.common.exact import ExactExperiment
from vdm_jax.experiments.common.space.encoded import open_space
from vdm_jax.experiments.common.trained_model import TrainedModel, load_trained
from vdm_jax.experiments.probes.checks import check_population, check_settings, check_window
from vdm_jax.experiments.probes.samplers import needs_model


@dataclass(frozen=True)
class ProbeExperiment(ExactExperiment):
    """What every job of the probes starts from."""

    model: TrainedModel | None = None  # where a sampler needs one


def build_probes(config: ConfigDict, folder: str = "") -> ProbeExperiment:
    """Checks every setting and loads the data; nothing is compiled yet. Raises `UserError`.

    folder: of the data, where `config.data` names none.
    """
    check_settings(config)
    data = load(config.data, folder)
    check_population(config, data)
    check_window(config.probe, data)
    chains = config.chains
    model = load_trained(chains.model, chains.checkpoint, config, data) if needs_model(config) else None
    return ProbeExperiment(config, data, fixed_table(config.diffusion), open_space(config.space, data), model)
