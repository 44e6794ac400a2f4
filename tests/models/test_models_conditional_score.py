"""DRL and VDRL where the answers are known: Gaussian data, 16 points, and the bound of a VAE-VDM."""

from dataclasses import fields, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_networks import DATA, LEVELS, LINEAR, compiled, linear_decoder, loss_and_metrics, make

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.code_prior import NormalPrior
from vdm_jax.diffusion.gaussian import alpha_sigma
from vdm_jax.diffusion.likelihood import GaussianLikelihood
from vdm_jax.diffusion.rate import FixedRate, NoRate
from vdm_jax.diffusion.rate_target import TargetRate
from vdm_jax.diffusion.schedules import dirac, make_schedule
from vdm_jax.diffusion.score_matching.conditional import Band
from vdm_jax.models.code import CodeModel, TimedCode
from vdm_jax.models.conditional_score import ConditionalScoreModel
from vdm_jax.models.diffusion import DiffusionObjective
from vdm_jax.models.foreign_codes import curve_terms, foreign_terms
from vdm_jax.networks.network import Network

LOW, HIGH = -8.0, 5.0  # gamma
SCHEDULE = make_schedule("linear", gamma_min=LOW, gamma_max=HIGH)
VARIANCES = np.array([4.0, 0.25])  # of the two values of x
DRAWS = 20_000


def model_of(network, code=None, *, weighting="bound", shape=(2,), **settings) -> ConditionalScoreModel:
    of = {"noise": SCHEDULE, "prediction": "eps", "likelihood": GaussianLikelihood(), "x_range": None} | settings
    return ConditionalScoreModel(
        network=network,
        objective=DiffusionObjective("conditional_score", weighting),
        code=code,
        shape=shape,
        **of,
    )


def without_params(apply) -> Network:
    return Network(lambda key: {}, apply)


# ---- Gaussian data, and closed forms --------------------------------------------------------------------------------


def reads(value) -> CodeModel:
    """E(x, t) = x_1 where `value(t)` is 0 and x_2 where it is 1, without noise; E(x) for a number."""
    of_time = callable(value)

    def apply(params, x, *times, key=None):
        index = value(*times) if of_time else jnp.full(len(x), value)
        w = jnp.take_along_axis(x, index[:, None], axis=1)
        return w, jnp.zeros_like(w)

    return CodeModel(without_params(apply), 1, NoRate(), NormalPrior(), None, deterministic=True, of_time=of_time)


def best_decoder(value=None) -> Network:
    """E[eps | z_t, w], w the number of x that `value` names; without it E[eps | z_t]."""

    def apply(params, z, t, w=None, *, key=None):
        alpha, sigma = (part[:, None] for part in alpha_sigma(SCHEDULE.gamma(t)))
        eps = sigma * z / (alpha**2 * jnp.asarray(VARIANCES, jnp.float32)[None] + sigma**2)
        if w is None:
            return eps
        index = value(t) if callable(value) else jnp.full(len(z), value)
        return jnp.where(jnp.arange(2)[None] == index[:, None], (z - alpha * w) / sigma, eps)

    return without_params(apply)


def closed_form(weighting: str, variance: float, low: float, high: float) -> float:
    """½ ∫ weight(t) E(eps - E[eps | z_t])² dt of x ~ N(0, variance), over `low` … `high` of gamma."""
    s = np.exp(-np.array([high, low]))  # SNR, from low to high
    integral = {
        "bound": lambda s: np.log1p(variance * s) * (HIGH - LOW),
        "simple": lambda s: np.log1p(variance * s),
        "uniform": lambda s: s + (variance - 1) / variance * np.log1p(variance * s),
    }[weighting](s)
    return 0.5 * (integral[1] - integral[0]) / (HIGH - LOW)


WEIGHTINGS = [("simple", None, Band()), ("uniform", 0, Band(high=2.0)), ("bound", 1, Band(-1.0, 3.0))]


