import jax
import numpy as np
import pytest

from vdm_jax.evals.feature_reader import read_features, train_reader
from vdm_jax.networks.classifier import make_classifier

SIZES = {"row": 8, "colour": 2}


def dots(num_images, seed):
    """One dot in each image: its row, and whether it is grey or white."""
    random = np.random.default_rng(seed)
    row, column, colour = (random.integers(0, size, num_images) for size in (8, 8, 2))
    levels = np.zeros((num_images, 8, 8, 1), np.uint8)
    levels[np.arange(num_images), row, column, 0] = 1 + colour
    return levels, {"row": row, "colour": colour}


@pytest.mark.slow
def test_reads_places_and_tells_its_own_errors():
    held_out = dots(200, 1)
    model = make_classifier((8, 8, 1), sum(SIZES.values()), width=8, pooled=False)
    values = np.array([-1, 0, 1], np.float32)
    reader = train_reader(model, "dots", values, SIZES, dots(2000, 0), held_out, key=jax.random.key(0), num_steps=120)
    read = read_features(reader, held_out[0], batch_size=64)
    wrong = {name: read[name] != held_out[1][name] for name in SIZES}
    assert reader.errors == {name: values.mean() for name, values in wrong.items()}
    assert reader.any_error == (wrong["row"] | wrong["colour"]).mean()
    assert reader.errors["row"] < 0.1 and reader.errors["colour"] < 0.1
    assert reader.network.name == "features of dots" and len(reader.network.hash) == 12
