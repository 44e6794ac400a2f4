"""Chains and probes in the space of a code: the exact model has the exact curves, whether latents are random or not."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from small_sprites import GRID, experiment, run_jobs

from vdm_jax.base.space import Space
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.experiments.common.space.encoded import encode_now, encoded_space

DATA = make_sprite_data(GRID)
SIZE = 12
FEW = {"exact__num_timesteps": 3, "chains__samplers": "exact:6", "chains__num_queries": 600, "chains__batch_size": 300}


def make_space(deviation=0.0, scale="none"):
    """Pixels times a random matrix, perhaps with noise; the decoder is the matrix' pseudo-inverse."""
    matrix = np.random.default_rng(0).normal(size=(DATA.num_dims, SIZE)).astype(np.float32) / 16
    pixels = pixels_of(DATA)

    def moments(params, levels):
        mean = pixels.moments({}, levels)[0].reshape(len(levels), -1) @ params
        return mean, jnp.full_like(mean, deviation**2) if deviation else None

    def decode(params, x):
        return (x @ jnp.linalg.pinv(params)).reshape(-1, *DATA.shape)

    space = Space("linear", f"m{deviation}", (SIZE,), jnp.asarray(matrix), moments, decode, None, None)
    return encoded_space(space, encode_now(space, DATA), DATA, scale)


@pytest.mark.parametrize("deviation", [0.0, 0.2])
def test_the_exact_model_is_on_the_exact_curves(deviation, tmp_path):
    built = experiment(make_space(deviation, "global"), **FEW, chains__readers="exact,sprite")
    assert run_jobs(built, tmp_path, "exact", "chains") == "done"
    record = json.loads((tmp_path / "chains.json").read_text())
    assert record["space"] == built.space.about and record["space"]["scale"] == "global"
    found = record["samplers"]["exact:6"]
    at_0 = {name: feature["exact"]["accuracy"][0] for name, feature in record["features"].items()}
    assert (min(at_0.values()) < 0.99) == bool(deviation), "what random latents do not hold"
    for name, feature in found["features"].items():
        for curve, distance in feature["distances"].items():
            assert distance["standard_errors"] < 4, (name, curve, distance)
    told = found["real_or_generated"]
    assert np.all(abs(np.array(told["accuracy"]) - 0.5) < 4 * np.array(told["standard_error"]))
    assert found["far_from_data"] <= (0.04 if deviation else 0)
    errors = record["reader_errors"]
    assert errors["exact"]["errors"].keys() == record["features"].keys()
    assert errors["exact"]["any_error"] == 0 or deviation
    assert errors["sprite"]["any_error"] >= max(errors["sprite"]["errors"].values())
    assert found["features_by"].keys() == {"sprite"}
