"""The probe job: the curves of the trained probes of every feature, compared with the exact curves."""

import pathlib
from typing import Any

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.training import CHUNKS, say, trained
from vdm_jax.launch.settings import plain
from vdm_jax.probing.chunks import Results
from vdm_jax.probing.curves import compare, probe_windows
from vdm_jax.probing.training import BY_LABEL, HELD_OUT, KNOWN, PROBE
from vdm_jax.probing.windows import Noise, noise_of
from vdm_jax.report.primitives.workdir import Workdir


def probe(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `probe.json`; returns "done". Probes that the job `train` has not trained are trained first.

    {"timesteps", "abar", "in_set": True where "probe" is of training images, "features": {name: {"probe": {"accuracy":
    […], "accuracy_standard_error": […], …}, "by_label", "held_out", "windows", "windows_standard_error",
    "entropy_nats", "variance", and with `exact.json` "exact", "exact_windows", "exact_windows_standard_error",
    "exact_minus_probe", "falls_short"}}, "updates": [M, K], "members", "settings", "provenance"}, in a space
    also "space".

    "probe" are the expected scores of the predictions under the exact posterior of each noisy image, so that the labels
    of a finite split play no part: a constant prediction has the prior's accuracy. "by_label" are the scores by the
    labels themselves. Where test images are no members of the population, both are of training images with fresh noise,
    the only ones for which the exact curve is a reference, and "held_out" are the scores on test images by labels.
    Timesteps of one gamma, as on a Dirac schedule, share their probes.
    """
    steps, gammas, ensemble, results = trained(experiment, workdir)
    settings, population = plain(experiment.config), experiment.population
    exact = Workdir(workdir).exact.get("features", {})
    noise = noise_of(steps, gammas)
    features = {name: describe_probe(own, name, noise, results) for name, own in population.features.items()}
    for name in features.keys() & exact.keys():
        features[name] |= _with_exact(features[name]["probe"], exact[name], experiment.config.probe.shortfall)
    record = {"timesteps": steps.tolist(), "abar": noise.abar.tolist(), "features": features}
    record |= ({"in_set": True} if population.held_out else {}) | experiment.about_space
    about = {
        "members": ensemble.members.names,
        "updates": (results["rounds"] * ensemble.training.updates_per_round).tolist(),
        "settings": settings,
        "provenance": provenance() | {"config": experiment.config.name, "seed": experiment.config.probe.seed},
    }
    write_json(workdir / "probe.json", record | about)
    for name, feature in features.items():
        if any(feature.get("falls_short", [])):
            short = [t for t, is_short in zip(steps.tolist(), feature["falls_short"], strict=True) if is_short]
            say(f"{name} falls short of the exact curve at timesteps {', '.join(map(str, short))}")
    return "done"


def describe_probe(feature: Feature, name: str, noise: Noise, results: Results) -> dict[str, Any]:
    """One feature's curves as lists over the timesteps, and its windows."""
    if name not in results.get(PROBE, {}):
        raise UserError(f"the probes in {CHUNKS}/ were stored without the curves of {name!r}; delete it")
    windows, errors = probe_windows(noise, results[KNOWN][name])
    curves = {part: results[part][name] for part in (PROBE, BY_LABEL, HELD_OUT) if name in results.get(part, {})}
    return {
        **{part: {curve: values.tolist() for curve, values in own.items()} for part, own in curves.items()},
        "windows": windows,
        "windows_standard_error": errors,
        "entropy_nats": feature.entropy,
        "variance": None if feature.values is None else feature.variance,
    }


def _with_exact(probe: dict[str, Any], exact: dict[str, Any], shortfall: float) -> dict[str, Any]:
    """One feature's exact curves at the same timesteps, and the gap of the probe to them."""
    found = {"exact": exact["exact"], "exact_windows": exact["windows"]}
    found["exact_windows_standard_error"] = exact.get("windows_standard_error", {})
    return found | compare(probe, exact["exact"], shortfall)
