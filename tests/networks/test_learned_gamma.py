import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.networks.gamma import make_learned_gamma


def moved(params, scale=3.0):
    """Parameters far from where they start."""
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(3), len(leaves))
    return treedef.unflatten(
        [leaf + scale * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    )


@pytest.mark.parametrize("ends", [(-13.3, 5.0), (-6.1, 0.0), (-1e-3, 17.7)])
@pytest.mark.parametrize("away", [False, True])
def test_monotone_ends_are_pinned_to_the_last_bit(ends, away):
    model = make_learned_gamma("monotone", *ends)
    params = model.init(jax.random.key(0))
    params = moved(params) if away else params
    for t in (jnp.array([0.0, 1.0]), jnp.linspace(0, 1, 13)):
        gamma = jax.jit(model.apply)(params, t)
        assert float(gamma[0]) == np.float32(ends[0])
        assert float(gamma[-1]) == np.float32(ends[1])
    assert float(model.apply(params, jnp.float32(1.0))) == np.float32(ends[1])


@pytest.mark.parametrize("away", [False, True])
def test_monotone_rises_everywhere(away):
    model = make_learned_gamma("monotone", -13.3, 5.0)
    params = model.init(jax.random.key(0))
    params = moved(params) if away else params
    t = jnp.linspace(0, 1, 501)
    gamma, slope = jax.jvp(lambda t: model.apply(params, t), (t,), (jnp.ones_like(t),))
    assert (jnp.diff(gamma) > 0).all()
    assert (slope > 0).all()
    # The derivative is that of the curve, at the pinned ends too.
    np.testing.assert_allclose(jnp.mean((slope[1:] + slope[:-1]) / 2), 18.3, rtol=1e-3)
    np.testing.assert_allclose(slope[0], (gamma[1] - gamma[0]) * 500, rtol=0.1)


def test_monotone_starts_near_linear_and_can_bend():
    model = make_learned_gamma("monotone", -13.3, 5.0)
    params, t = model.init(jax.random.key(0)), jnp.linspace(0, 1, 21)
    assert jnp.abs(model.apply(params, t) - (-13.3 + 18.3 * t)).max() < 1.0
    bent = params | {"height": jnp.where(params["centre"] < 0.3, 20.0, -20.0), "linear": jnp.float32(-10.0)}
    assert model.apply(bent, jnp.float32(0.5)) > 3.5  # linear: -4.15


def test_gradient_moves_the_interior_and_not_the_ends():
    model = make_learned_gamma("monotone", -13.3, 5.0)
    params = model.init(jax.random.key(0))
    for t, alive in ((0.0, False), (0.4, True), (1.0, False)):
        grads = jax.grad(lambda p, t=t: model.apply(p, jnp.float32(t)))(params)
        largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads))
        assert (largest > 1e-3) if alive else (largest < 1e-5)


def test_scalar_is_linear_with_learned_ends():
    model = make_learned_gamma("scalar", -13.3, 5.0)
    params = model.init(jax.random.key(0))
    np.testing.assert_allclose(model.apply(params, jnp.array([0.0, 0.5, 1.0])), [-13.3, -4.15, 5.0], rtol=1e-6)
    grads = jax.grad(lambda p: model.apply(p, jnp.float32(1.0)))(params)
    np.testing.assert_allclose([grads["gamma_0"], grads["log_width"]], [1.0, 18.3], rtol=1e-6)
    turned = params | {"log_width": jnp.float32(-30.0)}
    assert model.apply(turned, jnp.float32(1.0)) >= model.apply(turned, jnp.float32(0.0))


@pytest.mark.slow
def test_shapes_and_mistakes():
    for kind in ("monotone", "scalar"):
        model = make_learned_gamma(kind, -5.0, 5.0)
        assert model.apply(model.init(jax.random.key(0)), jnp.zeros((2, 3))).shape == (2, 3)
    with pytest.raises(UserError, match="did you mean 'monotone'"):
        make_learned_gamma("monoton", -5.0, 5.0)
    with pytest.raises(UserError, match="gamma_min"):
        make_learned_gamma("scalar", 5.0, -5.0)
