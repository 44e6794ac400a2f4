"""What a probe misses of the posterior, row by row."""

import numpy as np

from vdm_jax.experiments.chain_posterior import missed


def test_differences_are_of_the_same_row_and_seed():
    posterior = {
        "accuracy": np.array([[[[1.0, 0.0, 1.0]]]]),
        "cross_entropy": np.array([[[[0.1, 2.0, 0.3]]]]),
        "mse": np.array([[[[0.0, 1.0, 2.0]]]]),
        "spread": np.array([[[[4.0, 2.0, 6.0]]]]),
    }
    probe = {
        "accuracy": np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]]),
        "cross_entropy": np.array([[[0.2, 2.0, 0.9], [1.1, 0.5, 0.3]]]),
        "mse": np.array([[[1.0, 1.0, 4.0], [0.0, 0.0, 2.0]]]),
        "spread": np.array([[[4.0, 2.0, 6.0]] * 2]),
    }
    found = missed(posterior, probe)
    np.testing.assert_allclose(found["accuracy_missed"], [[[[0, 0, 1], [1, -1, 0]]]])
    np.testing.assert_allclose(found["information_nats_missed"], [[[[0.1, 0, 0.6], [1.0, -1.5, 0]]]], atol=1e-12)
    np.testing.assert_allclose(found["r2_missed"], np.array([[[[1, 0, 2], [0, -1, 0]]]]) / 4)
    values_alone = missed(posterior, {key: probe[key] for key in ("mse", "spread")})
    assert set(values_alone) == {"r2_missed"}
    assert set(missed(posterior, {key: probe[key] for key in ("accuracy", "cross_entropy")})) == {
        "accuracy_missed",
        "information_nats_missed",
    }
