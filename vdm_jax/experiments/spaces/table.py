"""The job table: what a space is, and when noise destroys each feature in it at each scale."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.data.encoded import FOLDER
from vdm_jax.experiments.spaces.build import SPACE, SpaceTable, scales_of
from vdm_jax.launch.jobs import NEEDS
from vdm_jax.launch.settings import plain
from vdm_jax.report.primitives.workdir import Workdir

OF_SPACE = ("name", "fingerprint", "shape", "sampled", "variance")
OF_RECONSTRUCTION = ("reconstruction_sum", "reconstruction_per_pixel")
OF_AUTOENCODER = (*OF_RECONSTRUCTION, "rate_nats", "bound_nats")
NO_EVALUATION = "the folder of the space has no evaluate.json"


def table(experiment: SpaceTable, workdir: Path) -> str:
    """Writes `table.json`; returns "done".

    {"space": {"name", "fingerprint", "shape", "num_latents", "sampled", "variance"}, "trained": {"variant", "seed"}, or
    None where a space was named, "autoencoder": {"reconstruction_sum", …_standard_error, …, "num_images"}, "scales":
    {scale: `describe_scale`}, "reasons", "settings", "provenance"}. "variance" is the mean over the latents as they
    stand, of mean and noise together.
    """
    config, runs = experiment.config, experiment.scales
    here = (workdir / NEEDS / SPACE).resolve() == experiment.space.path.resolve()
    about = next(iter(runs.values())).exact["space"]
    own, reasons = of_autoencoder(experiment.space)
    record = {
        "space": {key: about.get(key) for key in OF_SPACE} | {"num_latents": math.prod(about["shape"])},
        "trained": {"variant": config.space.train, "seed": config.space.seed} if here else None,
        "autoencoder": own,
        "scales": {scale: describe_scale(run.exact, run.probe) for scale, run in runs.items()},
        "reasons": reasons,
    }
    origin = {"config": config.name, "seed": config.space.seed, "data": experiment.inputs["data"]}
    write_json(workdir / "table.json", record | {"settings": plain(config), "provenance": provenance() | origin})
    if here and not config.table.keep_encodings:  # those of a named space stay
        shutil.rmtree(experiment.space.path / FOLDER, ignore_errors=True)
    return "done"


def is_of_named_runs(config: ConfigDict, workdir: Path) -> bool:
    """Whether `table.json` has the numbers that the folders of `config.runs` have now, where these are named."""
    scales = Workdir(workdir).record("table").get("scales") or {}
    named = {scale: Workdir(Path(config.runs[scale])) for scale in scales_of(config) if config.runs[scale]}
    try:
        now = {scale: describe_scale(run.exact, run.probe) for scale, run in named.items()}
    except (KeyError, TypeError):  # no such records
        return False
    return all(json.dumps(scales.get(scale)) == json.dumps(found) for scale, found in now.items())


def of_autoencoder(space: Workdir) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Numbers of the evaluation of the autoencoder, with errors; None with the reason where there is no evaluation."""
    found = space.evaluate
    if not found:
        return None, {"autoencoder": NO_EVALUATION}
    names = [f"{name}{suffix}" for name in OF_AUTOENCODER for suffix in ("", "_standard_error")]
    return {name: found.get(name) for name in (*names, "num_images", "checkpoint_step", "weights")}, {}


def describe_scale(exact: Mapping[str, Any], probe: Mapping[str, Any]) -> dict[str, Any]:
    """The space at one scale.

    {"factor", "leading_eigenvalue" of the covariance of the scaled latents, "speciation": {"abar", "timestep"},
    "timesteps", "abar", "num_queries", "features": {name: that of exact.json, and "probe": {"largest_gap",
    "standard_error", "timestep", "falls_short"}, where there are probes}}.
    """
    features = {}
    for name, found in exact["features"].items():
        trained = probe.get("features", {}).get(name)
        gap = {"probe": largest_gap(trained, probe["timesteps"])} if trained else {}
        features[name] = dict(found) | gap
    return {
        "factor": exact["space"]["factor"],
        "leading_eigenvalue": 1 / exact["speciation"]["abar"],
        **{key: exact[key] for key in ("speciation", "timesteps", "abar", "num_queries")},
        "features": features,
    }


def largest_gap(feature: Mapping[str, Any], timesteps: list[int]) -> dict[str, Any] | None:
    """The largest difference between the exact curve and the probe, R² or accuracy, where it is, and the timesteps at
    which the probe is flagged; None for a probe that was not compared."""
    gaps = feature.get("exact_minus_probe")
    if not gaps:
        return None
    key = "r2" if "r2" in gaps else "accuracy"
    at = max(range(len(timesteps)), key=lambda i: gaps[key][i])
    short = [t for t, is_short in zip(timesteps, feature["falls_short"], strict=True) if is_short]
    return {
        "score": key,
        "largest_gap": gaps[key][at],
        "standard_error": gaps[f"{key}_standard_error"][at],
        "timestep": timesteps[at],
        "falls_short": short,
    }
