import numpy as np
import pytest

from vdm_jax.evals.batches import map_batches

IMAGES = np.arange(14.0).reshape(7, 2)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_any_batch_size_gives_every_image_once(batch_size):
    seen = []

    def apply(batch):
        seen.append(len(batch))
        return {"sum": batch.sum(1), "twice": 2 * batch}

    found = map_batches(apply, IMAGES, batch_size)
    np.testing.assert_array_equal(found["sum"], IMAGES.sum(1))
    np.testing.assert_array_equal(found["twice"], 2 * IMAGES)
    assert set(seen) == {min(batch_size, 7)}, "one program serves all"


def test_progress_and_place():
    steps, placed = [], []
    map_batches(
        lambda batch: batch,
        IMAGES,
        3,
        progress=lambda batches: (steps.append(i) or i for i in batches),
        place=lambda batch: placed.append(batch.shape) or batch,
    )
    assert steps == [0, 3, 6] and placed == [(3, 2)] * 3