@pytest.mark.parametrize(("weighting", "code", "band"), WEIGHTINGS, ids=str)
def test_on_gaussian_data_the_loss_of_the_best_decoder_has_a_closed_form(weighting, code, band, key):
    """E(x) = x_i leaves the error of the other value; the weighting says how much x_i is worth."""
    decoder = best_decoder(code)
    model = model_of(decoder, None if code is None else reads(code), weighting=weighting, band=band)
    x = jax.random.normal(key, (DRAWS, 2)) * jnp.asarray(np.sqrt(VARIANCES), jnp.float32)[None]
    params = {"unet": {}, "encoder": {}}
    loss, metrics = jax.jit(model.loss_fn)(params, {}, {"levels": x}, jax.random.key(1), 0)
    low, high = max(LOW, -band.high), min(HIGH, -band.low)
    left = [i for i in (0, 1) if i != code]
    expected = sum(closed_form(weighting, VARIANCES[i], low, high) for i in left)
    np.testing.assert_allclose(loss.mean(), expected, atol=4 * loss.std() / np.sqrt(DRAWS))
    assert loss.std() / np.sqrt(DRAWS) < 0.05 * expected and np.array_equal(loss, metrics["score_loss"])


def test_a_code_for_each_time_leaves_the_error_of_what_it_does_not_read(key):
    """x_2 before the middle and x_1 after it: J is the error of the other value in each half."""

    def value(t):
        return jnp.where(t < 0.5, 1, 0)

    model = model_of(best_decoder(value), reads(value))
    x = jax.random.normal(key, (DRAWS, 2)) * jnp.asarray(np.sqrt(VARIANCES), jnp.float32)[None]
    loss, _ = jax.jit(model.loss_fn)({"unet": {}, "encoder": {}}, {}, {"levels": x}, jax.random.key(1), 0)
    middle = (LOW + HIGH) / 2
    expected = closed_form("bound", VARIANCES[0], LOW, middle) + closed_form("bound", VARIANCES[1], middle, HIGH)
    np.testing.assert_allclose(loss.mean(), expected, atol=4 * loss.std() / np.sqrt(DRAWS))
    timed = TimedCode(x[:6], jnp.zeros((6, 1)))
    params = {"unet": {}, "encoder": {}}

    @jax.jit
    def at(times):  # one object for all times, and the codes of these
        w = model.encode(params, x[:6], t=times)[0]
        return w[:, 0], *(model.denoise(params, codes)(x[6:12], times).eps for codes in (timed, w))

    for t in (0.2, 0.8):
        w, of_object, of_codes = at(jnp.full(6, t))
        np.testing.assert_allclose(of_object, of_codes, rtol=1e-6)
        np.testing.assert_array_equal(w, x[:6, 1 if t < 0.5 else 0])


def test_the_rate_of_a_code_for_each_time_is_held_at_the_times_of_its_band(key):
    """Its codes have a rate of 4.5 nats before the middle, which is not trained, and none after it."""

    def apply(params, x, t, *, key=None):
        return jnp.where(t < 0.5, 3.0, 0.0)[:, None], jnp.zeros((len(x), 1))

    code = CodeModel(without_params(apply), 1, TargetRate(4.0), NormalPrior(), None, of_time=True)
    x = jax.random.normal(key, (64, 2))
    batch, params = {"levels": x, "held_out": x}, {"unet": {}, "encoder": {}}
    found = []
    for band in (Band(), Band(high=-(LOW + HIGH) / 2)):
        model = model_of(best_decoder(0), code, band=band)
        found.append(jax.jit(model.loss_fn)(params, model.init_carry(), batch, key, 0)[1]["held_out_rate"].mean())
    np.testing.assert_allclose(found, [2.25, 0.0], atol=1e-5)


SPREAD = 0.5  # the deviation of x in the toy of VDRL


