"""From a config of probes to plain objects."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from configs.probes import get_config
from vdm_jax.base.errors import UserError
from vdm_jax.data.sprites import FACTORS, SpriteGrid
from vdm_jax.experiments.probes.build import build_probes


def test_recorded_sprites_are_asked_as_rendered_ones_are(tmp_path):
    grid = SpriteGrid("tiny", 20, 5, (0.7, 1.0), (0.0, 0.4), (2, 5))
    index = jnp.arange(len(grid))
    classes = np.stack([np.zeros(len(grid), int), *(grid.factors(index)[name] for name in FACTORS)], axis=1)
    images = (np.asarray(grid.render(index))[..., 0] > 0).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", imgs=images, latents_classes=classes, latents_values=classes.astype(float))
    config = get_config("quick")
    config.data.update(source="dsprites", name="tiny.npz", dir=str(tmp_path))
    found = build_probes(config)
    z, gamma = grid.render(index[:3]), jnp.float32(-2.0)
    likely = found.population.posterior.classes(z, gamma)
    sizes = {name: p.shape[1] for name, p in likely.items()}
    assert sizes == {
        "shape": 3,
        "orientation": 6,
        "scale": 2,
        "x": 2,
        "y": 2,
    }
    assert (likely["x"].argmax(1) == grid.factors(index[:3])["x"]).all()


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("diffusion.num_steps", 10**9, "expected 1 to 1,000,000"),
        ("exact.batch_size", 0, "expected at least 2"),
        ("exact.batch_size", 3, "expected an even number"),
        ("exact.num_timesteps", 1_002, "there are 1001, 0 … 1000"),
        ("exact.tolerance", float("nan"), "expected a number above 0"),
        ("chains.far", float("inf"), "expected a number above 0"),
        ("chain_probes.real_or_generated_learning_rate", float("inf"), "expected a number above 0"),
        ("probe.patience", 0, "expected at least 1"),
        *((f"{job}.seed", -1, "expected a seed from 0 to 2^31 - 1") for job in ("exact", "chains", "chain_probes")),
        ("probe.seed", 2**31, "expected a seed from 0 to 2^31 - 1"),
    ],
)
def test_numbers_out_of_range_are_told_before_anything_is_measured(setting, value, told):
    config = get_config("quick")
    config.update_from_flattened_dict({setting: value})
    with pytest.raises(UserError, match=rf"config\.{setting}=.*{re.escape(told)}"):
        build_probes(config)
