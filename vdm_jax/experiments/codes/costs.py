"""What the code of each run costs: its rate R as it was trained, the distortion D, and D + R, on test images."""

from typing import Any

import jax
from ml_collections import ConfigDict

from vdm_jax.base.keys import named_key
from vdm_jax.base.mesh import across_devices
from vdm_jax.data.dataset import Split
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.evals.latent_space import entry
from vdm_jax.experiments.codes.runs import TrainedRun

QUANTITIES = {  # of the record, and of `model.terms`
    "rate_nats": "rate",
    "distortion_nats": "distortion",
    "bound_nats": "bound",
    "score_loss": "score_loss",
}
NO_CODE = "there is no code: R is 0, and D + R is D"
DETERMINISTIC = "the code is deterministic, so its rate is infinite"
NOT_SCORED = "the run is not trained by the conditional score"
IN_A_BAND = "the denoiser was trained in a band of log SNR alone"


def costs_of(run: TrainedRun, split: Split, config: ConfigDict) -> dict[str, Any]:
    """{name of `QUANTITIES`: entry or None, "reasons": {name: why it is None}}, over the first `information_images`.

    "rate_nats" is R under the prior that was trained, N(0, I) or a learned one; of E(x, t) that of one time, averaged
    over t. "bound_nats" is D + R where it bounds -log p(x). "score_loss" is J in the weighting of the run; J of two
    weightings cannot be compared. Two runs share images, times and noise.

    config: `config.measure`. split: the test images of the data.
    """
    model, shown = run.model, split.first(config.information_images)
    images = {"levels": shown.levels}
    if getattr(model, "has_moments", False):
        images |= dict(zip(("mu", "logvar"), run.moments(shown.levels), strict=True))
    if getattr(model, "num_labels", 0):
        images["labels"] = shown.labels
    estimate = evaluate_bound(
        model.terms,
        run.params,
        images,
        passes=config.passes,
        batch_size=run.batch_size,
        key=named_key(jax.random.key(config.seed), "costs"),
        place=across_devices,
    )
    reasons = _reasons(run, set(estimate.mean))
    found = {
        name: None
        if name in reasons
        else entry(float(estimate.mean[key]), float(estimate.standard_error[key]), estimate.num_images)
        for name, key in QUANTITIES.items()
    }
    return found | {"reasons": reasons}


def _reasons(run: TrainedRun, known: set[str]) -> dict[str, str]:
    """Why quantities of a run are missing. known: those that its model has."""
    why = {
        "rate_nats": DETERMINISTIC if run.has_code else NO_CODE,
        "distortion_nats": run.model.no_bound,
        "bound_nats": run.model.no_bound,
        "score_loss": NOT_SCORED,
    }
    missing = {name: reason or DETERMINISTIC for name, reason in why.items() if QUANTITIES[name] not in known}
    band = getattr(run.model, "band", None)
    if band is None or band.is_all:
        return missing
    return missing | dict.fromkeys(("distortion_nats", "bound_nats"), IN_A_BAND)
