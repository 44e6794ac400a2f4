"""The probe job: what the trained probes of every feature know at every timestep, beside the exact answer."""

import pathlib
from typing import Any

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.provenance import provenance
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.experiments.probes.build import ProbeExperiment
from vdm_jax.experiments.probes.training import BY_LABEL, CHUNKS, KNOWN, PROBE, of_part, say, trained
from vdm_jax.launch import store as workdirs
from vdm_jax.probing.chunks import Arrays
from vdm_jax.probing.curves import compare, probe_windows
from vdm_jax.probing.windows import Noise, noise_of
from vdm_jax.report.workdir import Workdir


def probe(experiment: ProbeExperiment, workdir: pathlib.Path) -> str:
    """Writes `probe.json`; returns "done". Probes that the job `train` has not trained are trained first.

    {"timesteps", "abar", "features": {name: {"probe": {"accuracy": […], "accuracy_standard_error": […], …},
    "by_label", "windows", "windows_standard_error", "entropy_nats", "variance", and where `exact.json` is there
    "exact", "exact_windows", "exact_windows_standard_error", "exact_minus_probe", "falls_short"}}, "updates": [M, K],
    "members", "settings", "provenance"}.

    "probe" is what the answers on held-out images are worth under the exact posterior of each noisy image, so that
    which labels a finite split happens to hold plays no part: a guess from nothing has the prior's accuracy. "by_label"
    is the same by the labels themselves. Timesteps of one gamma, as a Dirac schedule has them, share their probes.
    """
    steps, gammas, ensemble, arrays = trained(experiment, workdir)
    settings, features = workdirs.plain(experiment.config), experiment.posterior.features
    exact = Workdir(workdir).exact.get("features", {})
    noise = noise_of(steps, gammas)
    features = {name: describe_probe(feature, name, noise, arrays) for name, feature in features.items()}
    for name in features.keys() & exact.keys():
        features[name] |= _beside_exact(features[name]["probe"], exact[name], experiment.config.probe.shortfall)
    about = {
        "members": ensemble.members.names,
        "updates": (arrays["rounds"] * ensemble.training.updates_per_round).tolist(),
        "settings": settings,
        "provenance": provenance() | {"config": experiment.config.name, "seed": experiment.config.probe.seed},
    }
    record = {"timesteps": steps.tolist(), "abar": noise.abar.tolist(), "features": features}
    write_json(workdir / "probe.json", record | about)
    for name, feature in features.items():
        if any(feature.get("falls_short", [])):
            short = [t for t, is_short in zip(steps.tolist(), feature["falls_short"], strict=True) if is_short]
            say(f"{name} falls short of the exact curve at timesteps {', '.join(map(str, short))}")
    return "done"


def describe_probe(feature: Feature, name: str, noise: Noise, arrays: Arrays) -> dict[str, Any]:
    """One feature's curves as lists over the timesteps, and its window."""
    probe, by_label, known = (of_part(arrays, part, name) for part in (PROBE, BY_LABEL, KNOWN))
    if not probe:
        raise UserError(f"the probes in {CHUNKS}/ were stored without what is asked of them now; delete it")
    windows, errors = probe_windows(noise, known)
    return {
        "probe": {curve: values.tolist() for curve, values in probe.items()},
        **({"by_label": {curve: values.tolist() for curve, values in by_label.items()}} if by_label else {}),
        "windows": windows,
        "windows_standard_error": errors,
        "entropy_nats": feature.entropy,
        "variance": None if feature.values is None else feature.variance,
    }


def _beside_exact(probe: dict[str, Any], exact: dict[str, Any], shortfall: float) -> dict[str, Any]:
    """One feature's exact curves of the same timesteps, and what the probe misses of them."""
    found = {"exact": exact["exact"], "exact_windows": exact["windows"]}
    found["exact_windows_standard_error"] = exact.get("windows_standard_error", {})
    return found | compare(probe, exact["exact"], shortfall)
