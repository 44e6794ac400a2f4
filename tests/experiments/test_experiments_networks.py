"""Any network under either objective; a VAE-VDM on sprites, whose bound is compared with the entropy of the data."""

import json

import jax
import numpy as np
import pytest

from configs import ddpm, digits, sprites
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.models import make_model
from vdm_jax.experiments.common.train import train
from vdm_jax.experiments.ddpm.build import build_ddpm
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.experiments.vae_vdm.evaluate import evaluate
from vdm_jax.report.primitives.markup import Gallery
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.numbers import headline
from vdm_jax.report.summary import summary
from vdm_jax.train.metrics import read_metrics

SHORT = {
    "train.num_steps": 2,
    "train.batch_size": 4,
    "train.log_every": 1,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
    "train.eval_images": 4,
    "train.eval_passes": 1,
    "evaluate.checkpoint": "latest",
}
MULTISCALE = {
    "model.unet.network": "multiscale",
    "model.unet.size": "digits",
    "model.unet.channels": 4,
    "model.unet.multipliers": (1, 1),
    "model.unet.attention": (),
    "model.w_dim": 2,
}
ON_SPRITES = MULTISCALE | {"model.unet.size": "small", "model.unet.multipliers": (1,), "model.unet.patch": 4}
VDMS = {"model.network": "vdm", "model.channels": 4, "model.num_blocks": 1}


def short(config, deltas):
    config.update_from_flattened_dict(SHORT | deltas)
    return config


def trained(experiment, workdir):
    """The parameters after two steps, restored; every loss is finite."""
    assert train(experiment, workdir) == "done"
    assert all(np.isfinite(row["loss"]) for row in read_metrics(workdir / "metrics.jsonl") if row["split"] == "train")
    weights = load_weights(workdir, experiment.model, experiment.config)
    assert weights.step == 2
    return weights.params


def test_the_multiscale_unet_takes_codes_and_fourier_features():
    model = build(short(digits.get_config("target"), MULTISCALE)).model
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert "down1_0" in shapes["unet"] and set(shapes) == {"unet", "encoder"}
    assert shapes["unet"]["conv_in"]["kernel"].shape[2] == 1 + 2 * 2, "z, and sine and cosine for n = 3, 4"


@pytest.mark.slow
def test_a_ddpm_on_vdms_unet_trains_and_restores(tmp_path):
    experiment = build_ddpm(short(ddpm.get_config("digits-linear"), VDMS))
    params = trained(experiment, tmp_path)
    assert "mid1" in params["unet"] and "down1_0" not in params["unet"]


@pytest.mark.parametrize("variant", sprites.VARIANTS)
def test_every_variant_on_sprites_is_built(variant):
    experiment = build(sprites.get_config(variant))
    assert len(experiment.data.test) == 768 and experiment.data.entropy_nats == pytest.approx(np.log(768))
    assert set(jax.eval_shape(experiment.model.init, jax.random.key(0))) >= {"unet"}
    assert (experiment.model.code is None) == (variant == "unconditional")


@pytest.mark.slow
def test_a_vae_vdm_on_the_multiscale_unet_trains_on_sprites_and_restores(tmp_path):
    params = trained(build(short(sprites.get_config("target"), ON_SPRITES)), tmp_path)
    assert set(params) == {"unet", "encoder"}
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[0]["held_out_rate"] >= 0, "validation sprites are rendered in the step"


@pytest.mark.slow
def test_the_bound_on_sprites_is_compared_with_their_entropy(tmp_path):
    few = {"evaluate.num_images": 10, "evaluate.passes": 1, "evaluate.curve_points": 2, "evaluate.curve_passes": 1}
    config = short(sprites.get_config("unconditional"), ON_SPRITES | few | {"evaluate.frechet_images": 0})
    experiment = build(config)
    trained(experiment, tmp_path)
    assert evaluate(experiment, tmp_path) == "done"
    record = json.loads((tmp_path / "evaluate.json").read_text())
    assert record["entropy_nats"] == pytest.approx(np.log(768))
    assert record["bound_minus_entropy_nats"] == pytest.approx(record["bound_nats"] - np.log(768))
    assert record["bound_minus_entropy_nats"] > 0, "two steps: far above"
    assert f"entropy     {np.log(768):.2f} nats an image" in summary(record)
    assert "bound minus the entropy of the data" in headline(Workdir(tmp_path), Gallery(tmp_path / "report"))


def test_configs_older_than_the_setting_have_the_network_of_their_kind():
    """A stored config without `network` and Fourier features makes the same model."""
    for get_config, names in (
        (digits.get_config, ("network", "multipliers", "attention", "patch")),
        (lambda: ddpm.get_config("digits-linear"), ("network", "fourier_min", "fourier_max")),
    ):
        new, old = get_config(), get_config().unlock()
        for name in names:
            del (old.model.unet if old.kind == "vae_vdm" else old.model)[name]
        experiment = (build if new.kind == "vae_vdm" else build_ddpm)(new)
        shapes = [jax.eval_shape(make_model(config, experiment.data).init, jax.random.key(0)) for config in (new, old)]
        assert shapes[0] == shapes[1]
