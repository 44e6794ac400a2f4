"""The Fréchet inception distance (FID), with InceptionV3 weights from the user's own file."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

from vdm_jax.base.images import to_pixels, to_unit
from vdm_jax.base.mesh import across_devices, make_mesh, replicate
from vdm_jax.base.progress import bar
from vdm_jax.data.dataset import Dataset
from vdm_jax.diffusion.rate import UNCONDITIONAL
from vdm_jax.evals.batches import map_batches
from vdm_jax.evals.frechet_by_n import frechet_by_n
from vdm_jax.evals.inception_weights import InceptionWeights, read_weights
from vdm_jax.networks.inception import make_inception

FID_KEYS = ("fid", "fid_aggregate", "fid_real", "fid_num_images", "fid_num_reference", "fid_network")
OTHER = "frechet_other_weights"  # in place of `fid` in the keys of the scores of other weights
BATCH_SIZE = 50  # a device: 300 MB of activations at 299x299

Levels = Integer[np.ndarray, "n h w c"]
Scores = tuple[dict[str, Any], dict[str, Any], dict[str, str]]


def measure_fid(
    inception: str,
    data: Dataset,
    generated: Mapping[str, Levels],
    held_out: Levels,
    *,
    num_reference: int = 0,
) -> Scores:
    """Scores by key, their curves over N (`frechet_by_n`), and the reasons of those that are None.

    inception: path of the npz file of InceptionV3 weights, `evaluate.inception`; "" for no FID.

    Each distance is that to the training images (the first `num_reference` of them; 0: all). `fid`: of
    `generated["prior"]`; `fid_aggregate`: of `generated["aggregate"]` where there is one; `fid_real`, the floor: of
    `held_out`, as many images. `fid_network` has the hash of the parameters, the SHA-256 of the file and the resizing.
    Weights other than those that define the FID are scored under `frechet_other_weights…`.
    """
    if not inception:
        return dict.fromkeys(FID_KEYS), {}, dict.fromkeys(FID_KEYS, "evaluate.inception names no file of weights")
    weights = read_weights(inception)
    features = inception_features(
        weights,
        data.num_levels,
        dict(generated) | {"real": held_out, "training": data.train.levels[: num_reference or None]},
    )
    reference = features.pop("training")
    curves = frechet_by_n(features, reference, progress=bar("evaluate: Fréchet distances by N"))
    at_n = {name: curve["distance"][-1] for name, curve in curves["curves"].items()}
    network = weights.network()._asdict() | {"source_sha256": weights.source_sha256}
    prefix = "fid" if weights.define_fid else OTHER
    scores: dict[str, Any] = dict.fromkeys(FID_KEYS) | {
        prefix: at_n["prior"],
        f"{prefix}_aggregate": at_n.get("aggregate"),
        f"{prefix}_real": at_n["real"],
        f"{prefix}_num_images": curves["num_images"][-1],
        f"{prefix}_num_reference": len(reference),
        f"{prefix}_network": network,
    }
    other = f"evaluate.inception holds weights that do not define the FID; their scores are {OTHER}"
    reasons = {
        key: UNCONDITIONAL if key.startswith(prefix) else other for key, score in scores.items() if score is None
    }
    return scores, {prefix: curves}, reasons


def inception_features(
    weights: InceptionWeights, num_levels: int, images: Mapping[str, Levels]
) -> dict[str, Float[np.ndarray, "_ f"]]:
    """Features of each set of images, batches split over the devices."""
    mesh, apply = make_mesh(), make_inception().apply
    params, unit_values = replicate(weights.params, mesh), to_unit(np.arange(num_levels), num_levels)
    return {
        name: map_batches(
            partial(_features, apply, params, unit_values),
            levels,
            BATCH_SIZE * mesh.size,
            progress=bar(f"evaluate: Inception features ({name})"),
            place=across_devices,
        )
        for name, levels in images.items()
    }


@partial(jax.jit, static_argnums=0)
def _features(
    apply: Any, params: PyTree, unit_values: Float[Array, " k"], levels: Integer[Array, "b h w c"]
) -> Float[Array, "b f"]:
    return apply(params, to_pixels(levels, unit_values))
