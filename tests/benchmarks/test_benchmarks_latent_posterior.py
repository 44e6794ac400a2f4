"""The benchmark of exact curves in latent spaces: NumPy's arithmetic beside the definition, and a small run."""

import json

import numpy as np
import pytest

from vdm_jax.benchmarks import latent_posterior, numpy_posterior

GAMMAS = np.array([-3.0, 1.0, 4.0])


@pytest.mark.parametrize("code", latent_posterior.CODES)
def test_numpy_has_the_posterior_of_the_definition(code):
    """The class probabilities of its log weights, of eps and of its mirror image."""
    case = latent_posterior.make_case("tiny", 6, code)
    pair = case.mean[:5] + 0.1, np.random.default_rng(1).standard_normal((5, 6), np.float32)
    levels = {"stochastic": numpy_posterior.mixture_levels, "deterministic": numpy_posterior.correlated_levels}[code]
    for level, logits in levels(case, [pair], GAMMAS):
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = numpy_posterior.classes(case, *pair, GAMMAS[level])
        found = (p / p.sum(axis=1, keepdims=True)) @ np.eye(3)[case.labels["shape"]][:, :2]
        np.testing.assert_allclose(found, expected["shape"], atol=1e-4)
        assert expected["shape"].min(axis=1).max() > 0.01 or level == 0


def test_scores_of_numpy_by_hand():
    case = latent_posterior.make_case("tiny", 6, "stochastic")
    p = np.array([[0.25, 0.75], [0.5, 0.5]])
    entropy = (np.log(2) - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)) / 2
    expected = [0.625, (0.625 + 0.5) / 2, entropy, (0.25 * 0.75 + 0.25) / 2]
    np.testing.assert_allclose(numpy_posterior.score(case.features["x"], p), expected)


@pytest.mark.slow
def test_a_small_run_leaves_its_record(tmp_path, capsys):
    flags = ["--grids=tiny", "--sizes=8", "--queries=40", "--batch_size=10", "--num_timesteps=3", "--rounds=2"]
    assert latent_posterior.main([*flags, "--seconds=0.05", f"--out={tmp_path}"]) == 0
    record = json.loads(next(tmp_path.glob("latent_posterior-*.json")).read_text())
    assert set(record["cases"]) == {"tiny-48x8-stochastic", "tiny-48x8-deterministic"}
    for found in record["cases"].values():
        assert found["largest_difference"]["all"] < 1e-4 and found["times_as_fast_as_numpy"]["median"] > 0
    assert "times as fast as NumPy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "told"),
    {
        "--grids=large": "'large'",
        "--sizes=0": "--sizes=0; expected numbers",
        "--batch_size=5": "--batch_size=5; expected at least 2, and even",
        "--codes=x": "'x'",
    }.items(),
)
def test_mistakes_are_reported(flag, told, tmp_path, capsys):
    assert latent_posterior.main([flag, f"--out={tmp_path}"]) == 2
    assert told in capsys.readouterr().err and not list(tmp_path.iterdir())
