import numpy as np
import pytest
from scipy.stats import norm

from vdm_jax.base.errors import UserError
from vdm_jax.evals.information import active_units, aggregate_prior_rate, mutual_information_bounds


def channel(n, dims, noise, seed=0):
    """x ~ N(0, I), w = x + noise: I(x; w) = W/2 ln(1 + 1/noise²)."""
    random = np.random.default_rng(seed)
    mu = random.standard_normal((n, dims))
    return mu, np.full((n, dims), 2 * np.log(noise)), mu + noise * random.standard_normal((n, dims))


@pytest.mark.parametrize("dims, noise", [(1, 1.0), (2, 1.0), (2, 0.5), (4, 1.0)])
def test_true_information_of_a_gaussian_channel_lies_between(dims, noise):
    truth = dims / 2 * np.log(1 + 1 / noise**2)
    bounds = mutual_information_bounds(*channel(4000, dims, noise))
    lower, upper = bounds["mi_lower_nats"], bounds["mi_upper_nats"]
    assert lower - 3 * bounds["mi_lower_nats_standard_error"] < truth
    assert truth < upper + 3 * bounds["mi_upper_nats_standard_error"]
    assert lower < upper and upper - lower < 0.05
    assert bounds["num_images"] == 4000 and abs(bounds["ln_n"] - np.log(4000)) < 1e-12


def test_rate_under_the_aggregate_prior_is_the_information_wherever_the_codes_lie():
    dims, noise = 2, 1.0
    mu, logvar, w = channel(2000, dims, noise, seed=1)
    train_mu, train_logvar, _ = channel(4000, dims, noise, seed=2)
    found = aggregate_prior_rate(mu + 5, logvar, w + 5, train_mu + 5, train_logvar)
    error = found["aggregate_prior_rate_nats_standard_error"]
    truth = dims / 2 * np.log(1 + 1 / noise**2)
    assert truth - 3 * error < found["aggregate_prior_rate_nats"] < truth + 3 * error + 0.03  # M is finite
    log_q = norm.logpdf(w[:9, None], train_mu[None], np.exp(train_logvar / 2)[None]).sum(-1)
    direct = norm.logpdf(w[:9], mu[:9], noise).sum(1) - np.logaddexp.reduce(log_q, axis=1) + np.log(4000)
    few = aggregate_prior_rate(mu[:9], logvar[:9], w[:9], train_mu, train_logvar)
    np.testing.assert_allclose(few["aggregate_prior_rate_nats"], direct.mean(), rtol=1e-10)


def test_against_direct_sums():
    random = np.random.default_rng(1)
    mu, logvar = random.standard_normal((700, 3)) + 5, random.standard_normal((700, 3)) - 1
    w = mu + np.exp(logvar / 2) * random.standard_normal((700, 3))
    log_q = norm.logpdf(w[:, None], mu[None], np.exp(logvar / 2)[None]).sum(-1)
    own = np.diag(log_q)
    others = np.where(np.eye(700, dtype=bool), -np.inf, log_q)
    lower = own - np.logaddexp.reduce(log_q, axis=1) + np.log(700)
    upper = own - np.logaddexp.reduce(others, axis=1) + np.log(699)
    bounds = mutual_information_bounds(mu, logvar, w)
    np.testing.assert_allclose(bounds["mi_lower_nats"], lower.mean(), rtol=1e-10)
    np.testing.assert_allclose(bounds["mi_upper_nats"], upper.mean(), rtol=1e-10)
    np.testing.assert_allclose(bounds["mi_lower_nats_standard_error"], lower.std(ddof=1) / np.sqrt(700), rtol=1e-10)


def test_lower_bound_is_capped_at_ln_n_where_codes_do_not_overlap():
    bounds = mutual_information_bounds(*channel(600, 64, 1e-3))
    assert bounds["mi_lower_nats"] <= np.log(600)
    np.testing.assert_allclose(bounds["mi_lower_nats"], np.log(600), rtol=1e-9)
    assert bounds["mi_upper_nats"] > 64 / 2 * np.log(1e6)


def test_collapsed_posterior_carries_nothing():
    random = np.random.default_rng(0)
    bounds = mutual_information_bounds(np.zeros((500, 8)), np.zeros((500, 8)), random.standard_normal((500, 8)))
    np.testing.assert_allclose([bounds["mi_lower_nats"], bounds["mi_upper_nats"]], 0, atol=1e-10)


def test_stable_far_from_the_origin_and_for_tiny_variances():
    mu, logvar, w = channel(300, 4, 1e-5)
    near, far = (mutual_information_bounds(mu + shift, logvar, w + shift) for shift in (0.0, 1e3))
    assert np.isfinite(list(near.values())).all()
    np.testing.assert_allclose(far["mi_upper_nats"], near["mi_upper_nats"], rtol=1e-6)


@pytest.mark.slow
def test_float32_codes_of_full_size_in_seconds():
    mu, logvar, w = (array.astype(np.float32) for array in channel(10_000, 128, 4.0))
    bounds = mutual_information_bounds(mu, logvar, w)
    truth = 64 * np.log(1 + 1 / 16)
    assert bounds["mi_lower_nats"] - 3 * bounds["mi_lower_nats_standard_error"] < truth < bounds["mi_upper_nats"] + 0.2


def test_one_image():
    with pytest.raises(UserError, match="at least 2"):
        mutual_information_bounds(*channel(1, 2, 1.0))


def test_active_units():
    mu = np.random.default_rng(0).standard_normal((1000, 4)) * np.array([1.0, 0.2, 0.05, 0.0]) + 3.0
    assert active_units(mu) == 2
