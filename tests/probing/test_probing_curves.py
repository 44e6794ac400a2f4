"""Curves of probes: their windows, and how far these move from one held-out split to another."""

import numpy as np

from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.curves import GROUPS, compare, group_of, probe_windows, summarise_known
from vdm_jax.probing.windows import Noise

TIMES = np.arange(0, 1001, 100)
NOISE = Noise(TIMES, (1 - TIMES / 1000) ** 2)
FEATURE = Feature(np.array([0.5, 0.5]))


def scored(rng, num_images, num_examples):
    """Information that falls in a line from H to 0, with an effect of the image that all timesteps share."""
    images = rng.integers(0, num_images, (len(TIMES), num_examples // 4, 4)) * 32 + 5
    effect = rng.normal(0, 0.15, 32 * num_images)[images]
    left = np.log(2) * (1 - TIMES / 1000)[:, None, None]
    nats = left + effect + rng.normal(0, 0.1, images.shape)
    return {"cross_entropy": (np.log(2) - nats)[:, :, None, :]}, images


def test_the_error_of_a_window_is_that_of_other_images():
    rng = np.random.default_rng(0)
    found = [probe_windows(NOISE, summarise_known(FEATURE, *scored(rng, 40, 400))) for _ in range(60)]
    times, errors = (np.array([one["50%"] for one in part]) for part in zip(*found, strict=True))
    assert abs(times.mean() - 500) < 3 * times.std() / np.sqrt(60)
    assert 0.75 < np.sqrt(np.mean(errors**2)) / times.std() < 1.35  # of 60 repetitions and 8 groups each


def test_groups_are_of_images_and_even():
    numbers = np.arange(9_216)
    group = group_of(numbers)
    assert set(group) == set(range(GROUPS)) and np.ptp(np.bincount(group)) < 40
    assert (group_of(numbers[::-7]) == group[::-7]).all()
    places = group.reshape(-1, 16)  # the last factor of a small grid
    for column in places.T:
        assert np.bincount(column, minlength=GROUPS).min() > 0.7 * len(places) / GROUPS


def test_a_probe_is_judged_by_the_worse_of_its_scores():
    def curves(**scores):
        zeros = {f"{name}_standard_error": [0.0, 0.0] for name in scores}
        return {name: list(values) for name, values in scores.items()} | zeros

    told = compare(curves(accuracy=[0.9, 0.5], r2=[0.9, 0.9]), curves(accuracy=[0.9, 0.9], r2=[0.9, 0.91]), 0.05)
    assert told["falls_short"] == [False, True]
