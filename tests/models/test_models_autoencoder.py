"""An autoencoder's terms against exact solutions: linear VAEs on Gaussian data, PCA, codebooks, DIP, two players."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_autoencoders import EIGENVALUES, NUM_DIMS, evaluated, gaussian_data, linear_backbone, trained

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.gaussian import sum_values
from vdm_jax.diffusion.rate import FixedRate, encoder_kl
from vdm_jax.diffusion.rate_modes import make_rate_mode
from vdm_jax.evals.bpd import evaluate_bound
from vdm_jax.models.adversarial import ReconstructionLoss, adaptive_weight
from vdm_jax.models.autoencoder import Autoencoder
from vdm_jax.models.decoder_likelihood import BernoulliDecoder, GaussianDecoder, LevelsDecoder
from vdm_jax.models.vq import VectorQuantiser
from vdm_jax.networks.autoencoder import make_backbone
from vdm_jax.networks.discriminator import make_discriminator

BINARY = np.array([-1, 1], np.float32)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_a_linear_vae_on_gaussian_data_fills_from_below(beta):
    """SCIENCE §8: error min(λ, β σ²) and rate ½ ln⁺(λ/(β σ²)) a direction; with beta 1 D + R is the model's -log p."""
    sigma = 0.4
    model = Autoencoder(linear_backbone(NUM_DIMS), (NUM_DIMS,), GaussianDecoder(None, sigma), rate=FixedRate(beta=beta))
    params, _ = trained(model, gaussian_data(512))
    x = gaussian_data()  # of the same second moments; many rows, for the draws of their codes
    found, water = evaluated(model, params, x), beta * sigma**2
    assert found["squared_error"] == pytest.approx(np.minimum(EIGENVALUES, water).sum(), rel=0.02)
    rate = 0.5 * np.maximum(0, np.log(EIGENVALUES / water)).sum()
    assert found["rate"] == pytest.approx(rate, rel=0.02)
    if beta == 1:
        variance = np.maximum(EIGENVALUES, sigma**2)  # of the optimal model's own density
        exact = 0.5 * (np.log(2 * np.pi * variance) + EIGENVALUES / variance).sum()
        assert found["bound"] == pytest.approx(exact, rel=0.005)


def test_a_linear_autoencoder_is_pca():
    model = Autoencoder(linear_backbone(2, False), (NUM_DIMS,), GaussianDecoder(None, 1.0), code="deterministic")
    x = gaussian_data()
    params, _ = trained(model, x, 800)
    found = evaluated(model, params, x)
    assert found["squared_error"] == pytest.approx(EIGENVALUES[2:].sum(), rel=0.01)
    assert "rate" not in found and "deterministic" in model.no_bound


@pytest.mark.parametrize("by", ["ema", "gradient"])
def test_as_many_codes_as_images_reconstruct(by):
    """The codebook ends at the encodings, so that quantisation costs nothing."""
    x = jnp.asarray(np.random.RandomState(1).randn(8, NUM_DIMS), jnp.float32)
    quantiser = VectorQuantiser(8, NUM_DIMS, by, restart_below=0.1)
    model = Autoencoder(
        linear_backbone(NUM_DIMS, False),
        (NUM_DIMS,),
        GaussianDecoder(None, 1.0),
        code="quantised",
        quantiser=quantiser,
    )
    if by == "gradient":  # nothing restarts unused codes: begin at the encodings
        model = _from_encodings(model, x)
    params, carry = trained(model, x, 1500, 0.02)
    found = evaluated(model, model.complete(params, carry), x)
    assert found["squared_error"] < 1e-2


def _from_encodings(model, x):
    first = model.init

    class Begun(Autoencoder):
        def init(self, key):
            params = first(key)
            encoded = self.backbone.encoder.apply(params["encoder"], x)[0]
            return params | {"codebook": {"codes": encoded + 0.01}}

    return Begun(**{name: getattr(model, name) for name in model.__dataclass_fields__})


def test_the_gradient_passes_through_the_quantisation():
    """d/dz of sum(a u) is a, and the commitment adds 2 c (z - e)."""
    quantiser = VectorQuantiser(3, 2)
    codes = jnp.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 2.0]])
    z, a = jnp.array([[0.9, 0.8], [-0.7, 1.6]]), jnp.array([[1.0, -2.0], [3.0, 0.5]])

    def loss(z):
        found = quantiser.quantise(jax.random.key(0), codes, z)
        return jnp.sum(a * found.u) + found.loss.sum()

    np.testing.assert_array_equal(quantiser.nearest(codes, z), [1, 2])
    np.testing.assert_allclose(jax.grad(loss)(z), a + 2 * 0.25 * (z - codes[jnp.array([1, 2])]), rtol=1e-6)


