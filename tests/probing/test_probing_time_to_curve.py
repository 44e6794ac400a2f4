"""Training until the exact curve: who is there stops, the clock counts training alone, neighbours hand on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_probes import GAMMAS, TIMESTEPS, key_of, make_ensemble, side_source

from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.probing import time_to_curve
from vdm_jax.probing.ensemble import Ensemble, Scored, fit, timestep_keys
from vdm_jax.probing.time_to_curve import (
    Course,
    from_neighbours,
    from_one,
    largest_by_member,
    make_fit_to_curve,
    make_gap,
    outwards,
)

KEYS, LEVELS = timestep_keys(key_of(), TIMESTEPS), {"gamma": GAMMAS}


def posterior(z, gamma):
    """p(side | z) of x = ±1."""
    alpha, sigma = alpha_sigma(gamma)
    right = jax.nn.sigmoid(2 * alpha * z[:, 0] / sigma**2)
    p = jnp.stack([1 - right, right], axis=1)
    return {"side": p, "value": p}


@pytest.fixture(scope="module")
def ensemble():
    return make_ensemble(patience=1)


@pytest.fixture(scope="module")
def missed(ensemble):
    return make_gap(ensemble, side_source(), 40, posterior)


@pytest.mark.slow
def test_who_knows_nothing_misses_what_there_is_to_know(ensemble, missed):
    blind = missed(ensemble.init(KEYS), KEYS, LEVELS)
    assert blind.shape == (3, 4) and np.all(blind > 0.1)
    trained = missed(fit(make_ensemble(num_updates=200, patience=99), KEYS, LEVELS).params, KEYS, LEVELS)
    assert np.all(trained < [[0.01, 0.01, 0.1, 0.1]]), "and a trained one little: the curve is the exact one"


def test_the_largest_of_a_members_features_counts():
    members = make_ensemble(members="trunk").members
    by_feature = {"side": np.array([[0.1, 0.4]]), "value": np.array([[0.3, 0.2]])}
    np.testing.assert_array_equal(largest_by_member(members, by_feature), [[0.3, 0.4]])
    apart = make_ensemble(members="separate").members
    np.testing.assert_array_equal(largest_by_member(apart, by_feature), [[0.1, 0.4, 0.3, 0.2]])


@pytest.mark.slow
def test_nobody_there_is_the_plain_training_and_all_there_is_none(ensemble, missed):
    never = make_fit_to_curve(ensemble, missed, -1.0)(KEYS, LEVELS)
    plain = fit(
        dataclasses.replace(ensemble, training=dataclasses.replace(ensemble.training, patience=99)), KEYS, LEVELS
    )
    for found, wanted in zip(jax.tree.leaves(never.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert len(never.seconds) == len(never.gap) == 1 + ensemble.training.num_rounds
    assert np.all(np.diff(never.seconds) > 0)
    assert len(make_fit_to_curve(ensemble, missed, 2.0)(KEYS, LEVELS).seconds) == 1


def test_a_member_that_is_there_stops_and_the_others_go_on(ensemble):
    """What is missed is made up: member 0 of timestep 1 is there after one round, the others after two."""
    looks = []

    def made_up(params, keys, levels):
        looks.append(jax.device_get(params))
        found = np.full((3, 4), 1.0 if len(looks) < 3 else 0.0)
        found[1, 0] = 1.0 if len(looks) < 2 else 0.0
        return found

    course = make_fit_to_curve(ensemble, made_up, 0.5)(KEYS, LEVELS)
    assert len(course.seconds) == 3 and course.gap[:, 1, 0].tolist() == [1.0, 0.0, 0.0]
    moved = [
        abs(a - b).max(axis=tuple(range(2, a.ndim))) for a, b in zip(*map(jax.tree.leaves, looks[1:]), strict=True)
    ]
    moved = np.max(moved, axis=0)
    assert moved[1, 0] == 0 and (moved > 0).sum() == 11


def test_the_clock_counts_training_alone(ensemble, missed, monkeypatch):
    now = iter(range(1_000))
    monkeypatch.setattr(time_to_curve.time, "perf_counter", lambda: float(next(now)))
    course = make_fit_to_curve(ensemble, missed, -1.0)(KEYS, LEVELS)
    np.testing.assert_array_equal(course.seconds, np.arange(1, 2 + ensemble.training.num_rounds))


def test_nothing_compiles_while_the_clock_runs(ensemble, missed, monkeypatch):
    running, found = [], []

    class Watched(time_to_curve.Clock):
        def __call__(self, do):
            running.append(True)
            done = super().__call__(do)
            running.pop()
            return done

    monkeypatch.setattr(time_to_curve, "Clock", Watched)
    fit = make_fit_to_curve(dataclasses.replace(ensemble), missed, -1.0)
    listen = lambda event, *_, **__: found.append((bool(running), event))  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        fit(KEYS, LEVELS)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    compiled = [inside for inside, event in found if "compile" in event]
    assert compiled and not any(compiled)


def test_of_accuracy_and_r2_the_larger_counts(monkeypatch):
    both = {"accuracy_missed": np.full((1, 2, 1, 4), 0.1), "r2_missed": np.full((1, 2, 1, 4), 0.3)}
    scored = Scored({}, {"value": both}, np.zeros((1, 2, 4), int))
    monkeypatch.setattr(Ensemble, "scores", lambda *_: lambda *_: scored)
    found = make_gap(make_ensemble(features=("value",), seeds=(0,)), side_source(), 2, posterior)
    np.testing.assert_allclose(found(None, KEYS, LEVELS), [[0.3]])


def test_waves_go_outwards_and_every_timestep_trains_once():
    for num, first in ((5, 1), (4, 3), (3, 0), (1, 0)):
        waves = outwards(first, num)
        own = [i for wave in waves for i, _ in wave]
        assert sorted(own) == [i for i in range(num) if i != first]
        trained = {first}
        for wave in waves:
            assert all(source in trained and abs(source - i) == 1 for i, source in wave)
            trained |= {i for i, _ in wave}


@pytest.mark.slow
def test_from_one_and_from_neighbours_begin_where_they_say(ensemble, missed):
    begun = make_fit_to_curve(ensemble, missed, -1.0)(KEYS[1:2], {"gamma": GAMMAS[1:2]})
    starts = []

    def fake(keys, levels, params):
        starts.append((levels["gamma"].tolist(), jax.tree.leaves(params)[0]))
        shifted = jax.tree.map(lambda leaf: leaf + 1, params)
        return Course(np.array([1.0, 2.0]), np.full((2, len(keys), 4), 0.25), shifted)

    course = from_one(begun, fake, KEYS, LEVELS)
    mother = jax.tree.leaves(begun.params)[0]
    np.testing.assert_array_equal(starts[-1][1], np.repeat(mother, 3, axis=0))
    np.testing.assert_allclose(course.seconds, begun.seconds[-1] + np.array([1.0, 2.0]))
    four = jnp.arange(-1.0, 3.0)
    course = from_neighbours(begun, fake, 1, timestep_keys(key_of(), np.arange(4)), {"gamma": four})
    gammas, params = zip(*starts[1:], strict=True)
    assert gammas == ([0.0], [-1.0, 1.0], [2.0])
    np.testing.assert_array_equal(params[0], mother)
    np.testing.assert_array_equal(params[1], np.repeat(mother + 1, 2, axis=0))
    np.testing.assert_array_equal(params[2], mother + 1 + 1)
    np.testing.assert_allclose(course.seconds, begun.seconds[-1] + np.array([0, 1, 2, 3, 4, 5, 6]))
    assert np.isinf(course.gap[2, 0]).all() and np.isfinite(course.gap[-1]).all()
    np.testing.assert_array_equal(course.gap[0, 1], begun.gap[-1, 0])
    assert (course.gap[1:, 1] == 0.25).all()
