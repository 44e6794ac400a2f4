"""Times are uniform one by one, and even together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.times import draw_times, stratified_steps, stratified_times, to_entries, to_steps


def test_one_time_falls_in_every_stratum(key):
    t = np.sort(stratified_times(key, 64))
    assert t[0] >= 0 and t[-1] < 1
    np.testing.assert_allclose(np.diff(t), 1 / 64, atol=1e-6)


def test_each_time_is_uniform(key):
    t = jax.vmap(lambda k: stratified_times(k, 3))(jax.random.split(key, 20_000))
    counts = jax.vmap(lambda column: jnp.histogram(column, bins=10, range=(0.0, 1.0))[0], in_axes=1)(t)
    np.testing.assert_allclose(counts, 2000, atol=200)


@pytest.mark.parametrize(("batch_size", "num_steps"), [(12, 4), (1, 1000), (64, 1000)])
def test_steps_lie_on_the_chain(key, batch_size, num_steps):
    i = np.asarray(stratified_steps(key, batch_size, num_steps) * num_steps)
    np.testing.assert_allclose(i, np.round(i), atol=1e-3)
    assert i.min() >= 0.999 and i.max() <= num_steps + 1e-3
    if batch_size == 12:
        assert np.array_equal(np.bincount(np.round(i).astype(int)), [0, 3, 3, 3, 3])


def test_steps_of_some_entries_are_those_alone(key):
    t = stratified_times(key, 60)
    np.testing.assert_array_equal(to_entries(t, np.arange(1, 1001), 1000), to_steps(t, 1000))
    i = np.round(np.asarray(to_entries(t, np.array([4, 7, 8]), 10)) * 10).astype(int)
    assert np.array_equal(np.bincount(i), [0, 0, 0, 0, 20, 0, 0, 20, 20])
    assert float(to_entries(jnp.array([1.0]), np.array([4, 7]), 10)[0]) == pytest.approx(0.7)


def test_draw_times_follows_the_chain(key):
    t, i = np.asarray(draw_times(key, 8, None)), np.asarray(draw_times(jax.random.clone(key), 8, 10)) * 10
    np.testing.assert_allclose(np.diff(np.sort(t)), 1 / 8, atol=1e-6)
    np.testing.assert_allclose(i, np.floor(t * 10) + 1, atol=1e-5)
