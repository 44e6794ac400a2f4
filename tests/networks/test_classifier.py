import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.networks.classifier import make_classifier


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3), (2, 2, 1)])
def test_shapes(shape):
    net = make_classifier(shape, 10, width=8)
    params = jax.eval_shape(net.init, jax.random.key(0))
    logits, features = jax.eval_shape(net.apply, params, jnp.zeros((3, *shape)))
    assert logits.shape == (3, 10)
    assert features.shape == (3, 16)


@pytest.mark.slow
def test_logits_are_linear_in_the_features_and_dropout_leaves_the_features_alone():
    net = make_classifier((8, 8, 1), 3, width=8)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    apply = jax.jit(net.apply)
    logits, features = apply(params, x)
    np.testing.assert_allclose(logits, features @ params["logits"]["kernel"], atol=1e-5)
    dropped, same = apply(params, x, key=jax.random.key(2))
    assert np.array_equal(same, features)
    assert not np.array_equal(dropped, logits)


@pytest.mark.slow
def test_learns_horizontal_from_vertical_stripes():
    rows = jnp.broadcast_to(jnp.sign(jax.random.normal(jax.random.key(0), (64, 8, 1, 1))), (64, 8, 8, 1))
    x = jnp.concatenate([rows, rows.swapaxes(1, 2)])
    y = jnp.repeat(jnp.arange(2), 64)
    net, optimizer = make_classifier((8, 8, 1), 2, width=8), optax.adam(1e-2)
    params = net.init(jax.random.key(1))

    @jax.jit
    def update(params, state):
        loss = lambda p: optax.softmax_cross_entropy_with_integer_labels(net.apply(p, x)[0], y).mean()  # noqa: E731
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(20):
        params, state = update(params, state)
    assert (jax.jit(net.apply)(params, x)[0].argmax(-1) == y).mean() > 0.95


@pytest.mark.slow
def test_stacked_members_equal_each_alone():
    net, keys = make_classifier((2, 2, 1), 3, width=8), jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(jax.random.key(1), (4, 2, 2, 1))
    together, _ = jax.jit(jax.vmap(net.apply, in_axes=(0, None)))(jax.vmap(net.init)(keys), x)
    apply = jax.jit(net.apply)
    for i in range(2):
        np.testing.assert_allclose(together[i], apply(net.init(keys[i]), x)[0], atol=1e-5)
