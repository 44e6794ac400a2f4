"""Degradations and the way back: D(x, 0) = x, known laws of composition, exact chains, DDIM as a special case."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.degradation.chains import METHODS, ForwardProcess, even_times, make_advance, restore_by_steps
from vdm_jax.diffusion.degradation.functions import DEGRADATIONS, NARROW, block_sides, make_degradation
from vdm_jax.diffusion.degradation.user import fingerprint_of, user_degradation
from vdm_jax.diffusion.prediction import Prediction
from vdm_jax.diffusion.samplers import sample
from vdm_jax.diffusion.schedules import Schedule

SHAPE = (8, 8, 2)
MEAN = np.full(SHAPE, 0.25, np.float32)


def degradation(name):
    return jax.jit(make_degradation(name, SHAPE, **({"mean": MEAN} if DEGRADATIONS[name].of_mean else {})))


@pytest.fixture
def x(key):
    return jax.random.normal(key, (3, *SHAPE))


def chain(key, restore, process, z, times, method, keep=()):
    return restore_by_steps(key, make_advance(restore, process), z, times, method, process.noise, keep)


def step(key, method, process, z, x_hat, t, s):
    found, _ = chain(key, lambda z, t: jnp.broadcast_to(x_hat, z.shape), process, z, np.array([t, s]), method)
    return found


def at(t, x):
    return jnp.full(len(x), t)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_time_0_is_the_image_and_time_1_what_is_said(name, x):
    degrade = degradation(name)
    np.testing.assert_array_equal(degrade(x, at(0.0, x)), x)
    end, means = degrade(x, at(1.0, x)), jnp.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)
    ends = {"blur": means, "pixelate": means, "fade": jnp.broadcast_to(MEAN[None], x.shape), "mask": jnp.zeros_like(x)}
    if name in ends:
        np.testing.assert_allclose(end, ends[name], atol=0.01 if name == "blur" else 1e-6)
    else:
        np.testing.assert_allclose(end - x, jnp.broadcast_to((end - x)[:1], x.shape), atol=1e-6)
    each = degrade(x, jnp.array([0.0, 0.37, 1.0]))  # every image has a time of its own
    np.testing.assert_allclose(each, jnp.stack([x[0], degrade(x, at(0.37, x))[1], end[2]]), atol=1e-6)


def test_blurs_compose_by_their_variances_and_keep_the_mean(x):
    def time_of(sigma):
        return np.log1p(sigma / NARROW) / np.log1p(8 / NARROW)

    degrade = degradation("blur")
    twice = degrade(degrade(x, at(time_of(0.6), x)), at(time_of(0.8), x))
    np.testing.assert_allclose(twice, degrade(x, at(time_of(1.0), x)), atol=1e-5)
    np.testing.assert_allclose(twice.mean((1, 2)), x.mean((1, 2)), atol=1e-6)


def test_pixels_of_blocks(x):
    assert (
        block_sides(8, 8) == (1, 2, 4, 8) and block_sides(28, 28) == (1, 2, 4, 28) and block_sides(12, 8) == (1, 2, 4)
    )
    degrade = degradation("pixelate")
    half = degrade(x, at(2 / 3, x))
    np.testing.assert_allclose(
        half[:, :4, 4:], np.broadcast_to(x[:, :4, 4:].mean((1, 2), keepdims=True), (3, 4, 4, 2)), atol=1e-6
    )
    between = degrade(x, at(1 / 6, x))
    np.testing.assert_allclose(between, (x + degrade(x, at(1 / 3, x))) / 2, atol=1e-6)
    with pytest.raises(UserError, match="images of 8x9 have no blocks"):
        make_degradation("pixelate", (8, 9, 1))


def test_a_mask_grows_from_the_middle(x):
    hidden = np.asarray(degradation("mask")(jnp.ones((1, *SHAPE)), jnp.array([0.4])))[0, :, :, 0]
    assert hidden[4, 4] == 0 and hidden[0, 0] == 1 and np.all(np.diff(hidden[4, 4:]) >= 0)


@pytest.mark.parametrize("num_steps", [1, 7])
def test_improved_sampling_of_a_shift_is_exact_whatever_is_restored(num_steps, x, key):
    process = ForwardProcess(degradation("shift"))
    z, times = process.degrade(x, at(1.0, x)), even_times(num_steps, 14)

    def nonsense(z, t):
        return 3 * jnp.sin(5 * z) + t[:, None, None, None]

    restored, _ = chain(key, nonsense, process, z, times, "improved")
    np.testing.assert_allclose(restored, x, atol=1e-5)
    naive, _ = chain(key, nonsense, process, z, times, "naive")
    assert float(jnp.abs(naive - x).mean()) > 0.5


def test_the_error_of_one_step_where_the_displacement_depends_on_x(x, key):
    """Of a fade an error δ of R leaves (1 - s) δ to naive and (t - s) δ to improved sampling."""
    process, t, s = ForwardProcess(degradation("fade")), 0.8, 0.7
    z, target = process.degrade(x, at(t, x)), process.degrade(x, at(s, x))
    for method, share in (("naive", 0.3), ("improved", 0.1)):
        found = step(key, method, process, z, x + 2.0, t, s)
        np.testing.assert_allclose(found - target, share * 2.0, atol=1e-5)


def test_a_perfect_restoration_keeps_the_law_of_z(key):
    x = jnp.full((20_000, 1, 1, 1), 0.5)
    process = ForwardProcess(make_degradation("fade", (1, 1, 1), mean=np.zeros((1, 1, 1))), noise=2.0)
    t, s = 0.9, 0.4
    z = process.draw(jax.random.key(1), x, at(t, x))
    for i, method in enumerate(METHODS):
        found = step(jax.random.fold_in(key, i), method, process, z, x, t, s)
        assert float(found.mean()) == pytest.approx(0.6 * 0.5, abs=0.03)
        assert float(found.std()) == pytest.approx(2.0 * 0.4, rel=0.03)


def test_a_fade_with_noise_is_gaussian_diffusion_and_improved_sampling_is_ddim(key):
    """z_t = (1 - t) x + t eps, Gaussian data: the same chain in variance-preserving coordinates."""
    process = ForwardProcess(make_degradation("fade", (2, 2, 1), mean=np.zeros((2, 2, 1))), noise=1.0)
    times, z = np.linspace(0.95, 0.0, 5), jax.random.normal(key, (4, 2, 2, 1))
    variance = 0.3

    def restore(z, t):
        t = t[:, None, None, None]
        return (1 - t) * variance / ((1 - t) ** 2 * variance + t**2) * z

    ours, kept = chain(key, restore, process, z, times, "improved", keep=(0, 4))

    def gamma(t):
        return 2 * (jnp.log(t) - jnp.log1p(-t))

    def denoise(z, t):
        x = restore(z * jnp.sqrt((1 - t) ** 2 + t**2)[:, None, None, None], t)
        return Prediction(x, jnp.zeros_like(x))

    theirs = sample(key, denoise, Schedule(gamma), z / np.hypot(0.05, 0.95), jnp.asarray(times, jnp.float32), "ddim")
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(kept[0], z)
    np.testing.assert_array_equal(kept[1], ours)


def test_times_are_distinct_entries_of_the_chain():
    np.testing.assert_array_equal(even_times(2, 4) * 4, [4, 2, 0])
    assert len(set(even_times(7, 9).tolist())) == 8
    with pytest.raises(UserError, match="5 steps; config.degradation.num_steps=4"):
        even_times(5, 4)


def test_methods_that_do_not_exist_or_need_noise(x, key):
    process = ForwardProcess(degradation("fade"))
    for method, told in (("naif", "did you mean 'naive'"), ("ancestral", "needs config.degradation.noise above 0")):
        with pytest.raises(UserError, match=told):
            chain(key, lambda z, t: z, process, x, even_times(2, 2), method)


MODULE = """
import functools
import jax.numpy as jnp
def darker(x, t):
    return x - t[:, None, None, None]
