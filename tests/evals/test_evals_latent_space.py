import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.rate_code import mmd_to_standard_normal
from vdm_jax.evals.information import active_units
from vdm_jax.evals.latent_space import aggregate, gaussian_kl, jackknifed, mmd, share


def normals(number, dims, seed=0):
    return np.random.default_rng(seed).standard_normal((number, dims))


def test_codes_of_the_prior_are_the_prior():
    mean = 0.6 * normals(2_000, 4)
    variance = np.full_like(mean, 0.64)
    found, arrays = aggregate(mean, variance, mean + 0.8 * normals(2_000, 4, 1))
    assert abs(found["mmd"]["value"]) < 3 * found["mmd"]["standard_error"] < 0.01
    assert found["gaussian_kl"]["value"] < 0.01
    assert found["mean_norm"]["value"] < 0.06
    np.testing.assert_allclose(found["covariance_eigenvalues"], 1.0, atol=0.05)
    np.testing.assert_allclose(arrays["kl_per_dim"], 0.5 * (0.36 + 0.64 - np.log(0.64) - 1), atol=0.02)


def test_codes_with_a_given_gaussian_have_its_moments_and_kl():
    scales, shift = np.array([2.0, 1.0, 0.5]), np.array([0.0, 3.0, 4.0])
    codes = normals(4_000, 3) * scales + shift
    found, arrays = aggregate(codes, None, codes)
    truth = 0.5 * ((scales**2).sum() + 25 - 3 - np.log(scales**2).sum())
    for name, expected in (("mean_norm", 5.0), ("leading_eigenvalue", 4.0), ("gaussian_kl", truth)):
        assert abs(found[name]["value"] - expected) < 4 * found[name]["standard_error"], name
        assert found[name]["num"] == 4_000
    assert "kl_per_dim" not in arrays and arrays["mean_covariance"].shape == (3, 3)
    assert found["mmd"]["value"] > 20 * found["mmd"]["standard_error"]
    assert gaussian_kl(np.zeros(2), np.diag([1.0, 0.0])) is None


@pytest.mark.parametrize("deterministic", [True, False])
def test_sums_of_groups_give_the_moments_without_each_group(deterministic):
    """Against the moments of the remaining rows themselves, for numbers that no group count divides."""
    mean = 0.5 * normals(83, 4) * [1, 1, 1, 0.17] + 3
    variance = None if deterministic else np.random.default_rng(1).uniform(0.1, 1, mean.shape)

    def covariance(rows):
        noise = 0 if deterministic else np.diag(variance[rows].mean(axis=0))
        return np.cov(mean[rows], rowvar=False, bias=True) + noise

    statistics = {
        "gaussian_kl": lambda rows: gaussian_kl(mean[rows].mean(axis=0), covariance(rows)),
        "mean_norm": lambda rows: np.linalg.norm(mean[rows].mean(axis=0)),
        "active_units": lambda rows: active_units(mean[rows]),
        "last_eigenvalue": lambda rows: np.linalg.eigvalsh(covariance(rows))[0],
    }
    found, _ = aggregate(mean, variance, mean)
    last = [found[f"covariance_eigenvalues{suffix}"][-1] for suffix in ("", "_standard_error")]
    found["last_eigenvalue"] = dict(zip(("value", "standard_error"), last, strict=True))
    for name, statistic in statistics.items():
        expected = jackknifed(lambda rows, of=statistic: float(of(rows)), 83)
        np.testing.assert_allclose(found[name]["value"], expected["value"], rtol=1e-9)
        np.testing.assert_allclose(found[name]["standard_error"], expected["standard_error"], rtol=1e-6)
    assert found["active_units"]["value"] in (3, 4) and found["active_units"]["standard_error"] > 0


def test_the_bias_that_is_stated_is_that_of_draws_from_the_prior():
    each = [aggregate(draws, None, draws)[0] for draws in (normals(200, 8, seed) for seed in range(40))]
    for name in ("gaussian_kl", "mean_norm"):
        mean = np.mean([found[name]["value"] for found in each])
        np.testing.assert_allclose(mean, each[0][name]["of_prior_draws"], rtol=0.1)


def test_mmd_is_that_of_the_rate_mode():
    draws = normals(60, 3) + 0.5
    expected = mmd_to_standard_normal(jnp.asarray(draws, jnp.float32)).mean()
    np.testing.assert_allclose(mmd(draws)["value"], expected, rtol=1e-4)
    with pytest.raises(UserError, match="at least 2"):
        mmd(draws[:1])


def test_jackknife_of_a_mean_is_its_standard_error():
    rows = normals(2_000, 1)[:, 0]
    found = jackknifed(lambda index: float(rows[index].mean()), len(rows))
    expected = rows.std() / np.sqrt(len(rows))
    assert 0.6 * expected < found["standard_error"] < 1.5 * expected
    assert jackknifed(lambda index: 1.0, 3)["standard_error"] is None
    assert share(np.array([True, False, True, True])) == {"value": 0.75, "standard_error": 0.75**0.5 / 4, "num": 4}
