"""Losses and scores of heads against numpy, and how the outputs of members lie side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.posterior import Feature
from vdm_jax.probing.curves import compare, probe_windows, summarise_scores
from vdm_jax.probing.heads import make_heads, make_members
from vdm_jax.probing.windows import Noise

ANGLES = np.array([0.0, 0.4, 1.1, 2.0])
FEATURES = {
    "kind": Feature(np.array([0.5, 0.3, 0.2])),
    "scale": Feature(np.full(2, 0.5), np.array([[0.6], [1.0]])),
    "angle": Feature(np.full(4, 0.25), np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)),
}
CLASSES = {"kind": jnp.array([0, 2, 1]), "scale": jnp.array([1, 0, 1]), "angle": jnp.array([3, 0, 2])}


def outputs_of(size, lead=()):
    return jax.random.normal(jax.random.key(size), (*lead, 3, size))


def test_categorical_is_cross_entropy_as_a_share_of_the_entropy():
    head, logits = make_heads(FEATURES, "values")["kind"], outputs_of(3)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(p[np.arange(3), CLASSES["kind"]])
    scores = head.scores(logits, CLASSES["kind"])
    np.testing.assert_allclose(scores["cross_entropy"], expected, rtol=1e-5)
    np.testing.assert_allclose(head.loss(logits, CLASSES["kind"]), expected / FEATURES["kind"].entropy, rtol=1e-5)
    np.testing.assert_array_equal(scores["accuracy"], p.argmax(1) == CLASSES["kind"])
    prior = jnp.log(jnp.tile(jnp.array([[0.5, 0.3, 0.2]]), (10, 1)))
    classes = jnp.array([0] * 5 + [1] * 3 + [2] * 2)
    assert float(head.loss(prior, classes).mean()) == pytest.approx(1), "who knows the prior alone"


@pytest.mark.parametrize("name", ["scale", "angle"])
def test_values_are_squared_errors_as_a_share_of_the_variance(name):
    feature, head = FEATURES[name], make_heads(FEATURES, "values")[name]
    out, values = np.asarray(outputs_of(head.size)), feature.values
    mean, variance = values.mean(0), ((values - values.mean(0)) ** 2).sum(1).mean()
    assert feature.variance == pytest.approx(variance)
    mse = ((mean + np.sqrt(variance) * out - values[np.asarray(CLASSES[name])]) ** 2).sum(1)
    np.testing.assert_allclose(head.scores(jnp.asarray(out), CLASSES[name])["mse"], mse, rtol=1e-5)
    np.testing.assert_allclose(head.loss(jnp.asarray(out), CLASSES[name]), mse / variance, rtol=1e-5)
    assert set(head.scores(jnp.asarray(out), CLASSES[name])) == {"mse", "spread"}


def test_who_tells_values_apart_is_scored_by_their_mean():
    head, logits = make_heads(FEATURES, "classes")["angle"], outputs_of(4)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    values = FEATURES["angle"].values
    mse = ((p @ values - values[np.asarray(CLASSES["angle"])]) ** 2).sum(1)
    scores = head.scores(logits, CLASSES["angle"])
    np.testing.assert_allclose(scores["mse"], mse, rtol=1e-5)
    spread = ((values[np.asarray(CLASSES["angle"])] - values.mean(0)) ** 2).sum(1)
    np.testing.assert_allclose(scores["spread"], spread, rtol=1e-5)
    r2 = summarise_scores(FEATURES["angle"], {key: np.asarray(each)[None, None, None] for key, each in scores.items()})
    assert r2["r2"][0] == pytest.approx(1 - mse.mean() / spread.mean(), rel=1e-5), "of the examples, as of a regression"


@pytest.mark.slow
def test_members_read_their_own_outputs():
    heads = make_heads(FEATURES, "values")
    separate, trunk = (make_members(heads, how, (0, 7)) for how in ("separate", "trunk"))
    assert separate.names == ["kind/0", "kind/7", "scale/0", "scale/7", "angle/0", "angle/7"]
    assert (separate.num_outputs, trunk.num_outputs) == (3, 6) and trunk.names[1] == "kind+scale+angle/7"
    np.testing.assert_array_equal(separate.categorical, [[True] * 3] * 2 + [[False] * 3] * 4)
    np.testing.assert_array_equal(trunk.categorical, [[True] * 3 + [False] * 3] * 2)
    out = outputs_of(6, (2,))
    parts = {"kind": out[..., :3], "scale": out[..., 3:4], "angle": out[..., 4:6]}
    losses = [heads[name].loss(part, CLASSES[name]) for name, part in parts.items()]
    np.testing.assert_allclose(trunk.losses(out, CLASSES), sum(losses) / 3, rtol=1e-6)
    apart = outputs_of(3, (6,))
    np.testing.assert_allclose(
        separate.losses(apart, CLASSES)[2:4], heads["scale"].loss(apart[2:4, :, :1], CLASSES["scale"]), rtol=1e-6
    )
    for members, outputs in ((separate, apart), (trunk, out)):
        each = [members.loss(jnp.int32(member), own, CLASSES) for member, own in enumerate(outputs)]
        np.testing.assert_allclose(jnp.stack(each), members.losses(outputs, CLASSES), rtol=1e-6)
    scores = separate.scores(apart, CLASSES)
    np.testing.assert_allclose(
        scores["angle"]["mse"], heads["angle"].scores(apart[4:, :, :2], CLASSES["angle"])["mse"], rtol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["values", "classes"])
def test_judging_by_the_posterior_is_scoring_by_labels_on_average(targets):
    heads = make_heads(FEATURES, targets)
    for name, head in heads.items():
        p = jax.nn.softmax(outputs_of(len(head.feature.prior)))
        outputs = outputs_of(head.size, (2,))
        judged = head.judge(outputs, p)
        classes = [jnp.full(3, c) for c in range(p.shape[1])]
        for kind in judged.keys() & {"accuracy", "cross_entropy", "mse"}:
            expected = sum(p[None, :, c] * head.scores(outputs, classes[c])[kind] for c in range(p.shape[1]))
            np.testing.assert_allclose(judged[kind], expected, rtol=1e-4, atol=1e-6, err_msg=f"{name} {kind}")
        if head.categorical:
            best = head.judge(jnp.log(p), p)
        else:
            values = jnp.asarray(head.feature.values, jnp.float32)
            best = head.judge((p @ values - head.mean[None]) / np.sqrt(head.feature.variance), p)
        for kind in best:
            if kind.endswith("_missed"):
                np.testing.assert_allclose(best[kind], 0, atol=1e-5)
                assert np.all(judged[kind] >= -1e-6) and judged[kind].max() > 0.01


def test_errors_hold_for_few_clean_images_shown_often():
    """The spread over held-out splits of ten images, each shown twenty times."""
    feature, found = Feature(np.array([0.5, 0.5])), []
    for seed in range(300):
        random = np.random.RandomState(seed)
        images = np.repeat(np.arange(10), 20).reshape(1, 1, 200)
        right = (random.rand(10)[images] > random.rand(1, 1, 200))[:, :, None]
        found.append(summarise_scores(feature, {"accuracy": right * 1.0}, images))
    error = np.sqrt(np.mean([f["accuracy_standard_error"] ** 2 for f in found]))
    np.testing.assert_allclose(np.std([f["accuracy"] for f in found]), error, rtol=0.15)
    alone = summarise_scores(feature, {"accuracy": right * 1.0})["accuracy_standard_error"]
    assert alone < 0.6 * error, "as if every example were of an image of its own"


def test_windows_are_means_over_seeds_with_their_error():
    times = np.arange(0, 101, 10)
    noise = Noise(times, (1 - times / 100) ** 2)
    falls = [np.clip((shift + 50 - times) / 40 + 0.5, 0, 1) for shift in (-10.0, 0.0, 10.0)]
    without = np.stack([falls[1], falls[1]], axis=1)
    windows, errors = probe_windows(noise, {"by_seed": np.stack(falls, axis=1), "without": without})
    assert windows["50%"] == pytest.approx(50) and errors["50%"] == pytest.approx(10 / np.sqrt(3))
    one, error = probe_windows(noise, {"by_seed": falls[0][:, None], "without": np.stack(falls[:2], axis=1)})
    assert one["50%"] == pytest.approx(40) and error["50%"] == pytest.approx(5)
    never, none = probe_windows(noise, {"by_seed": np.ones((11, 2)), "without": without})
    assert never["50%"] is None and none["50%"] is None


def test_the_gap_is_of_the_same_examples_where_the_posterior_was_there():
    exact = {"accuracy": [0.9], "accuracy_standard_error": [0.003]}
    probe = {"accuracy": [0.8], "accuracy_standard_error": [0.004]}
    apart = compare(probe, exact, 0.05)
    assert apart["exact_minus_probe"]["accuracy_standard_error"] == pytest.approx([0.005]) and apart["falls_short"][0]
    missed = {"accuracy_missed": [0.02], "accuracy_missed_standard_error": [0.001]}
    paired = compare(probe | missed, exact, 0.05)
    assert paired == {
        "exact_minus_probe": {"accuracy": [0.02], "accuracy_standard_error": [0.001]},
        "falls_short": [False],
    }


def test_unknown_choices_are_told():
    with pytest.raises(UserError, match="did you mean 'values'"):
        make_heads(FEATURES, "value")
    with pytest.raises(UserError, match="did you mean 'trunk'"):
        make_members(make_heads(FEATURES, "values"), "trunks", (0,))


def test_r2_is_of_the_examples_scored_and_its_error_the_spread_over_repetitions():
    feature, found = FEATURES["scale"], []
    for seed in range(200):
        random = np.random.RandomState(seed)
        spread = random.choice([0.01, 0.09], (1, 10, 1, 20))
        mse = 0.5 * spread + 0.002 * random.rand(*spread.shape)
        found.append(summarise_scores(feature, {"mse": mse, "spread": spread}))
        assert found[-1]["r2"][0] == pytest.approx(1 - mse.mean() / spread.mean())
    error = np.mean([f["r2_standard_error"] for f in found])
    np.testing.assert_allclose(np.std([f["r2"] for f in found]), error, rtol=0.2)