def test_moving_averages_end_at_the_means_of_clusters_and_restart_unused_codes():
    quantiser = VectorQuantiser(3, 1, decay=0.9, restart_below=0.05)
    z = jnp.array([[-1.1], [-0.9], [1.9], [2.1]])
    carry = {"codes": jnp.array([[-1.0], [2.0], [50.0]]), "uses": jnp.full(3, 1 / 3), "sums": jnp.zeros((3, 1))}
    for i in range(120):
        found = quantiser.quantise(jax.random.key(i), carry["codes"], z)
        statistics = found.for_update["statistics"]
        means = {name: value.mean(0) for name, value in statistics.items()}
        carry = quantiser.update(carry, means, found.for_update["draws"])
    assert np.abs(np.asarray(carry["codes"])).max() < 2.2  # the code at 50 has begun again
    assert float(jnp.abs(z - carry["codes"][quantiser.nearest(carry["codes"], z)]).max()) < 0.12


@pytest.mark.parametrize("name", ["dip1", "dip2"])
def test_dip_brings_its_covariance_to_the_identity(name):
    """With weights that dominate: I: Cov[mean] = I; II: Cov[mean] + E[variance] = I, whatever the data's variances."""
    model = Autoencoder(
        linear_backbone(2),
        (NUM_DIMS,),
        GaussianDecoder(None, 0.5),
        rate=FixedRate(beta=1.0),
        regulariser=name,
        dip=(300.0, 300.0),
    )
    x = gaussian_data(1024)
    params, _ = trained(model, x)
    mean, variance = model.moments(params, x)
    covariance = np.cov(np.asarray(mean).T, bias=True)
    if name == "dip2":
        covariance = covariance + np.diag(np.asarray(variance).mean(0))
    np.testing.assert_allclose(covariance, np.eye(2), atol=0.02)


@pytest.mark.parametrize(
    "likelihood, num_levels",
    [
        (BernoulliDecoder(BINARY), 2),
        (LevelsDecoder(np.linspace(-1, 1, 5, dtype=np.float32)), 5),
        (LevelsDecoder(np.linspace(-1, 1, 5, dtype=np.float32), 0.3), 5),
    ],
)
def test_likelihoods_of_levels_sum_to_one(likelihood, num_levels):
    output = jnp.array([[0.3]])
    levels = jnp.arange(num_levels)[:, None]
    each = [likelihood.log_prob(likelihood.init_params(), levels[k : k + 1], output) for k in range(num_levels)]
    assert float(jnp.exp(jnp.concatenate(each)).sum()) == pytest.approx(1, abs=1e-5)


def test_the_learned_deviation_ends_at_that_of_the_residuals():
    model = Autoencoder(linear_backbone(2, False), (NUM_DIMS,), GaussianDecoder(None), code="deterministic")
    x = gaussian_data(1024)
    params, _ = trained(model, x, 1500)
    error = evaluated(model, params, x)["squared_error"]
    assert float(jnp.exp(params["likelihood"]["log_sigma"])) == pytest.approx(np.sqrt(error / NUM_DIMS), rel=0.01)


def small_model(**settings):
    shape = (8, 8, 1)
    backbone = make_backbone(
        "fc", shape, latents=3, channels=4, stochastic=True, num_classes=settings.get("num_classes", 0)
    )
    return Autoencoder(backbone, shape, BernoulliDecoder(BINARY), unit=2.0, **settings)


def binary_images(num=6):
    return jnp.asarray(np.random.RandomState(2).randint(0, 2, (num, 8, 8, 1)), jnp.uint8)


def test_beta_is_read_from_the_carry():
    """Members of an ensemble share the program and differ in the carry."""
    model = small_model(rate=FixedRate(beta=1.0))
    params, carry = model.init(jax.random.key(0)), model.init_carry(jax.random.key(1))
    batch = {"levels": binary_images()}
    losses = [
        model.loss_fn(params, carry | {"hyper": {"beta": jnp.float32(beta)}}, batch, jax.random.key(2), 0)
        for beta in (1.0, 3.0)
    ]
    np.testing.assert_allclose(losses[1][0] - losses[0][0], 2 * losses[0][1]["rate"], rtol=1e-4)


