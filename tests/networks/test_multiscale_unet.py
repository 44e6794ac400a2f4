import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.multiscale_unet import from_patches, make_multiscale_unet, to_patches
from vdm_jax.networks.sizes import MULTISCALE_SIZES

SHAPE = (8, 12, 2)
TINY = {"channels": 4, "multipliers": (1, 2, 2), "num_blocks": 1, "attention": (6,)}
SMALL = TINY | {"multipliers": (1, 2)}


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs + outputs


def norm(width):
    return 2 * width


def attention(width):
    return norm(width) + conv(width, 3 * width, 1) + conv(width, width, 1)


def res(inputs, outputs, condition):
    skip = conv(inputs, outputs, 1) if inputs != outputs else 0
    return norm(inputs) + conv(inputs, outputs) + condition * outputs + norm(outputs) + conv(outputs, outputs) + skip


@pytest.mark.slow
@pytest.mark.parametrize("w_dim", [0, 3])
def test_parameters_counted_by_hand(w_dim):
    net = make_multiscale_unet(SHAPE, **TINY, w_dim=w_dim)
    c = 16 + w_dim  # the condition's width: 4 E, and the code beside it
    time = 4 * 16 + 16 + 16 * 16 + 16
    down = res(4, 4, c) + conv(4, 4) + res(4, 8, c) + attention(8) + conv(8, 8) + res(8, 8, c)
    middle = res(8, 8, c) + attention(8) + res(8, 8, c)
    # skips, from the last: 8, 8 (halved) | 8, 4 (halved) | 4, 4
    up = res(16, 8, c) + res(16, 8, c) + conv(8, 8)
    up += res(16, 8, c) + res(12, 8, c) + 2 * attention(8) + conv(8, 8)
    up += res(12, 4, c) + res(8, 4, c)
    expected = time + conv(2, 4) + down + middle + up + norm(4) + conv(4, 2)
    assert num_parameters(jax.eval_shape(net.init, jax.random.key(0))) == expected


def test_patches_change_the_first_and_the_last_convolution_alone():
    plain, patched = (make_multiscale_unet(SHAPE, **SMALL, patch=patch) for patch in (1, 2))
    counts = [num_parameters(jax.eval_shape(net.init, jax.random.key(0))) for net in (plain, patched)]
    more = conv(8, 4) - conv(2, 4) + conv(4, 8) - conv(4, 2) + attention(4) * 3 - attention(8) * 3  # 4x6 is now first
    assert counts[1] - counts[0] == more


def test_patches_are_cut_and_put_together():
    z = jnp.arange(2 * 4 * 6 * 3, dtype=jnp.float32).reshape(2, 4, 6, 3)
    parts = to_patches(z, 2)
    assert parts.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(parts[1, 1, 2].reshape(2, 2, 3), z[1, 2:4, 4:6])
    np.testing.assert_array_equal(from_patches(parts, 2), z)


@pytest.mark.slow
def test_ddpm_has_the_size_that_is_published():
    net = make_multiscale_unet((32, 32, 3), **MULTISCALE_SIZES["ddpm"])
    count = num_parameters(jax.eval_shape(net.init, jax.random.key(0)))
    assert count == pytest.approx(35.7e6, rel=0.005)  # Ho et al. 2020, appendix B


@pytest.mark.slow
@pytest.mark.parametrize(("conditioning", "dtype"), [("concat", jnp.float32), ("adagn", jnp.bfloat16)])
def test_shapes_and_every_gradient(conditioning, dtype, key):
    net = make_multiscale_unet(SHAPE, **SMALL, w_dim=3, conditioning=conditioning, dtype=dtype)
    params = net.init(key)
    z, t = jax.random.normal(jax.random.key(1), (3, *SHAPE)), jnp.array([0.1, 0.5, 1.0])
    w = jax.random.normal(jax.random.key(2), (3, 3))

    def loss(params):
        return jnp.mean((net.apply(params, z, t, w, key=jax.random.key(3)) - z[:, ::-1]) ** 2)

    out = jax.eval_shape(net.apply, params, z, t, w)
    assert out.shape == z.shape and out.dtype == jnp.float32
    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)):
        assert jnp.isfinite(gradient).all(), path
        if not jax.tree_util.keystr(path).endswith("['qkv']['bias']"):  # keys' bias: a softmax does not see it
            assert jnp.abs(gradient).max() > 0, path


@pytest.mark.slow
def test_the_coarsest_level_sees_the_whole_image(key):
    net = make_multiscale_unet((16, 16, 1), channels=4, multipliers=(1, 1, 1), num_blocks=1, zero_init=False)
    params, t = net.init(key), jnp.array([0.5])
    z = jnp.zeros((1, 16, 16, 1))
    reach = jax.jit(jax.grad(lambda z: net.apply(params, z, t)[0, 0, 0, 0]))(z)
    assert float(jnp.abs(reach[0, -1, -1, 0])) > 0


@pytest.mark.slow
def test_zero_init_starts_at_z_and_dropout_wants_a_key(key):
    small = {"channels": 4, "multipliers": (1, 1), "num_blocks": 1}
    z, t = jax.random.normal(jax.random.key(1), (1, 4, 4, 1)), jnp.array([0.3])
    net = make_multiscale_unet((4, 4, 1), **small, zero_init=True, dropout=0.5)
    params = net.init(key)
    np.testing.assert_array_equal(jax.jit(net.apply)(params, z, t), z)
    assert not params["mid_attention"]["out"]["kernel"].any()
    net = make_multiscale_unet((4, 4, 1), **small, dropout=0.5)
    params, apply = net.init(key), jax.jit(net.apply)
    np.testing.assert_array_equal(apply(params, z, t), apply(params, z, t))
    assert not np.array_equal(apply(params, z, t), apply(params, z, t, key=jax.random.key(7)))


@pytest.mark.slow
def test_time_and_code_are_heard(key):
    net = make_multiscale_unet(SHAPE, **SMALL, w_dim=2)
    params = net.init(key)
    z, w, apply = jax.random.normal(jax.random.key(1), (1, *SHAPE)), jnp.ones((1, 2)), jax.jit(net.apply)
    early, late = jnp.array([0.3]), jnp.array([0.9])
    found = apply(params, z, early, w)
    assert not np.allclose(found, apply(params, z, late, w))
    assert not np.allclose(found, apply(params, z, early, -w))
    np.testing.assert_array_equal(apply(params, z, early), apply(params, z, early, jnp.zeros((1, 2))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"multipliers": (1, 2, 2, 2)}, "images of 8x12 cannot be halved 3 times"),
        ({"patch": 3}, "patch=3; expected the side of patches that images of 8x12"),
        ({"patch": 4}, "images of 8x12 in 4x4 patches cannot be halved 2 times"),
        ({"multipliers": ()}, r"multipliers=\(\)"),
        ({"multipliers": (1, 0)}, r"multipliers=\(1, 0\)"),
        ({"channels": 5}, "channels=5"),
        ({"num_heads": 3}, "num_heads=3 does not divide channels=4"),
        ({"conditioning": "concatt"}, "did you mean 'concat'"),
    ],
)
def test_mistakes(change, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        make_multiscale_unet(SHAPE, **TINY | change)
    assert "\n" not in str(caught.value)
