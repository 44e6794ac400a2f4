from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.order import batch_indices


@partial(jax.jit, static_argnums=(2, 3))
def batches(key, steps, num_images, batch_size):
    return jax.vmap(lambda step: batch_indices(key, step, num_images, batch_size))(steps)


def epoch(key, number, num_images, batch_size):
    steps = num_images // batch_size
    return np.asarray(batches(key, number * steps + jnp.arange(steps), num_images, batch_size))


@pytest.mark.parametrize("n, b", [(1, 1), (2, 1), (10, 3), (17, 1), (64, 64), (1297, 64), (4097, 100)])
def test_every_epoch_is_a_permutation(key, n, b):
    for number in (0, 1, 7):
        visited = epoch(key, number, n, b).ravel()
        assert visited.dtype == np.int32 and len(visited) == n // b * b
        assert len(set(visited.tolist())) == len(visited) and visited.min() >= 0 and visited.max() < n


def test_epochs_and_keys_differ(key):
    first, second = epoch(key, 0, 1000, 10).ravel(), epoch(key, 1, 1000, 10).ravel()
    other = epoch(jax.random.key(1), 0, 1000, 10).ravel()
    for a, b in ((first, second), (first, other), (first, np.arange(1000))):
        assert np.mean(a == b) < 0.01
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.15  # 4.7 standard errors


def test_all_permutations_of_four_are_equally_likely(key):
    drawn = np.asarray(batches(key, jnp.arange(24_000), 4, 4))
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 24 and min(counts.values()) > 800 and max(counts.values()) < 1200


def test_images_left_out_change_from_epoch_to_epoch(key):
    left_out = [set(range(10)) - set(epoch(key, number, 10, 4).ravel().tolist()) for number in range(50)]
    assert set.union(*left_out) == set(range(10))


def test_function_of_seed_and_step_only(key):
    expected = [np.asarray(batch_indices(key, step, 100, 7)) for step in range(10)]
    jitted = jax.jit(partial(batch_indices, num_images=100, batch_size=7))
    for step in (9, 3, 5):
        np.testing.assert_array_equal(jitted(jax.random.key(0), jnp.int32(step)), expected[step])

    def body(step, _):
        return step + 1, batch_indices(key, step, 100, 7)

    _, scanned = jax.lax.scan(body, jnp.int32(0), length=10)
    np.testing.assert_array_equal(scanned, np.stack(expected))


@pytest.mark.parametrize("n, b", [(60_000, 128), (2**31 - 1, 8), (3, 3)])
def test_large_steps_do_not_overflow(key, n, b):
    for step in (2**31 - 1, 2**31, 2**32 - 1):
        indices = np.asarray(batch_indices(key, step, n, b))
        assert indices.min() >= 0 and indices.max() < n and len(set(indices.tolist())) == b
    traced = jax.jit(partial(batch_indices, num_images=n, batch_size=b))(key, jnp.int32(2**31 - 1))
    np.testing.assert_array_equal(traced, batch_indices(key, 2**31 - 1, n, b))


def test_batch_larger_than_the_data_set(key):
    with pytest.raises(UserError, match="batch_size=11; expected 1 … 10"):
        batch_indices(key, 0, 10, 11)
