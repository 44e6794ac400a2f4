"""The job measure: what each code says about the factors of the images, from its features alone."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json
from vdm_jax.base.keys import named_key
from vdm_jax.data.dataset import SPLITS, Dataset, Split
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.evals.codes import information
from vdm_jax.evals.information import active_units
from vdm_jax.evals.latent_space import entry
from vdm_jax.evals.reading.ensemble import read_codes
from vdm_jax.evals.reading.few_labels import few_labels
from vdm_jax.evals.reading.neighbours import nearest_neighbours
from vdm_jax.evals.readouts import readable
from vdm_jax.evals.representations import ONE_CLASS
from vdm_jax.experiments.codes.build import CodesExperiment
from vdm_jax.experiments.codes.codes import MeasuredCode, about_codes
from vdm_jax.experiments.codes.costs import costs_of
from vdm_jax.experiments.common.codes import sample_codes
from vdm_jax.experiments.common.factors import NO_FACTORS, disentanglement, factors_of, labels_of

RECORD = "codes.json"
OF_FACTORS = ("readouts", "neighbours", "few_labels")
BOUNDS = {  # of the record, and of `evals.codes.information`
    "lower_nats": "mi_lower_nats",
    "upper_nats": "mi_upper_nats",
    "aggregate_prior_rate_nats": "aggregate_prior_rate_nats",
}
WITHOUT_NOISE = "the code has no noise: I(x; w) has no density to be bounded by"
Moments = tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"] | None]
Encoded = Mapping[str, Mapping[str, Moments]]  # by code and split


def measure(experiment: CodesExperiment, workdir: pathlib.Path) -> str:
    """Writes `codes.json`; returns "done".

    {"factors": {name: number of classes}, "num_images": of each split, "codes": {name: {"about", "readouts",
    "neighbours", "few_labels", "information", "active_units", "disentanglement", "reasons"}}, "costs": {run:
    `costs_of`}, also of runs without a code, "settings", "provenance"}. The factors are those that are read. Every
    number has its standard error and N beside it.
    """
    config, codes = experiment.config, experiment.codes
    data, splits = reading_splits(experiment.data, config.measure)
    factors, missing = read_of(data, splits["train"])
    labels = {name: labels_of(data, split) for name, split in splits.items()} if factors else {}
    encoded = {code.name: {name: code.encode(split.levels) for name, split in splits.items()} for code in codes}
    for code in codes:
        say(f"{code.name}: {encoded[code.name]['test'][0].shape[1]} numbers")
    about = about_codes(codes, {name: splits["test"][0].shape[1] for name, splits in encoded.items()})
    found: dict[str, dict[str, Any]] = {code.name: {"about": about[code.name], "reasons": {}} for code in codes}
    by_code = read_factors(config, encoded, labels, factors) if factors else {}
    for name, of_factors in by_code.items():
        found[name] |= of_factors
    for code in codes:
        own = found[code.name]
        own["active_units"] = active_units(encoded[code.name]["test"][0])
        own["information"], no_bounds = information_of(config.measure, encoded[code.name], code.no_density)
        own["disentanglement"], no_scores = disentanglement(config.measure, data, means_of(code))
        own["reasons"] |= missing | no_bounds | no_scores
    costs = {}
    for run in experiment.runs:
        say(f"{run.name}: R, D and D + R")
        costs[run.name] = costs_of(run, experiment.data.test, config.measure)
    record = {
        "factors": {name: len(factor.prior) for name, factor in factors.items()},
        "num_images": {name: len(split) for name, split in splits.items()},
        "codes": found,
        "costs": costs,
    }
    write_json(workdir / RECORD, record | experiment.origin)
    return "done"


def reading_splits(data: Dataset, measure: ConfigDict) -> tuple[Dataset, dict[str, Split]]:
    """The data set and its splits that readouts are fitted to and scored on; of a grid of sprites that was trained on
    as a whole 80/10/10, so that no readout is scored on images that it has seen."""
    if data.grid is not None:
        data = make_sprite_data(data.grid)
    most = {"train": measure.train_images, "validation": measure.test_images, "test": measure.test_images}
    return data, {name: getattr(data, name).first(most[name]) for name in SPLITS}


def read_of(data: Dataset, train: Split) -> tuple[dict[str, Feature], dict[str, str]]:
    """The factors that are read, those with more than one class in the training images, and the reason for what is
    missing where there are none."""
    factors = factors_of(data)
    found = readable(factors, labels_of(data, train)) if factors else {}
    return found, {} if found else dict.fromkeys(OF_FACTORS, ONE_CLASS if factors else NO_FACTORS)


def means_of(code: MeasuredCode) -> Callable[..., Float[np.ndarray, "n d"]]:
    """The means of a code, which reads no labels."""
    return lambda levels, _: code.means(levels)


def read_factors(
    config: ConfigDict, encoded: Encoded, labels: Mapping[str, Any], factors: Mapping[str, Feature]
) -> dict[str, dict[str, Any]]:
    """{code: {"readouts", "neighbours", "few_labels"}}."""
    own, key = config.measure, named_key(jax.random.key(config.measure.seed), "readouts")
    means = {code: {split: moments[0] for split, moments in parts.items()} for code, parts in encoded.items()}
    say(f"readouts of {len(means)} codes")
    read = read_codes(key, means, labels, factors, num_steps=own.readout_steps, num_seeds=own.readout_seeds)
    found = {}
    for code, parts in means.items():
        few = few_labels(parts, labels, factors, numbers_of(own.labels), draws=own.draws, seed=own.seed)
        own_labels = {name: labels["train"][name] for name in factors}
        near = nearest_neighbours(parts["train"], parts["test"], own_labels, labels["test"])
        found[code] = {"readouts": read[code], "neighbours": near, "few_labels": few}
    return found


def numbers_of(text: str) -> list[int]:
    """The numbers of labelled images a class in `config.measure.labels`."""
    return [int(number) for number in text.split(",") if number.strip()]


def information_of(
    own: ConfigDict, splits: Mapping[str, Moments], no_density: str = ""
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Bounds on I(x; w) of a noisy code on the first `information_images` test images, nats, with the KL to N(0, I),
    `rate_nats`, an upper bound; the reason where there are none. no_density: `MeasuredCode.no_density`."""
    mean, logvar = (None if part is None else part[: own.information_images] for part in splits["test"])
    if logvar is None:
        return None, {"information": no_density or WITHOUT_NOISE}
    w = sample_codes(named_key(jax.random.key(own.seed), "information"), mean, logvar)
    found = information(w, mean, logvar, *splits["train"])
    number = found["mi_num_images"]
    entries = {name: entry(found[key], found[f"{key}_standard_error"], number) for name, key in BOUNDS.items()}
    kl = 0.5 * (mean**2 + np.exp(logvar) - logvar - 1).sum(axis=1, dtype=np.float64)
    rate = entry(float(kl.mean()), float(kl.std(ddof=1) / np.sqrt(len(kl))), len(kl))
    return entries | {"rate_nats": rate, "lower_is_capped_at_ln_n": found["mi_lower_is_capped_at_ln_n"]}, {}


def say(what: str) -> None:
    """Prints a line of the job."""
    print(f"measure: {what}", flush=True)
