"""A control code, drawn from N(0, I) whatever x is: R = 0, and what a decoder reads of it costs its variance."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.diffusion.code_prior import NormalPrior
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.rate import FixedRate
from vdm_jax.diffusion.schedules import make_schedule
from vdm_jax.models.code import CodeModel
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.networks.network import Network

SCHEDULE = make_schedule("linear", gamma_min=-12.0, gamma_max=6.0)
DIMS, NUM, VARIANCE = 4, 40_000, 0.25
ENTROPY = DIMS * 0.5 * math.log(2 * math.pi * math.e * VARIANCE)


def model_of(code: CodeModel | None) -> DiffusionModel:
    """eps_hat = E[eps | z_t] + c w: the exact denoiser of x ~ N(0, s²), which reads its code for nothing."""

    def apply(params, z, t, w=None, *, key=None):
        gamma_t = SCHEDULE.gamma(t)[:, None]
        sigma2 = jax.nn.sigmoid(gamma_t)
        exact = jnp.sqrt(sigma2) / (jax.nn.sigmoid(-gamma_t) * VARIANCE + sigma2) * z
        return exact if w is None else exact + params["c"] * w

    network = Network(lambda key: {"c": jnp.float32(0)}, apply)
    return DiffusionModel(
        network, SCHEDULE, "eps", DiffusionObjective(), code, (DIMS,), GaussianLikelihood(), x_range=None
    )


@pytest.fixture(scope="module")
def metrics():
    """The metrics of `NUM` examples for c: of the control, and of the model without a code under the same noise."""
    x = math.sqrt(VARIANCE) * jax.random.normal(jax.random.key(1), (NUM, DIMS))
    control, none = (model_of(code) for code in (CodeModel(None, DIMS, FixedRate(), NormalPrior(), None), None))

    @functools.partial(jax.jit, static_argnums=0)
    def of(model, c):
        return model.loss_fn({"unet": {"c": c}}, model.init_carry(), {"levels": x}, jax.random.key(2), 0)[1]

    return lambda c: (of(control, jnp.float32(c)), of(none, jnp.float32(c)))


def test_a_control_has_no_rate_and_no_parameters():
    code = CodeModel(None, DIMS, FixedRate(), NormalPrior(), None)
    assert code.networks == {}
    mu, logvar = code.encode({}, jnp.ones((3, DIMS)))
    assert mu.shape == logvar.shape == (3, DIMS) and not mu.any() and not logvar.any()
    drawn = code.draw(jax.random.key(0), {}, jnp.ones((3, DIMS)))
    assert not drawn.rate.any() and jnp.abs(drawn.w).min() > 0


def test_a_decoder_that_ignores_w_has_the_bound_without_a_code_which_is_the_entropy(metrics):
    control, none = metrics(0.0)
    np.testing.assert_array_equal(control["bound"], control["distortion"])
    np.testing.assert_allclose(control["bound"], none["bound"], rtol=1e-4, atol=1e-4)
    bound = np.asarray(none["bound"], np.float64)
    error = bound.std() / math.sqrt(NUM)
    assert error < 0.2 and bound.mean() == pytest.approx(ENTROPY, abs=4 * error)


def test_what_a_decoder_reads_of_w_costs_half_its_variance_over_log_snr(metrics):
    """½ ∫ gamma'(t) Var_w eps_hat dt = ½ c² (gamma_1 - gamma_0) in each dimension."""
    control, none = (np.asarray(each["bound"], np.float64) for each in metrics(0.5))
    cost = control - none
    error = cost.std() / math.sqrt(NUM)
    assert error < 0.1 and cost.mean() == pytest.approx(DIMS * 0.5 * 0.5**2 * 18, abs=4 * error)