def noisy_code(slope: float, deviation: float) -> tuple[CodeModel, Network]:
    """q(w | x) = N(slope x, deviation²) of x ~ N(0, SPREAD²), and E[eps | z_t, w]."""

    def encode(params, x, *, key=None):
        return slope * x, jnp.full(x.shape, 2 * jnp.log(deviation))

    def decode(params, z, t, w=None, *, key=None):
        alpha, sigma = (part[:, None] for part in alpha_sigma(SCHEDULE.gamma(t)))
        precision = 1 / SPREAD**2 + slope**2 / deviation**2 + alpha**2 / sigma**2
        x = (slope * w / deviation**2 + alpha * z / sigma**2) / precision
        return (z - alpha * x) / sigma

    return CodeModel(without_params(encode), 1, FixedRate(1.0), NormalPrior(), None), without_params(decode)


@pytest.mark.parametrize(("slope", "deviation"), [(1.6, 0.6), (1.6, 1.2)])
def test_vdrl_with_the_weighting_of_the_bound_bounds_the_entropy(slope, deviation, key):
    """J + KL, with the terms that have no parameters, is E[-log p(x)] where q(w) = p(w), and above it by the KL of q(w)
    to p(w) elsewhere."""
    code, decoder = noisy_code(slope, deviation)
    model = model_of(decoder, code, shape=(1,), noise=SCHEDULE)
    num_draws = 4 * DRAWS
    x = SPREAD * jax.random.normal(key, (num_draws, 1))
    params = {"unet": {}, "encoder": {}}
    mu, logvar = model.encode(params, x)
    batch = {"levels": x, "mu": mu, "logvar": logvar}
    keys, t = jax.random.split(jax.random.key(1), num_draws), jnp.arange(num_draws) / num_draws
    found = jax.jit(model.terms)(params, keys, t, batch)
    np.testing.assert_array_equal(found["score_loss"], found["diffusion"])
    entropy = 0.5 * np.log(2 * np.pi * np.e * SPREAD**2)
    variance = (slope * SPREAD) ** 2 + deviation**2
    excess = 0.5 * (variance - 1 - np.log(variance))
    error = found["bound"].std() / np.sqrt(num_draws)
    np.testing.assert_allclose(found["bound"].mean(), entropy + excess, atol=4 * error)
    assert error < 0.03 and (excess < 1e-6 or excess > 4 * error)
    loss, _ = jax.jit(model.loss_fn)(params, {}, {"levels": x}, jax.random.key(2), 0)
    without_parameters = found["reconstruction"].mean() + found["prior"].mean()
    np.testing.assert_allclose(loss.mean() + without_parameters, entropy + excess, atol=4 * error)


# ---- 16 points, and networks that are trained -----------------------------------------------------------------------

POINTS = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
FLAT = make_schedule("linear", gamma_min=-3.0, gamma_max=3.0)
WIDTH = 64


def dense(key, fan_in: int, fan_out: int):
    return {"kernel": jax.random.normal(key, (fan_in, fan_out)) / np.sqrt(fan_in), "bias": jnp.zeros((1, fan_out))}


def by(layer, h):
    return h @ layer["kernel"] + layer["bias"]


def mlp(num_inputs: int, num_outputs: int, depth: int = 3):
    sizes = [num_inputs, *[WIDTH] * depth, num_outputs]

    def init(key):
        keys = jax.random.split(key, depth + 1)
        return [dense(key, *pair) for key, pair in zip(keys, zip(sizes, sizes[1:], strict=False), strict=True)]

    def apply(params, h):
        for layer in params[:-1]:
            h = jax.nn.gelu(by(layer, h))
        return by(params[-1], h)

    return init, apply


def trained_decoder(w_dim: int) -> Network:
    init, run = mlp(3 + w_dim, 2)

    def apply(params, z, t, w=None, *, key=None):
        return run(params, jnp.concatenate([z, 2 * t[:, None] - 1, *([] if w is None else [w])], axis=1))

    return Network(init, apply)


def trained_code(w_dim: int) -> CodeModel:
    init, run = mlp(2, 2 * w_dim, depth=1)

    def apply(params, x, *, key=None):
        return tuple(jnp.split(run(params, x), 2, axis=1))

    return CodeModel(Network(init, apply), w_dim, NoRate(), NormalPrior(), None, deterministic=True)


