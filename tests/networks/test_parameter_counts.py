"""The blog's parameter counts, without allocating a parameter. tests/configs counts its columns on MNIST."""

import jax
import pytest

from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.sizes import UNET_SIZES
from vdm_jax.networks.unet import make_unet

MNIST = (28, 28, 1)


def count(model):
    return num_parameters(jax.eval_shape(model.init, jax.random.key(0)))


def test_what_starts_at_zero_is_counted():
    assert count(make_unet(MNIST, **UNET_SIZES["m"], w_dim=128, zero_init=True)) == 131_265


@pytest.mark.slow
def test_original_vdm():
    # The blog prints 31,656,961 for time features of 4 · 128 beside w: 67 conditioning maps of 128 x 128 more than
    # the network without a code.
    assert count(make_unet(MNIST, **UNET_SIZES["original"])) + 67 * 128 * 128 == 31_656_961