def test_both_halves_of_a_conditional_model_read_the_label():
    model = small_model(num_classes=2)
    params = model.init(jax.random.key(0))
    x, u = binary_images(2), jnp.ones((2, 3))
    moments, decode = jax.jit(model.moments), jax.jit(model.decode)
    first, second = jnp.array([0, 0]), jnp.array([1, 1])
    assert float(jnp.abs(moments(params, x, first)[0] - moments(params, x, second)[0]).max()) > 1e-3
    assert float(jnp.abs(decode(params, u, first) - decode(params, u, second)).max()) > 1e-4
    with pytest.raises(UserError, match="labels are missing"):
        model.moments(params, x)


def test_terms_of_a_conditional_model_over_a_split():
    """R of each image under its own label; D + R; the error of the mean code and that of a drawn one."""
    model, levels, labels = small_model(num_classes=2), np.asarray(binary_images(5)), np.array([0, 1, 1, 0, 1])
    params = model.init(jax.random.key(0))
    data = {"levels": levels, "labels": labels}
    found = evaluate_bound(model.terms, params, data, passes=2, batch_size=3, key=jax.random.key(4)).per_image
    mean, variance = jax.jit(model.moments)(params, levels, labels)
    np.testing.assert_allclose(found["rate"], encoder_kl(mean, jnp.log(variance)).sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["bound"], found["distortion"] + found["rate"], rtol=1e-6)
    pixels = (np.asarray(jax.jit(model.decode)(params, mean, labels)) + 1) / 2
    expected = np.square(pixels - levels).sum((1, 2, 3))
    np.testing.assert_allclose(found["squared_error_of_mean"], expected, rtol=1e-4)
    assert np.abs(found["squared_error"] - expected).min() > 1e-6


def test_where_no_bound_is_given_the_reason_is():
    """And a decoder that is not trained by -log p(x | u) has no likelihood in its space either."""
    model = small_model(rate=FixedRate(1.0))
    assert model.no_bound is None and model.space({}, "vae", "").log_prob is not None
    kl = small_model(rate=FixedRate(1e-6), reconstruction=ReconstructionLoss("l1"))
    assert "l1 distance is minimised in place of -log p" in kl.no_bound
    assert kl.space({}, "kl", "").log_prob is None
    terms = {name: each.metrics_of(*jnp.ones((3, 2))) for name, each in {"vae": model, "kl": kl}.items()}
    assert set(terms["kl"]) == {"rate", "squared_error"}
    density = dataclasses.replace(model, likelihood=GaussianDecoder(BINARY)).metrics_of(*jnp.ones((3, 2)))
    assert set(terms["vae"]) == {*density, "bpd"} == {"distortion", "rate", "squared_error", "bound", "bpd"}
    assert "infinite" in small_model(code="deterministic").no_bound
    assert "prior" in small_model(code="quantised", quantiser=VectorQuantiser(4, 3)).no_bound


def test_the_adaptive_weight_is_the_ratio_of_two_gradients():
    last = {"kernel": jnp.array([1.0, 2.0])}
    weight = adaptive_weight(
        lambda p: jnp.array([3.0, 4.0]) * p["kernel"], lambda p: jnp.array([0.0, 1.0]) * p["kernel"], last
    )
    assert float(weight) == pytest.approx(5.0, rel=1e-3)  # means over the batch divide both by 2


def test_mistakes_are_named():
    with pytest.raises(UserError, match="TargetRate needs model.code='gaussian', not 'deterministic'"):
        small_model(code="deterministic", rate=make_rate_mode("target"))
    with pytest.raises(UserError, match="regulariser.name='dip1' needs model.code='gaussian'"):
        small_model(code="deterministic", regulariser="dip1")
    with pytest.raises(UserError, match="a codebook go together"):
        small_model(code="quantised")
    with pytest.raises(UserError, match="conditional: a code decodes to an image only with a label"):
        small_model(num_classes=2).space({}, "cvae", "")
    with pytest.raises(UserError, match="gaussian or levels"):
        BernoulliDecoder(np.zeros(5, np.float32))
    with pytest.raises(UserError, match="sides of at least 16"):
        make_discriminator((8, 8, 1), 8)
    with pytest.raises(UserError, match="divisible by 4"):
        make_backbone("fc", (30, 30, 1), latents=2, stochastic=True)
    with pytest.raises(UserError, match="latents=0"):
        make_backbone("fc", (32, 32, 1), latents=0, stochastic=True)


def test_squared_errors_are_in_pixels_of_0_to_1():
    model = small_model()
    x = binary_images(2)
    error = model.squared_error(x, jnp.zeros((2, 8, 8, 1)))  # probability one half at every pixel
    np.testing.assert_allclose(error, [64 * 0.25, 64 * 0.25], rtol=1e-6)
    assert sum_values(x.astype(jnp.float32)).shape == (2,)
