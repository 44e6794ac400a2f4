"""What every record of this kind says of its settings, its picture and where it was made."""

from typing import Any

from vdm_jax.base.provenance import provenance
from vdm_jax.experiments.forward_process.build import ForwardExperiment
from vdm_jax.launch.settings import plain


def origin(experiment: ForwardExperiment, seed: int) -> dict[str, Any]:
    """{"picture", "settings", "provenance"}."""
    config, data = experiment.config, experiment.data
    about = {"config": config.name, "seed": seed, "data": f"{data.name} {data.fingerprint}"}
    picture = experiment.digest or f"the first test image of {data.name}"
    return {"picture": picture, "settings": plain(config), "provenance": provenance() | about}
