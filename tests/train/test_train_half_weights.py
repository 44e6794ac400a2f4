"""Weights in half precision: what is written is read again to rounding; mistakes in one sentence each."""

import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.train.half_weights import about_half, read_half, write_half

TREE = {"net": {"kernel": jnp.array([[1.5, -2e-4], [0.1, 3.0]]), "uses": jnp.array([3, 4])}, "empty": {}}


def test_weights_are_read_as_they_were_to_half_precision(tmp_path):
    path = tmp_path / "weights.npz"
    write_half(path, TREE, 7, "ema")
    assert about_half(path) == {"step": 7, "weights": "ema"}
    found, about = read_half(path, TREE)
    assert about["step"] == 7 and found["empty"] == {}
    assert found["net"]["kernel"].dtype == np.float32 and found["net"]["uses"].tolist() == [3, 4]
    np.testing.assert_allclose(found["net"]["kernel"], TREE["net"]["kernel"], rtol=2**-11)
    assert np.load(path)["net/kernel"].dtype == np.float16


def test_mistakes_are_one_sentence(tmp_path):
    path = tmp_path / "weights.npz"
    with pytest.raises(UserError, match="net/kernel has numbers beyond 65504"):
        write_half(path, {"net": {"kernel": jnp.array([1e5])}}, 7, "ema")
    with pytest.raises(UserError, match="net/kernel has numbers beyond 65504"):
        write_half(path, {"net": {"kernel": jnp.array([jnp.nan])}}, 7, "ema")
    with pytest.raises(UserError, match=r"weights\.npz cannot be read"):
        about_half(path)
    write_half(path, TREE, 7, "ema")
    with pytest.raises(UserError, match=r"other model: net/kernel is \[2, 2\] there and \[2, 3\] here"):
        read_half(path, TREE | {"net": TREE["net"] | {"kernel": jnp.zeros((2, 3))}})
    with pytest.raises(UserError, match="other model: more is missing there"):
        read_half(path, TREE | {"more": jnp.zeros(1)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"weights\.npz cannot be read"):
        read_half(path, TREE)
