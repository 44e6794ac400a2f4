"""One diffusion model for any data: continuous x have the bound of pixels; what cannot be combined is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.keys import named_key
from vdm_jax.diffusion.code_prior import NormalPrior, density_bound
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.rate import FixedRate
from vdm_jax.diffusion.schedules import dirac, make_schedule
from vdm_jax.diffusion.times import stratified_times
from vdm_jax.models.code import CodeModel
from vdm_jax.models.diffusion import DiffusionModel, DiffusionObjective
from vdm_jax.models.generate import generate
from vdm_jax.networks.network import Network

SCHEDULE = make_schedule("linear", gamma_min=-12.0, gamma_max=6.0)
VARIANCE = 0.25
DRAWS = 100_000


def exact_network() -> Network:
    """eps_hat of x ~ N(0, 0.25) in each of 2 dimensions, from the time alone."""

    def apply(params, z, t, w=None, *, key=None):
        alpha, sigma = (part[:, None] for part in alpha_sigma(SCHEDULE.gamma(t)))
        return sigma * z / (alpha**2 * VARIANCE + sigma**2)

    return Network(lambda key: {"none": jnp.zeros(())}, apply)


MODEL = DiffusionModel(
    network=exact_network(),
    noise=SCHEDULE,
    prediction="eps",
    objective=DiffusionObjective(),
    code=None,
    shape=(2,),
    likelihood=GaussianLikelihood(),
    x_range=None,
)
PARAMS = {"unet": {}}


def test_the_bound_of_continuous_data_is_their_log_density(key):
    """For each x, not only in the mean."""
    for value in (-0.5, 0.0, 1.0):
        batch = {"levels": jnp.full((DRAWS, 2), value)}
        loss, metrics = jax.jit(MODEL.loss_fn)(PARAMS, {}, batch, key, 0)
        exact = 2 * (0.5 * value**2 / VARIANCE + 0.5 * np.log(2 * np.pi * VARIANCE))
        error = loss.std() / np.sqrt(DRAWS)
        np.testing.assert_allclose(loss.mean(), exact, atol=4 * error + 0.02)
        assert error < 0.06 and np.array_equal(loss, metrics["bound"]), "the weight of the bound"


def test_it_is_the_density_bound(key):
    x = jax.random.normal(key, (6, 2))
    loss, _ = MODEL.loss_fn(PARAMS, {}, {"levels": x}, jax.random.key(1), 0)
    t = stratified_times(named_key(jax.random.key(1), "times"), 6)
    expected = density_bound(named_key(jax.random.key(1), "bound"), x, MODEL.denoise(PARAMS), SCHEDULE, t)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", [GaussianLikelihood(), None])
def test_continuous_data_are_generated(key, likelihood):
    objective = DiffusionObjective("bound" if likelihood else "mean_square", "bound")
    model = replace(MODEL, likelihood=likelihood, objective=objective)
    x, path, times = generate(model, PARAMS, key, 3_000, num_steps=400, batch_size=2_000, keep=(0, 400))
    assert x.shape == (3_000, 2) and path.shape == (3_000, 2, 2) and times.tolist() == [1, 0]
    np.testing.assert_allclose(x.var(0), VARIANCE, rtol=0.1)


def test_without_a_likelihood_there_is_a_loss_and_no_bound(key):
    with pytest.raises(UserError, match="no likelihood"):
        replace(MODEL, likelihood=None)
    model = replace(MODEL, likelihood=None, objective=DiffusionObjective("mean_square", "simple"))
    t, keys = jnp.arange(4) / 4, jax.random.split(key, 4)
    assert set(model.terms(PARAMS, keys, t, {"levels": jnp.zeros((4, 2))})) == {"loss"}


@pytest.mark.slow
def test_what_has_no_meaning_is_refused():
    code = CodeModel(exact_network(), 1, FixedRate(1.0), NormalPrior(), None)
    with pytest.raises(UserError, match="loss='mean_square' has no rate"):
        replace(MODEL, code=code, objective=DiffusionObjective("mean_square", "simple"))
    with pytest.raises(UserError, match="did you mean 'mean_square'"):
        replace(MODEL, objective=DiffusionObjective("mean_sqare"))
    with pytest.raises(UserError, match="no bound is defined for the Dirac schedule"):
        replace(MODEL, noise=dirac())
