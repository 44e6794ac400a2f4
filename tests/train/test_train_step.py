"""The step against steps taken by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.train.state import init_state
from vdm_jax.train.step import ema_rate, make_train_step

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
PARAMS = {"w": np.array([1.0, -2.0, 0.5], np.float32)}
LEARNING_RATE = 0.1


def squares(params, carry, batch, key, step):
    """½ |w - x|² per example: its mean gradient is w - mean(x)."""
    return 0.5 * jnp.sum((params["w"][None] - batch) ** 2, axis=1), {"width": jnp.asarray(3.0)}


def take_steps(loss_fn=squares, num_calls=1, num_devices=1, optimizer=None, carry=None, **kwargs):
    optimizer = optimizer or optax.sgd(LEARNING_RATE)
    mesh = make_mesh(num_devices)
    kwargs = {"batch_fn": lambda data, step: data, "ema_decay": 0.9, **kwargs}
    step = make_train_step(loss_fn, optimizer, jax.random.key(3), mesh=mesh, **kwargs)
    state = replicate(init_state(PARAMS, optimizer, carry), mesh)
    for _ in range(num_calls):
        state, metrics = step(state, X)
    return jax.device_get(state), jax.device_get(metrics)


def test_steps_and_average_are_those_of_the_formula():
    w = ema = PARAMS["w"].astype(np.float64)
    for n in range(4):
        w = w - LEARNING_RATE * (w - X.mean(0))
        decay = min(0.9, (1 + n) / (10 + n))
        ema = decay * ema + (1 - decay) * w
    state, metrics = take_steps(num_calls=4)
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-5)
    np.testing.assert_allclose(state.ema_params["w"], ema, rtol=1e-5)
    assert (state.step, state.skipped, metrics["width"]) == (4, 0, 3.0)


def test_metrics_are_those_before_the_update():
    _, metrics = take_steps()
    np.testing.assert_allclose(metrics["loss"], 0.5 * ((PARAMS["w"] - X) ** 2).sum(1).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(PARAMS["w"] - X.mean(0)), rtol=1e-6)


def test_the_average_is_slow_only_when_it_is_old():
    rates = [float(ema_rate(jnp.int32(n), 0.9999)) for n in (0, 90, 10**6)]
    np.testing.assert_allclose(rates, [0.9, 0.09, 1e-4], rtol=1e-6)
    np.testing.assert_allclose([ema_rate(jnp.int32(n), 0.9999, warmup=False) for n in (0, 10**6)], 1e-4, rtol=1e-6)
    state, _ = take_steps(num_calls=1, ema_warmup=False)
    np.testing.assert_allclose(state.ema_params["w"], 0.9 * PARAMS["w"] + 0.1 * state.params["w"], rtol=1e-5)


def test_several_steps_a_call_are_the_same_steps():
    def batch_fn(data, step):
        return jnp.roll(data, step, axis=0)[:4]

    def loss_fn(params, carry, batch, key, step):
        noisy = batch + jax.random.normal(key, batch.shape) + step
        return squares(params, carry, noisy, key, step)[0], {"sum": jnp.sum(noisy)}

    one, _ = take_steps(loss_fn, num_calls=6, batch_fn=batch_fn)
    three, metrics = take_steps(loss_fn, num_calls=2, batch_fn=batch_fn, steps_per_call=3)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), one, three)
    assert metrics["sum"].shape == ()


def test_each_step_draws_anew_and_the_same_again():
    def loss_fn(params, carry, batch, key, step):
        return squares(params, carry, batch, key, step)[0], {"draw": jax.random.normal(key)}

    draws = [take_steps(loss_fn, num_calls=n)[1]["draw"] for n in (1, 2, 3, 3)]
    assert len(set(map(float, draws))) == 3 and draws[2] == draws[3]


@pytest.mark.parametrize("num_devices", [1, 2])
def test_accumulated_gradients_are_those_of_the_big_batch(num_devices):
    big, metrics = take_steps(num_calls=3)
    small, small_metrics = take_steps(num_calls=3, accumulate=4, num_devices=num_devices)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), (big, metrics), (small, small_metrics))


def test_micro_batches_draw_from_keys_of_their_own():
    def loss_fn(params, carry, batch, key, step):
        draws = jax.random.normal(key, (batch.shape[0],))
        return squares(params, carry, batch, key, step)[0], {"square_of_mean": jnp.mean(draws) ** 2, "mean": draws}

    _, metrics = take_steps(loss_fn, accumulate=2)
    assert metrics["square_of_mean"] > metrics["mean"] ** 2 + 1e-6  # equal where both draw the same


def test_two_devices_take_the_steps_of_one():
    shardings = []

    def loss_fn(params, carry, batch, key, step):
        jax.debug.inspect_array_sharding(batch, callback=shardings.append)
        return squares(params, carry, batch + jax.random.normal(key, batch.shape), key, step)

    one = take_steps(loss_fn, num_calls=3, num_devices=1)
    assert shardings.pop().shard_shape((8, 3)) == (8, 3)
    two = take_steps(loss_fn, num_calls=3, num_devices=2)
    assert shardings.pop().shard_shape((8, 3)) == (4, 3)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), one, two)


def test_the_state_is_donated_and_the_parameters_handed_in_are_not():
    optimizer, mesh, params = optax.adam(0.1), make_mesh(2), jax.tree.map(jnp.asarray, PARAMS)
    state = before = replicate(init_state(params, optimizer), mesh)
    step = make_train_step(squares, optimizer, jax.random.key(0), mesh=mesh, batch_fn=lambda data, step: data)
    state, _ = step(state, X)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    assert not params["w"].is_deleted() and state.params["w"].sharding.is_fully_replicated


def test_an_update_that_is_not_finite_is_skipped_and_counted():
    def loss_fn(params, carry, batch, key, step):
        bad = (step == 2) | (step == 3)
        return squares(params, carry, batch, key, step)[0] * jnp.where(bad, jnp.nan, 1.0), {}

    kwargs = dict(
        optimizer=optax.adam(0.1),
        carry={"sum": np.float32(0)},
        update_carry=lambda carry, metrics, step: {"sum": carry["sum"] + metrics["loss"]},
    )
    states = [take_steps(loss_fn, num_calls=n, **kwargs)[0] for n in (2, 4, 5)]
    counts = [(int(s.step), int(s.skipped), int(s.skipped_in_a_row)) for s in states]
    assert counts == [(2, 0, 0), (4, 2, 2), (5, 2, 0)]
    for name in ("params", "ema_params", "opt_state", "carry"):
        jax.tree.map(np.testing.assert_array_equal, getattr(states[0], name), getattr(states[1], name))
    w, ema, rate = states[2].params["w"], states[1].ema_params["w"], 9 / (10 + 2)  # two updates before this one
    assert np.isfinite(w).all() and (w != states[1].params["w"]).all()
    np.testing.assert_allclose(states[2].ema_params["w"], ema + rate * (w - ema), rtol=1e-5)


def test_skipped_steps_do_not_spoil_the_means():
    def loss_fn(params, carry, batch, key, step):
        return jnp.where(step % 2 == 0, jnp.inf, 1.0) + 0 * squares(params, carry, batch, key, step)[0], {}

    _, metrics = take_steps(loss_fn, steps_per_call=4)
    assert metrics["loss"] == 1.0


@pytest.mark.parametrize("scale", [np.float32(np.inf), np.float32(3e38)])
def test_finite_gradients_never_lead_to_weights_that_are_not(scale):
    state, _ = take_steps(optimizer=optax.sgd(scale), num_calls=2)
    assert np.isfinite(state.params["w"]).all() and state.skipped == 2


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match="a batch of 8 does not divide by 6"):
        take_steps(accumulate=3, num_devices=2)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="num_devices=3; this machine has 2"):
        make_mesh(3)
