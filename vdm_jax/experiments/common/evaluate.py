"""What the evaluations of all kinds share: the record, the entropy beside the bound, settings of the sampler."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Key, Num, PyTree
from ml_collections import ConfigDict

from vdm_jax.base.files import write_json, write_npz
from vdm_jax.base.mesh import across_devices
from vdm_jax.base.progress import bar
from vdm_jax.base.provenance import provenance
from vdm_jax.data.dataset import Dataset
from vdm_jax.evals.bpd import evaluate_bound, in_units
from vdm_jax.experiments.common.checkpoints import Weights
from vdm_jax.launch import store as workdirs
from vdm_jax.models.diffusion import DiffusionModel

BOUND_KEYS = ("bpd", "bound_nats", "reconstruction_bpd", "prior_bpd", "diffusion_bpd")
IN_UNITS = ("bound", "reconstruction", "prior", "diffusion")
ENTROPY_KEYS = ("entropy_nats", "bound_minus_entropy_nats")
OF_THE_GRID = "the entropy is that of all images of the grid; set data.split=population to evaluate on them"


def about(
    config: ConfigDict, fingerprint: str, weights: Weights, objective: str, reasons: dict[str, str]
) -> dict[str, Any]:
    """The provenance of the numbers: weights, training, data (`fingerprint`), settings, and why some are missing."""
    origin = {"config": config.name, "seed": config.train.seed, "data": fingerprint}
    return {
        "checkpoint_step": weights.step,
        "weights": weights.kind,
        "objective": objective,
        "settings": workdirs.plain(config),
        "provenance": provenance() | origin,
        "reasons": reasons,
    }


def compare_with_entropy(values: dict[str, Any], data: Dataset) -> tuple[dict[str, Any], dict[str, str]]:
    """The entropy of the data, the distance of the bound to it, nats an image, and the reasons where they are unknown.

    No bound lies below the entropy in the mean over the images that it is the entropy of (`data.split=population`).
    """
    entropy_nats = data.entropy_nats
    if entropy_nats is None:
        reason = "the entropy of the data is not known" if data.grid is None else OF_THE_GRID
        return dict.fromkeys(ENTROPY_KEYS), dict.fromkeys(ENTROPY_KEYS, reason)
    if values["bound_nats"] is None:
        return {"entropy_nats": entropy_nats, "bound_minus_entropy_nats": None}, {}
    return {
        "entropy_nats": entropy_nats,
        "bound_minus_entropy_nats": values["bound_nats"] - entropy_nats,
        "bound_minus_entropy_nats_standard_error": values["bound_nats_standard_error"],
    }, {}


def save(workdir: pathlib.Path, record: dict[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray] | None]) -> None:
    """Writes `arrays` by the names of their files, then `evaluate.json`. A file whose arrays are None is removed.

    The earlier record is removed first: after a kill no record describes the arrays of another evaluation.
    """
    (workdir / "evaluate.json").unlink(missing_ok=True)
    for name, found in arrays.items():
        if found is None:
            (workdir / name).unlink(missing_ok=True)
        else:
            write_npz(workdir / name, found)
    write_json(workdir / "evaluate.json", record)


def measure_loss(
    model: DiffusionModel, params: PyTree, levels: Num[np.ndarray, "n ..."], key: Key[Array, ""], config: ConfigDict
) -> tuple[dict[str, Any], dict[str, str]]:
    """`loss`, None where the bound is trained in its place, and the bound with its terms in bits per dimension and
    nats; where no bound is defined, the reasons."""
    estimate = evaluate_bound(
        model.terms,
        params,
        {"levels": levels},
        passes=config.passes,
        batch_size=config.batch_size,
        key=key,
        progress=bar("evaluate: loss"),
        place=across_devices,
    )
    values: dict[str, Any] = {"loss": None, "loss_standard_error": None}
    if "loss" in estimate.mean:
        values = {"loss": float(estimate.mean["loss"]), "loss_standard_error": float(estimate.standard_error["loss"])}
    values |= {"num_dims": model.num_dims, "num_images": estimate.num_images, "passes": estimate.passes}
    if why := model.no_bound:
        return values | dict.fromkeys(BOUND_KEYS), dict.fromkeys(BOUND_KEYS, why)
    means, errors = ({name: found[name] for name in IN_UNITS} for found in (estimate.mean, estimate.standard_error))
    return values | in_units(means, errors, model.num_dims), {}


def sampling(sample: ConfigDict) -> dict[str, Any]:
    """The settings of `generate` in `config.sample`."""
    return {name: sample[name] for name in ("sampler", "num_steps", "grid", "clip", "batch_size") if name in sample}


def inception_settings(evaluate: ConfigDict) -> dict[str, Any]:
    """The settings of `image_distances` in `config.evaluate`."""
    if not evaluate.inception:
        return {}
    return {"inception": evaluate.inception, "fid_reference_images": evaluate.fid_reference_images}


def say(what: str) -> None:
    """Prints a line of the job."""
    print(f"evaluate: {what}", flush=True)