def scaled(x, t, by):
    return x * (1 - by * t[:, None, None, None])
half = functools.partial(scaled, by=0.5)
def cropped(x, t):
    return x[:, 1:]
def broken(x, t):
    raise KeyError("no such thing")
def levels(x, t):
    return x.astype(int)
def pair(x, t):
    return x, t
number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "own_degradations.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "own_degradations"
    sys.modules.pop("own_degradations", None)


def test_a_function_of_the_user(module, x):
    path = list(sys.path)
    name, partial = f"{module}:darker", f"{module}:half"
    degrade = user_degradation(name, SHAPE)
    np.testing.assert_allclose(degrade(x, at(0.5, x)), x - 0.5)
    assert sys.path == path and len(fingerprint_of(degrade, name)) == 12
    of_half = fingerprint_of(user_degradation(partial, SHAPE), partial)
    assert of_half == fingerprint_of(degrade, name), "of the module's source, not of that of functools"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (":cropped", r"returns \[2, 7, 8, 2\] for images \[2, 8, 8, 2\]; expected the same shape"),
        (":broken", r"fails on images \[2, 8, 8, 2\] \(KeyError: 'no such thing'\)"),
        (":levels", "returns int32; expected floating-point pixels"),
        (":pair", r"returns tuple for images"),
        (":darkr", "has no function 'darkr'; did you mean 'darker'"),
        (":number", "has no function 'number'"),
        ("", "expected module:name"),
        ("_of_others:darker", "cannot be imported from .*ModuleNotFoundError"),
    ],
)
def test_a_function_that_cannot_be_used(module, name, told):
    with pytest.raises(UserError, match=told) as caught:
        user_degradation(f"{module}{name}", SHAPE)
    assert "\n" not in str(caught.value)
