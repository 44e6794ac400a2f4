"""Scores of several sets of images by one network: real sprites are all right, noise is no sprite."""

from functools import partial

import numpy as np
import pytest

from vdm_jax.data.dataset import Dataset
from vdm_jax.data.sources import load_data
from vdm_jax.data.sprite_data import make_sprite_data, rendered
from vdm_jax.data.sprites import SpriteGrid
from vdm_jax.evals import image_distances
from vdm_jax.evals.feature_net import train_feature_net
from vdm_jax.evals.latents.samples import NO_GRID, TOO_FEW, score_sets

GRID = SpriteGrid("tiny", 16, 4, (0.7, 1.0), (0.0, 0.5), (0, 3, 6), ("square", "heart"))
READER = {"sprite_tolerance": 0.25, "reader_images": 64, "reader_steps": 2}


@pytest.mark.slow
def test_sets_of_sprites_are_scored_by_one_network():
    data = make_sprite_data(GRID, "population")
    real = rendered(data, data.test.stored)

    def draw(number):
        one = np.repeat(real[:1], number, axis=0)
        noise = np.random.default_rng(0).integers(0, 2, one.shape).astype(np.uint8)
        return {"real": real[:number], "one": one, "noise": noise}

    found, reasons = score_sets(data, draw, num_images=len(real), **READER)
    assert not reasons and list(found) == ["real", "one", "noise"]
    shares = {name: scores["coverage"]["not_a_sprite"] for name, scores in found.items()}
    assert shares == {"real": 0.0, "one": 0.0, "noise": 1.0}
    kinds = {name: scores["coverage"]["readers"]["exact"]["histograms"]["kind"] for name, scores in found.items()}
    assert kinds["real"]["num_hit"] == 8 and kinds["real"]["p_value"] == 1 and kinds["one"]["num_hit"] == 1
    assert kinds["one"]["p_value"] < 1e-3
    distances = {name: scores["frechet"] for name, scores in found.items()}
    assert distances["real"]["distance"] == pytest.approx(distances["real"]["real_vs_real_floor"], abs=1e-6)
    assert distances["real"]["distance"] < 0.1 * distances["one"]["distance"]
    assert distances["one"]["network"] == distances["noise"]["network"] == found["one"]["coverage"]["net_network"]


@pytest.mark.slow
def test_labelled_images_have_a_distance_and_no_modes(monkeypatch):
    monkeypatch.setattr(image_distances, "train_feature_net", partial(train_feature_net, num_steps=2))
    data: Dataset = load_data("digits", name="digits", data_dir="")
    found, reasons = score_sets(data, lambda number: {"real": data.test.levels[:number]}, num_images=50)
    assert reasons == {"coverage": NO_GRID} and found["real"]["coverage"] is None
    frechet = found["real"]["frechet"]
    assert frechet["num_images"] == 50 and frechet["distance"] == pytest.approx(frechet["real_vs_real_floor"])


def test_without_images_there_are_reasons():
    found, reasons = score_sets(make_sprite_data(GRID), lambda number: {}, num_images=0, **READER)
    assert found == {} and reasons == {"coverage": TOO_FEW, "frechet": TOO_FEW}
