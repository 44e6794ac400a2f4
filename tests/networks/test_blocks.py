import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.base.mesh import make_mesh, split_over_data
from vdm_jax.networks.blocks import (
    Conv,
    Dense,
    Dropout,
    GroupNorm,
    NarrowConv,
    ResBlock,
    _convolved,
    check_divides,
    default_groups,
    fourier_features,
    gradient_written_once,
    init_params,
    scaled_fan_in,
    time_embedding,
)


def test_time_embedding_formula():
    t, dim = np.array([0.0, 0.25, 1.0], np.float32), 8
    expected = np.array(
        [
            [f(1000 * s * 10_000.0 ** (-i / (dim // 2 - 1))) for f in (np.sin, np.cos) for i in range(dim // 2)]
            for s in t.astype(np.float64)
        ]
    )
    np.testing.assert_allclose(time_embedding(jnp.asarray(t), dim), expected, atol=2e-4)
    assert np.array_equal(time_embedding(jnp.zeros(1), dim)[0], [0, 0, 0, 0, 1, 1, 1, 1])


def test_fourier_features_of_17_levels():
    z = jnp.asarray(even_pixel_values(17)).reshape(1, 17, 1, 1)
    features = np.asarray(fourier_features(z, 3, 4))
    assert features.shape == (1, 17, 1, 4)
    np.testing.assert_allclose(features[0, :, 0, 0], np.sin(8 * np.pi * np.asarray(z).ravel()), atol=1e-5)
    np.testing.assert_allclose(features[0, :, 0, 3], np.cos(16 * np.pi * np.asarray(z).ravel()), atol=1e-4)
    steps = np.linalg.norm(np.diff(features[0, :, 0], axis=0), axis=-1)
    assert steps.min() > 1  # neighbouring levels are far apart; in z itself they are 0.118 apart


@pytest.mark.parametrize(("channels", "groups"), [(128, 32), (64, 32), (32, 16), (16, 8), (24, 12), (100, 25), (5, 1)])
def test_default_groups(channels, groups):
    assert default_groups(channels) == groups


def test_check_divides():
    check_divides("groups", 4, 8)
    with pytest.raises(UserError, match="groups=3 does not divide channels=8"):
        check_divides("groups", 3, 8)


def test_scaled_fan_in(key):
    weights = scaled_fan_in(0.25)(key, (400, 300))
    np.testing.assert_allclose(jnp.var(weights) * 400, 0.25, rtol=0.03)
    assert not jnp.any(scaled_fan_in(0.0)(key, (4, 4)))


@pytest.mark.parametrize("shape", [(3, 3, 1, 32), (16, 256), (5, 7), (1, 1)])
def test_weights_are_those_that_flax_draws(key, shape):
    """A seed means the same weights as before; only the number of compiled programs differs."""
    flax = nn.initializers.variance_scaling(0.5, "fan_in", "truncated_normal")
    np.testing.assert_array_equal(scaled_fan_in(0.5)(jax.random.clone(key), shape), flax(key, shape))


@pytest.mark.parametrize(("channels", "features"), [(5, 1), (16, 12)])
def test_a_narrow_convolution_is_a_convolution(key, channels, features):
    h = jax.random.normal(jax.random.key(3), (2, 4, 8, channels))
    narrow, usual = NarrowConv(features), Conv(features, (3, 3))
    params = usual.init(key, h)
    jax.tree.map(np.testing.assert_array_equal, narrow.init(key, h), params)
    params["params"]["bias"] = jnp.arange(1.0, 1 + features)

    def loss(net):
        return lambda params, h: jnp.sum(jnp.sin(net.apply(params, h)))

    np.testing.assert_allclose(narrow.apply(params, h), usual.apply(params, h), atol=2e-6)
    found, expected = (jax.grad(loss(net), argnums=(0, 1))(params, h) for net in (narrow, usual))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, expected)
    assert NarrowConv(features, jnp.bfloat16).apply(params, h).dtype == jnp.bfloat16
    bias = params["params"]["bias"][None, None, None, :]
    on_accelerators = _convolved(h, params["params"]["kernel"]) + bias
    np.testing.assert_array_equal(on_accelerators, usual.apply(params, h))


def test_dropout_drops_its_share_and_keeps_the_mean(key):
    h = jnp.ones((64, 8, 8, 32))
    first, second = (Dropout(0.1).apply({}, h, train=True, rngs={"dropout": jax.random.key(i)}) for i in (0, 1))
    again = Dropout(0.1).apply({}, h, train=True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(first, again)
    dropped, other = np.asarray(first == 0).ravel(), np.asarray(second == 0).ravel()
    error = np.sqrt(0.09 / dropped.size)
    assert abs(dropped.mean() - 0.1) < 4 * error and set(np.unique(first)) == {0.0, np.float32(1 / 0.9)}
    neighbours = [dropped[distance:] for distance in (1, 32, 256, 2048)] + [other]
    for later in neighbours:  # the share in which both are dropped is 0.01
        assert abs((dropped[: later.size] & later).mean() - 0.01) < 4 * 0.1 / np.sqrt(later.size)
    np.testing.assert_array_equal(Dropout(0.1).apply({}, h, train=False), h)


def test_dropout_is_the_same_on_two_devices(key):
    h, mesh = jnp.ones((4, 3, 5)), make_mesh(2)
    drop = jax.jit(lambda h: Dropout(0.5).apply({}, h, train=True, rngs={"dropout": key}))
    halves = drop(jax.device_put(h, split_over_data(mesh)))
    assert halves.sharding.shard_shape(h.shape) == (2, 3, 5)
    np.testing.assert_array_equal(halves, drop(h))


def test_group_norm_against_numpy(key):
    h = 3 + 2 * jax.random.normal(key, (2, 5, 4, 6))
    params = {"params": {"scale": jnp.arange(1.0, 7.0), "bias": jnp.arange(6.0)}}
    grouped = np.asarray(h, np.float64).reshape(2, 20, 3, 2)
    mean, var = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(var + 1e-6)).reshape(h.shape) * np.arange(1, 7) + np.arange(6)
    np.testing.assert_allclose(GroupNorm(3).apply(params, h), expected, atol=1e-4)


def test_group_norm_keeps_its_sums_in_float32_under_bfloat16(key):
    h = (30 + jax.random.normal(key, (1, 28, 28, 2))).astype(jnp.bfloat16)
    norm = GroupNorm(1, jnp.bfloat16)
    out = norm.apply({"params": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}, h)
    exact = np.asarray(h, np.float64)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(out, np.float64), (exact - exact.mean()) / exact.std(), rtol=0.01, atol=0.01)


@pytest.mark.slow
def test_a_gradient_written_once_is_the_gradient(key):
    """In reverse and forward mode, the one over the other, and under vmap; bit for bit in either dtype."""
    h = jax.random.normal(key, (2, 3, 3, 8))

    def along(f):
        return lambda h: jax.jvp(f, (h,), (h,))[1]

    def loss(f):
        return lambda h: (jnp.sin(f(jnp.cos(h))) ** 2).sum()

    for derivative in (jax.grad, along, lambda f: jax.grad(along(f))):
        ours, plain = (derivative(loss(f)) for f in (gradient_written_once, lambda h: h))
        np.testing.assert_allclose(ours(h), plain(h), rtol=1e-6)
        several = jnp.stack([h, 2 * h])
        np.testing.assert_allclose(jax.vmap(ours)(several), jax.vmap(plain)(several), rtol=1e-6)
    gradient = jax.grad(lambda h, f: (f(h) * f(h)).sum().astype(jnp.float32))
    for dtype in (jnp.float32, jnp.bfloat16):
        ours, plain = (gradient(h.astype(dtype), f) for f in (gradient_written_once, lambda h: h))
        assert ours.dtype == dtype and np.array_equal(ours, plain)


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other back ends fuse by their own rules")
def test_a_residual_stack_costs_every_block_the_same(key):
    """XLA's count of the bytes of a gradient: the fifth to eighth block add twice what the third and fourth do."""
    block, h = ResBlock(8, 4), jnp.ones((2, 4, 4, 8))
    params = init_params(block, key, h.shape)

    def loss(stack):
        x = h
        for of_block in stack:
            x = block.apply({"params": of_block}, gradient_written_once(x))
        return (x**2).sum()

    count = {n: jax.jit(jax.grad(loss)).lower([params] * n).compile().cost_analysis() for n in (2, 4, 8)}
    moved = {n: found["bytes accessed"] for n, found in count.items()}
    assert moved[8] - moved[4] == pytest.approx(2 * (moved[4] - moved[2]), rel=0.01)


def test_parameters_are_those_of_flax_and_a_network_is_traced_once(key):
    traced = []

    class Net(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x, train):
            traced.append(x.shape)
            return Dense(self.width)(Conv(2, (3, 3))(x).mean((1, 2)))

    found = [init_params(Net(3), key, (1, 4, 4, 1)) for _ in range(2)]
    shapes = jax.eval_shape(lambda key: init_params(Net(3), key, (1, 4, 4, 1)), key)
    assert traced == [(1, 4, 4, 1)]
    own = Net(3).lazy_init(key, jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.float32), train=False)["params"]
    for params in found:
        jax.tree.map(np.testing.assert_array_equal, params, own)
    assert shapes == jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), own)
    drawn = jax.vmap(lambda key: init_params(Net(3), key, (1, 4, 4, 1)))(jax.random.split(key))
    assert (drawn["Dense_0"]["kernel"][0] != drawn["Dense_0"]["kernel"][1]).all()
    init_params(Net(4), key, (1, 4, 4, 1))
    assert len(traced) == 3, "the network as it is, once more by flax; another width"
