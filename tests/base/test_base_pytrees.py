"""Size and fingerprint of pytrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.pytrees import fingerprint, num_parameters


def tree():
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": {"c": np.zeros((), np.int32)}}


def test_num_parameters_of_arrays_and_of_shapes():
    assert num_parameters(tree()) == 7
    assert num_parameters({}) == 0
    shapes = jax.eval_shape(lambda: {"kernel": jnp.zeros((3, 3, 1, 16)), "bias": jnp.zeros(16)})
    assert num_parameters(shapes) == 160


def test_fingerprint_is_twelve_hex_digits_that_never_change():
    digits = fingerprint(tree())
    assert len(digits) == 12 and int(digits, 16) >= 0
    assert digits == fingerprint(tree()) == "5d40fab7ee60"


def test_fingerprint_is_of_the_values_not_of_where_they_live():
    assert fingerprint(jax.tree.map(jnp.asarray, tree())) == fingerprint(tree())
    transposed = tree() | {"a": np.asfortranarray(tree()["a"])}
    assert fingerprint(transposed) == fingerprint(tree())


CHANGES = {
    "value": lambda t: t | {"a": t["a"] + np.float32(1e-6)},
    "dtype": lambda t: t | {"b": {"c": t["b"]["c"].astype(np.float32)}},
    "shape": lambda t: t | {"a": t["a"].reshape(3, 2)},
    "path": lambda t: {"a": t["a"], "b": {"d": t["b"]["c"]}},
    "depth": lambda t: {"a": t["a"], "c": t["b"]["c"]},
    "missing leaf": lambda t: {"a": t["a"]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with(change):
    assert fingerprint(CHANGES[change](tree())) != fingerprint(tree())
