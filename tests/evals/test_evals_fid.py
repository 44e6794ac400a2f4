"""The FID's keys, against distances worked out by hand from a stand-in for the network; grey and colour."""

import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.images import even_pixel_values, to_unit
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.diffusion.rate import UNCONDITIONAL
from vdm_jax.evals import fid
from vdm_jax.evals.frechet import frechet_distance
from vdm_jax.evals.inception_weights import FID_SHA256, InceptionWeights
from vdm_jax.networks.network import Network

PARAMS = {"map": np.random.default_rng(9).standard_normal((3, 2)).astype(np.float32)}


def thumbnails(params, images):
    """Two features of the corners' first channel and the image's mean."""
    corners = jnp.stack([images[:, 0, 0, 0], images[:, -1, -1, -1], images.mean((1, 2, 3))], axis=-1)
    return corners @ params["map"]


@pytest.fixture
def weights(monkeypatch):
    """Puts a small network in InceptionV3's place; says what its file was."""

    def put(sha256=FID_SHA256):
        monkeypatch.setattr(fid, "make_inception", lambda: Network(None, thumbnails))
        monkeypatch.setattr(fid, "read_weights", lambda path: InceptionWeights(PARAMS, sha256))
        return "weights.npz"

    return put


def draw(number, channels, seed):
    return np.random.default_rng(seed).integers(0, 5, (number, 6, 7, channels), np.uint8)


def dataset(channels, num_train=160):
    train, other = Split(draw(num_train, channels, 0), None), Split(draw(4, channels, 1), None)
    return ImageData("levels", train, other, other, even_pixel_values(5), ())


def by_hand(levels):
    return np.asarray(thumbnails(PARAMS, jnp.asarray(to_unit(levels, 5))))


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_are_distances_to_all_training_images(weights, channels):
    data = dataset(channels)
    made = {"prior": draw(109, channels, 2) // 2, "aggregate": draw(109, channels, 3)}
    real = draw(109, channels, 4)
    scores, by_n, reasons = fid.measure_fid(weights(), data, made, real)
    training = by_hand(data.train.levels)
    for key, levels in (("fid", made["prior"]), ("fid_aggregate", made["aggregate"]), ("fid_real", real)):
        np.testing.assert_allclose(scores[key], frechet_distance(by_hand(levels), training), rtol=1e-4, atol=1e-6)
    assert scores["fid"] > 5 * scores["fid_real"]
    assert (scores["fid_num_images"], scores["fid_num_reference"]) == (109, 160)
    network = scores["fid_network"]
    assert network["source_sha256"] == FID_SHA256 and "299x299" in network["resize"] and len(network["hash"]) == 12
    assert set(scores) == set(fid.FID_KEYS) and not reasons
    assert set(by_n) == {"fid"} and set(by_n["fid"]["curves"]) == {"prior", "aggregate", "real"}
    assert by_n["fid"]["curves"]["prior"]["distance"][-1] == scores["fid"]


def test_without_a_code_there_is_no_aggregate(weights):
    scores, _, reasons = fid.measure_fid(weights(), dataset(1), {"prior": draw(20, 1, 2)}, draw(20, 1, 4))
    assert scores["fid_aggregate"] is None and reasons == {"fid_aggregate": UNCONDITIONAL} and scores["fid"] > 0


def test_other_weights_are_never_called_fid(weights):
    made = {"prior": draw(20, 1, 2)}
    scores, by_n, reasons = fid.measure_fid(weights("0" * 64), dataset(1), made, draw(20, 1, 4))
    assert all(scores[key] is None and "do not define the FID" in reasons[key] for key in fid.FID_KEYS)
    assert scores["frechet_other_weights"] > 0 and set(by_n) == {"frechet_other_weights"}
    assert reasons["frechet_other_weights_aggregate"] == UNCONDITIONAL
    assert "other weights" in scores["frechet_other_weights_network"]["name"]


def test_fewer_reference_images(weights):
    data, made = dataset(3), {"prior": draw(20, 3, 2)}
    scores, _, _ = fid.measure_fid(weights(), data, made, draw(20, 3, 4), num_reference=40)
    expected = frechet_distance(by_hand(made["prior"]), by_hand(data.train.levels[:40]))
    assert scores["fid_num_reference"] == 40
    np.testing.assert_allclose(scores["fid"], expected, rtol=1e-4)


def test_no_file_no_fid():
    scores, by_n, reasons = fid.measure_fid("", dataset(1), {"prior": draw(2, 1, 2)}, draw(2, 1, 4))
    assert scores == dict.fromkeys(fid.FID_KEYS) and not by_n
    assert set(reasons) == set(fid.FID_KEYS) and set(reasons.values()) == {
        "evaluate.inception names no file of weights"
    }