def trained(model: ConditionalScoreModel, num_steps: int, batch: int = 192):
    """Parameters after `num_steps` updates."""
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, num_steps))
    images = jnp.tile(jnp.asarray(POINTS), (batch // 16, 1))

    @jax.jit
    def fit(params):
        def update(state, key):
            params, of_adam = state

            def mean_loss(params):  # strata of times meet every point in turn
                order = jax.random.permutation(jax.random.fold_in(key, 1), batch)
                return model.loss_fn(params, {}, {"levels": images[order]}, key, 0)[0].mean()

            updates, of_adam = optimizer.update(jax.grad(mean_loss)(params), of_adam)
            return (optax.apply_updates(params, updates), of_adam), None

        keys = jax.random.split(jax.random.key(1), num_steps)
        return jax.lax.scan(update, (params, optimizer.init(params)), keys)[0][0]

    return fit(model.init(jax.random.key(0)))


def floor_and_loss(model: ConditionalScoreModel, params, draws: int = 4_096):
    """J of E[eps | z_t], from the exact posterior, and of the model under the same noise, [N] each."""
    points = jnp.asarray(POINTS)

    def exact(params, z, t, w=None, *, key=None):
        alpha, sigma = (part[:, None] for part in alpha_sigma(FLAT.gamma(t)))
        squares = ((z[:, None] - alpha[:, None] * points[None]) ** 2).sum(-1)
        x = jax.nn.softmax(-squares / (2 * sigma**2), axis=1) @ points
        return (z - alpha * x) / sigma

    best = replace(model, network=without_params(exact), code=None)
    x = {"levels": jnp.tile(points, (draws // 16, 1))}
    key = jax.random.key(7)
    return (np.asarray(jax.jit(one.loss_fn)(p, {}, x, key, 0)[0]) for one, p in ((best, {"unet": {}}), (model, params)))


SETTINGS = {"noise": FLAT, "likelihood": None, "weighting": "simple"}


def test_trained_on_16_points_without_a_code_it_comes_within_6_percent_of_the_exact_floor():
    model = model_of(trained_decoder(0), **SETTINGS)
    params = trained(model, 800)
    floor, loss = floor_and_loss(model, params)
    share, error = (loss - floor).mean() / floor.mean(), (loss - floor).std() / np.sqrt(len(loss)) / floor.mean()
    assert error < 0.01 and -3 * error < share < 0.06, "on the same noise 800 updates end 4% above the floor"
    _, untrained = floor_and_loss(model, model.init(jax.random.key(0)))
    assert untrained.mean() > 2 * floor.mean()


def test_trained_with_a_code_that_names_the_point_it_falls_below_1_percent_of_the_floor():
    model = model_of(trained_decoder(4), trained_code(4), **SETTINGS)
    params = trained(model, 300)
    floor, loss = floor_and_loss(model, params)
    assert loss.mean() < 0.01 * floor.mean()


# ---- beside the VAE-VDM ---------------------------------------------------------------------------------------------


def scored(model=LINEAR, **settings) -> ConditionalScoreModel:
    """The conditional score of the networks of a VAE-VDM."""
    parts = {field.name: getattr(model, field.name) for field in fields(model)}
    return ConditionalScoreModel(**parts | {"objective": DiffusionObjective("conditional_score")} | settings)


def test_vdrl_with_the_weighting_of_the_bound_has_the_gradient_of_a_vae_vdm():
    """On the same times, noise and codes; the losses differ by the terms without parameters."""

    def loss_and_gradient(model):
        def mean(params):
            loss, metrics = model.loss_fn(params, {}, {"levels": jnp.asarray(LEVELS)}, jax.random.key(3), 0)
            return loss.mean(), metrics

        (loss, metrics), gradient = jax.jit(jax.value_and_grad(mean, has_aux=True))(LINEAR.init(jax.random.key(0)))
        return loss, metrics, gradient

    loss, metrics, gradient = loss_and_gradient(LINEAR)
    score, of_score, its_gradient = loss_and_gradient(scored())
    np.testing.assert_allclose(of_score["rate"], metrics["rate"], rtol=1e-6)
    np.testing.assert_allclose(score + (metrics["reconstruction"] + metrics["prior"]).mean(), loss, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), its_gradient, gradient)


def test_a_deterministic_code_has_no_rate_and_no_bound():
    model = scored(code=replace(LINEAR.code, deterministic=True, rate=NoRate()))
    params = model.init(jax.random.key(0))
    mu, logvar = model.encode(params, model.to_x(LEVELS))
    assert np.all(np.isneginf(logvar)) and "infinite" in model.no_bound
    batch = {"levels": LEVELS, "mu": mu, "logvar": logvar}
    found = compiled(model.terms)(params, jax.random.split(jax.random.key(0), 12), jnp.arange(12) / 12, batch)
    assert not {"rate", "bound", "bpd"} & set(found)
    np.testing.assert_array_equal(found["score_loss"], found["diffusion"])
    means = {name: float(values.mean()) for name, values in found.items()}
    assert (
        model.select(means) == means["score_loss"]
        and model.update_carry({}, {"score_loss": found["score_loss"]}, 0) == {}
    )
    loss, metrics = loss_and_metrics(model)
    np.testing.assert_array_equal(loss, metrics["score_loss"])


# ---- labels ---------------------------------------------------------------------------------------------------------


def by_label(params, z, t, w=None, *, key=None):
    """eps_hat of x = 0, and what its label adds."""
    _, sigma = (part[:, None] for part in alpha_sigma(SCHEDULE.gamma(t)))
    return z / sigma + (0.0 if w is None else w @ jnp.array([[1.0], [2.0], [3.0]]))


LABELLED = model_of(without_params(by_label), weighting="simple", num_labels=3, label_dropout=0.25)


def test_labels_are_hidden_in_their_share_of_the_examples():
    batch = {"levels": jnp.zeros((4_000, 2)), "labels": jnp.tile(jnp.arange(3), 1334)[:4_000]}
    loss, _ = jax.jit(LABELLED.loss_fn)({"unet": {}}, {}, batch, jax.random.key(0), 0)
    label, values = np.asarray(batch["labels"]), np.asarray(loss)
    hidden = values < 0.1
    np.testing.assert_allclose(values[~hidden], (label[~hidden] + 1) ** 2, rtol=1e-3)  # ½ (k + 1)², 2 values
    np.testing.assert_allclose(hidden.mean(), 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 4_000))


def test_guidance_goes_on_from_hidden_labels_to_those_given(key):
    z, t = jax.random.normal(key, (3, 2)), jnp.full(3, 0.5)
    labels = jnp.array([0, 2, -1])
    plain, guided = LABELLED, replace(LABELLED, guidance=1.5)
    of = {model: model.denoise({"unet": {}}, model.condition(None, labels))(z, t) for model in (plain, guided)}
    hidden = plain.denoise({"unet": {}})(z, t)
    assert "the label is given" in plain.no_bound
    np.testing.assert_allclose(of[plain].eps - hidden.eps, [[1, 1], [3, 3], [0, 0]], atol=1e-5)
    np.testing.assert_allclose(of[guided].eps - hidden.eps, [[2.5, 2.5], [7.5, 7.5], [0, 0]], atol=1e-5)
    alpha, sigma = alpha_sigma(SCHEDULE.gamma(t))
    np.testing.assert_allclose(alpha[:, None] * of[guided].x + sigma[:, None] * of[guided].eps, z, atol=1e-5)
    np.testing.assert_array_equal(guided.denoise({"unet": {}})(z, t).eps, hidden.eps)


def test_a_code_without_labels_leaves_them_hidden():
    code = reads(0)
    model = model_of(without_params(lambda params, z, t, w=None, *, key=None: w[:, :2]), code, num_labels=3)
    w = model.condition(jnp.ones((2, 1)), jnp.array([0, 1]))
    assert w.tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]
    z, t = jnp.zeros((2, 2)), jnp.full(2, 0.5)
    assert model.denoise({"unet": {}}, w)(z, t).eps.tolist() == [[1, 1], [1, 0]]
    assert model.denoise({"unet": {}}, jnp.ones((2, 1)))(z, t).eps.tolist() == [[1, 0], [1, 0]]
    timed = replace(model, code=reads(lambda t: jnp.zeros(t.shape, int)))
    codes = TimedCode(jnp.ones((2, 2)), jnp.zeros((2, 1)), jnp.array([[1.0, 0, 0], [0, 1.0, 0]]))
    assert timed.denoise({"unet": {}, "encoder": {}}, codes)(z, t).eps.tolist() == [[1, 1], [1, 0]]


def test_what_has_no_meaning_is_refused():
    with pytest.raises(UserError, match="its rate is infinite; choose rate.mode='none'"):
        scored(code=replace(LINEAR.code, deterministic=True))
    with pytest.raises(UserError, match="needs a fixed schedule"):
        scored(make({"diffusion.schedule": "monotone"}))
    with pytest.raises(UserError, match="guidance=2 is for labels"):
        scored(guidance=2.0)
    with pytest.raises(UserError, match=r"band of log SNR 9 … 12 is empty in this schedule, whose log SNR is -5 … 8"):
        scored(band=Band(9.0, 12.0))
    with pytest.raises(UserError, match="loss='bound'; expected one of"):
        scored(objective=DiffusionObjective("bound"))
    with pytest.raises(UserError, match="needs a time t"):
        timed = replace(scored(), code=replace(LINEAR.code, of_time=True))
        timed.encode(timed.init(jax.random.key(0)), jnp.zeros((1, 8, 8, 1)))
    assert "no likelihood" in scored(noise=dirac(), likelihood=None).no_bound, "Dirac's noise is no mistake"


def test_what_is_minimised_is_said():
    assert scored().describe_objective().endswith("with bound weighting, in place of D: D + R")
    assert "of log SNR -2 … 3 alone" in scored(band=Band(-2.0, 3.0)).describe_objective()


def test_codes_of_all_times_and_labels_are_compared_with_those_of_other_images():
    """The diffusion term and its integrand: the own image as the other one changes nothing, a turned one does."""

    def encode(params, x, t, *, key=None):
        mu, logvar = jnp.split(x.reshape(-1, 64) @ params["moments"] * t[:, None], 2, axis=1)
        return mu, logvar

    def decode(params, z, t, w=None, *, key=None):
        return linear.apply(params, z, t, w[:, :16]) + w[:, 16:].sum(1).reshape(-1, 1, 1, 1)

    linear = linear_decoder()
    code = replace(LINEAR.code, encoder=Network(LINEAR.code.encoder.init, encode), rate=NoRate(), deterministic=True)
    network = Network(linear.init, decode)
    model = scored(code=replace(code, of_time=True), network=network, num_labels=10)
    params, keys, t = model.init(jax.random.key(0)), jax.random.split(jax.random.key(5), 12), jnp.arange(12) / 12
    gammas = np.tile(np.float32([-4.0, 2.0]), (12, 1))
    batch = {"levels": LEVELS, "labels": DATA.test.labels[:12], "other_levels": LEVELS, "gammas": gammas}
    own = compiled(model.terms)(params, keys, t, batch)["diffusion"]
    foreign, curves = (compiled(partial(terms, model)) for terms in (foreign_terms, curve_terms))
    np.testing.assert_allclose(foreign(params, keys, t, batch)["diffusion_shuffled"], own, rtol=1e-5)
    found = curves(params, keys, t, batch)
    assert set(found) == {"own", "shuffled", "shuffled_cost", "logsnr"} and not np.any(found["shuffled_cost"])
    turned = batch | {"other_levels": LEVELS[::-1]}
    assert np.abs(foreign(params, keys, t, turned)["diffusion_shuffled"] - own)[1:].min() > 1e-3  # of t = 0 w is 0
    assert np.abs(curves(params, keys, t, turned)["shuffled_cost"]).min() > 1e-4
    unlabelled = batch | {"labels": np.full(12, -1)}
    assert np.abs(compiled(model.terms)(params, keys, t, unlabelled)["diffusion"] - own).min() > 1e-3
