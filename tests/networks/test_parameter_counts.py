"""The blog's parameter counts, without allocating a parameter."""

import jax
import pytest

from vdm_jax.base.pytrees import num_parameters
from vdm_jax.networks.encoder import make_encoder
from vdm_jax.networks.sizes import ENCODER_SIZES, UNET_SIZES
from vdm_jax.networks.unet import make_unet

MNIST = (28, 28, 1)


def count(model):
    return num_parameters(jax.eval_shape(model.init, jax.random.key(0)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "with_code", "without"), [("s", 3_979_521, 4_037_121), ("t", 637_441, 559_617), ("m", 131_265, 84_033)]
)
def test_unet(size, with_code, without):
    assert count(make_unet(MNIST, **UNET_SIZES[size], w_dim=128)) == with_code
    assert count(make_unet(MNIST, **UNET_SIZES[size])) == without
    assert count(make_unet(MNIST, **UNET_SIZES[size], w_dim=128, zero_init=True)) == with_code


@pytest.mark.parametrize(("size", "expected"), [("oe++", 716_481), ("oe", 515_521), ("se", 261_793), ("te", 216_529)])
def test_encoder(size, expected):
    assert count(make_encoder(MNIST, **ENCODER_SIZES[size])) == expected


@pytest.mark.slow
def test_original_vdm():
    # The blog prints 31,656,961 for time features of 4 · 128 beside w: 67 conditioning maps of 128 x 128 more than
    # the network without a code.
    assert count(make_unet(MNIST, **UNET_SIZES["original"])) + 67 * 128 * 128 == 31_656_961
    assert count(make_unet((32, 32, 3), **UNET_SIZES["original"], fourier=(7, 8))) > 30_000_000
