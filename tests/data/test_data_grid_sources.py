"""Grids of sprites by the name of their source."""

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.grid_sources import load_grid
from vdm_jax.data.sprites import GRIDS


def test_a_rendered_grid():
    assert load_grid("sprites", "small", "") is GRIDS["small"]


@pytest.mark.parametrize(
    ("source", "name", "folder", "sentence"),
    [
        ("sprites", "smal", "", "did you mean 'small'"),
        ("sprites", "small", "here", "data.dir='here' is no setting of source='sprites'"),
        ("dsprite", "small", "", "did you mean 'dsprites'"),
        ("dsprites", "nothing.npz", "", "no file 'nothing.npz'"),
    ],
)
def test_mistakes(source, name, folder, sentence):
    with pytest.raises(UserError, match=sentence):
        load_grid(source, name, folder)
