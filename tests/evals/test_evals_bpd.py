import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.objective import vdm_losses
from vdm_jax.diffusion.prediction import to_prediction
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.evals.bpd import evaluate_bound, image_times


def terms(params, keys, t, batch):
    """A noisy term, one that is linear in t, one that reads the image, and a curve of three points."""
    noise = jax.vmap(jax.random.normal)(keys)
    return {
        "noise": noise,
        "time": params["slope"] * t,
        "image": batch["levels"].astype(jnp.float32).mean((1, 2, 3)) + batch["labels"],
        "curve": noise[:, None] * jnp.arange(3.0)[None],
    }


PARAMS = {"slope": jnp.float32(2.0)}


def make_data(n):
    levels = np.random.default_rng(0).integers(0, 17, (n, 4, 4, 1)).astype(np.uint8)
    return {"levels": levels, "labels": np.arange(n, dtype=np.int32) % 10}


def evaluate(data, batch_size, passes=3, seed=0):
    return evaluate_bound(terms, PARAMS, data, passes=passes, batch_size=batch_size, key=jax.random.key(seed))


def test_batch_size_changes_nothing_and_padding_is_dropped():
    data = make_data(50)
    whole = evaluate(data, 50)
    for batch_size in (7, 16, 1000):
        other = evaluate(data, batch_size)
        for name, values in whole.per_image.items():
            np.testing.assert_allclose(other.per_image[name], values, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(other.mean[name], whole.mean[name], rtol=1e-5, atol=1e-6)


def test_per_image_means_and_errors_are_over_images():
    data = make_data(50)
    result = evaluate(data, 16)
    exact = data["levels"].mean((1, 2, 3)) + data["labels"]
    np.testing.assert_allclose(result.per_image["image"], exact, rtol=1e-6)
    np.testing.assert_allclose(result.mean["image"], exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(result.standard_error["image"], exact.std(ddof=1) / np.sqrt(50), rtol=1e-6)
    assert result.per_image["curve"].shape == (50, 3) and result.mean["curve"].shape == (3,)
    assert (result.num_images, result.passes) == (50, 3)


def test_every_image_and_pass_has_its_own_noise():
    data = make_data(400)
    once, often = evaluate(data, 64, passes=1), evaluate(data, 64, passes=25)
    assert len(np.unique(once.per_image["noise"])) == 400
    np.testing.assert_allclose(once.per_image["noise"].std(), 1.0, atol=0.15)
    np.testing.assert_allclose(often.per_image["noise"].std(), 0.2, atol=0.03)  # 1 / sqrt(passes)
    assert not np.allclose(once.per_image["noise"], evaluate(data, 64, passes=1, seed=1).per_image["noise"])


def test_times_are_stratified_over_images_and_over_passes(key):
    times = np.stack([image_times(key, p, jnp.arange(100, dtype=jnp.int32), 100, 4) for p in range(4)])
    assert times.min() >= 0 and times.max() < 1
    for of_a_pass in times:
        assert np.bincount((of_a_pass * 100).astype(int), minlength=101).max() <= 2  # rounding at a border
        np.testing.assert_allclose(np.diff(np.sort(of_a_pass)), 0.01, atol=1e-5)
    phase = np.sort(np.mod(times - times[:1], 1.0), axis=0)  # an image's times, on the circle
    assert np.all(np.diff(phase, axis=0) > 0) and np.ptp(phase, axis=1).max() < 1e-5
    quarters = 4 * np.mod(times - times[:1], 1.0)[1:] - np.arange(1, 4)[:, None]
    assert np.all(np.abs(quarters) < 1), "a time in each quarter of the circle"


@pytest.mark.parametrize("passes", [1, 4])
def test_no_order_of_the_images_is_an_order_in_time(passes):
    """Images sorted by difficulty b: the mean of b g(t) scatters no more than its standard error says."""

    def term(params, keys, t, batch):
        return {"term": batch * jnp.exp(-8 * (t - 0.8) ** 2)}

    data = np.linspace(0, 100, 500, dtype=np.float32)
    found = [evaluate_bound(term, {}, data, passes=passes, batch_size=500, key=jax.random.key(i)) for i in range(30)]
    scatter = np.std([float(estimate.mean["term"]) for estimate in found], ddof=1)
    assert scatter < 0.7 * found[0].standard_error["term"]


def test_stratified_times_integrate_closer_than_independent_ones():
    result = evaluate(make_data(1000), 250, passes=1)
    assert abs(float(result.mean["time"]) - 1.0) < 2e-3  # independent times: a deviation of 0.018


def test_mean_of_an_integral_is_unbiased():
    def square(params, keys, t, batch):
        return {"square": t**2}

    data = np.zeros((7, 1), np.uint8)
    means = [
        float(evaluate_bound(square, {}, data, passes=1, batch_size=7, key=jax.random.key(i)).mean["square"])
        for i in range(200)
    ]
    assert abs(np.mean(means) - 1 / 3) < 4 * np.std(means) / np.sqrt(200) < 0.02


def test_compiled_once_for_all_calls_of_a_shape_and_progress_counts_batches():
    traces, batches = [], []

    def counted(params, keys, t, batch):
        traces.append(1)
        return {"x": t * params}

    def progress(starts):
        for start in starts:
            batches.append(start)
            yield start

    data = np.zeros((10, 2), np.uint8)
    for scale in (1.0, 2.0):
        evaluate_bound(
            counted, jnp.float32(scale), data, passes=2, batch_size=4, key=jax.random.key(0), progress=progress
        )
    assert len(traces) == 1 and batches == [0, 4, 8, 0, 4, 8]


def test_bound_of_gaussian_data_with_the_exact_network():
    """x ~ N(0, 0.25), gamma -13.3 … 5: the diffusion term is 5.95601 nats per dimension, one image at a time."""
    schedule = make_schedule("linear", gamma_min=-13.3, gamma_max=5.0)

    def denoise(z_t, t):
        gamma_t = schedule.gamma(t).reshape(-1, 1)
        eps = jnp.sqrt(jax.nn.sigmoid(gamma_t)) * z_t / (0.25 * jax.nn.sigmoid(-gamma_t) + jax.nn.sigmoid(gamma_t))
        return to_prediction("eps", eps, z_t, schedule.gamma(t))

    def image_terms(params, key, t, x):
        losses = vdm_losses(key, x[None], denoise, schedule, t[None], GaussianLikelihood())
        return {"diffusion": losses.terms.diffusion[0]}

    x = 0.5 * np.random.default_rng(0).standard_normal((1000, 32)).astype(np.float32)
    terms_fn = jax.vmap(image_terms, (None, 0, 0, 0))
    result = evaluate_bound(terms_fn, {}, x, passes=8, batch_size=300, key=jax.random.key(0))
    assert abs(result.mean["diffusion"] / 32 - 5.95601) < 0.07  # four deviations with stratified times
    assert 0.01 < result.standard_error["diffusion"] / 32 < 0.05


def test_faulty_arguments():
    data = make_data(10)
    with pytest.raises(UserError, match="passes=0"):
        evaluate(data, 4, passes=0)
    with pytest.raises(UserError, match=r"\[9, 10\] images"):
        evaluate(data | {"labels": data["labels"][:9]}, 4)


def test_one_program_serves_other_numbers_of_images_and_of_passes(key):
    traced = []

    def terms_fn(params, keys, t, batch):
        traced.append(batch.shape)
        return {"t": t}

    for num_images, passes in ((8, 1), (11, 1), (12, 3)):
        evaluate_bound(terms_fn, {}, np.zeros((num_images, 2)), passes=passes, batch_size=4, key=key)
    assert traced == [(4, 2)]
