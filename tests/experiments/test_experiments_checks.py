"""Settings out of range are told before anything is spent."""

import json
from contextlib import nullcontext

import jax
import numpy as np
import pytest

from configs import exact, forward_process, latent_diffusion, probes, spaces
from configs.base import get_config as base_config
from configs.cifar10 import VARIANTS as CIFAR10
from configs.cifar10 import get_config as cifar10_config
from configs.digits import VARIANTS as DIGITS
from configs.digits import get_config as digits_config
from configs.mnist import VARIANTS as MNIST
from configs.mnist import get_config as mnist_config
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.common.checks import NUMBERS, check_settings
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.launch.jobs import check_ready

# The schedule and the multi-scale U-Net check these themselves.
ELSEWHERE = {f"diffusion.{name}" for name in ("beta", "beta_1", "beta_T", "s", "t1", "t2", "total")}
ELSEWHERE |= {"model.unet.multipliers", "model.unet.attention"}
ELSEWHERE |= {"train.num_steps"}  # a kind may evaluate an untrained model


def flat(config, prefix=""):
    for name, value in config.items():
        if hasattr(value, "items"):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_every_number_of_the_base_config_is_looked_at():
    numbers = {
        k for k, v in flat(base_config()) if v is None or (isinstance(v, int | float) and not isinstance(v, bool))
    }
    looked_at = {setting for _, _, settings in NUMBERS for setting in settings.split()}
    assert looked_at <= numbers, "a setting that is gone"
    assert numbers - looked_at == ELSEWHERE


def test_the_configs_themselves_pass():
    for config in [
        base_config(),
        *map(digits_config, DIGITS),
        *map(mnist_config, MNIST),
        *map(cifar10_config, CIFAR10),
    ]:
        check_settings(config)


@pytest.mark.parametrize(
    "setting, value, sentence",
    [
        ("train.num_steps", 0, "config.train.num_steps=0; expected at least 1"),
        ("evaluate.curve_points", 1, "config.evaluate.curve_points=1; expected 2 to 1,000,000"),
        ("sample.num_images", 10**9, "config.sample.num_images=1000000000; expected 1 to 1,000,000"),
        ("diffusion.num_steps", 10**9, "expected 1 to 1,000,000"),
        ("model.unet.channels", 10**9, "expected 1 to 65,536"),
        ("model.unet.num_blocks", 10**9, "expected 1 to 1,000"),
        ("model.unet.fourier_max", 10**9, "expected -30 to 30"),
        ("model.w_dim", 0, "expected 1 to 65,536, or model.encoder='none' for no code"),
        ("evaluate.frechet_images", -1, "expected at least 0"),
        ("train.seed", -1, "expected a seed"),
        ("train.learning_rate", float("nan"), "config.train.learning_rate=nan; expected a number above 0"),
        ("rate.beta", float("inf"), "expected a number not below 0"),
        ("data.max_gib", 0.0, "config.data.max_gib=0.0; expected a number above 0"),
        ("model.dropout", 1.0, "expected a number from 0 to below 1"),
        ("diffusion.gamma_max", float("inf"), "expected a number from -80 to 80"),
        ("diffusion.gamma_min", -1e30, "expected a number from -80 to 80"),
        ("sample.sampler", "dim", "did you mean 'ddim'"),
        ("evaluate.weights", "EMA", "expected one of"),
        ("evaluate.checkpoint", "newest", "expected 'best', 'latest' or a step"),
        ("evaluate.checkpoint", "2001", "expected 'best', 'latest' or a step up to config.train.num_steps=2000"),
        ("evaluate.checkpoint", "9" * 5_000, "expected 'best', 'latest' or a step up to config.train.num_steps=2000"),
        ("train.batch_size", 1_298, "there are 1297 training images"),
    ],
)
def test_a_sentence_names_setting_and_choices(setting, value, sentence):
    config = digits_config()
    config.update_from_flattened_dict({setting: value})
    with pytest.raises(UserError) as told:
        build(config)
    assert setting in str(told.value) and sentence in str(told.value)


def test_a_table_with_fewer_entries_than_sampling_steps_is_refused_before_training():
    config = digits_config()
    config.update_from_flattened_dict({"diffusion.schedule": "cosine", "diffusion.num_steps": 50})
    with pytest.raises(UserError, match="at 50 of its 50 entries"):
        build(config)


@pytest.mark.parametrize("split", [{"train.batch_size": 1}, {"train.batch_size": 4, "train.accumulate": 4}])
def test_a_code_without_others_to_be_compared_with_is_refused_before_training(split, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    for mode, reason in (("mmd", "config.train.batch_size=.*at least 2 images in each"), ("beta1", None)):
        config = digits_config(mode)
        config.update_from_flattened_dict(split)
        with pytest.raises(UserError, match=reason) if reason else nullcontext():
            build(config)


@pytest.mark.parametrize("name", ["nowhere.npz", "other.npz"])
def test_a_file_without_weights_is_refused_before_a_job_starts(tmp_path, name):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    config = base_config()
    config.evaluate.inception = str(tmp_path / name)
    with pytest.raises(UserError, match=f"config.evaluate.inception: .*{name}.*inception_weights FILE.pth OUT.npz"):
        check_settings(config)


EDGE, OF_MODEL = {"quality.samplers": "ddim:5:information"}, {"chains.samplers": "model-ddim:3"}
FOLDERS = [
    *((config, "space.workdir", {}, "holds no space") for config in (exact, latent_diffusion, probes, spaces)),
    (probes, "chains.model", OF_MODEL | {"space.train": "quick"}, "config.chains.model=nowhere: no trained model"),
    (forward_process, "model.workdir", {}, "config.model.workdir=nowhere: no trained model there"),
    (latent_diffusion, "quality.exact", EDGE | {"space.train": "quick"}, "quality.exact=nowhere has no exact.json"),
]


@pytest.mark.parametrize(("file", "setting", "settings", "told"), FOLDERS, ids=lambda value: str(value)[:40])
def test_a_folder_that_is_none_is_told_before_data_are_read_or_a_space_is_trained(file, setting, settings, told):
    config = file.get_config()
    config.update_from_flattened_dict(settings | {setting: "nowhere"})
    with pytest.raises(UserError, match=told):
        check_ready(KINDS[config.kind], config, list(KINDS[config.kind].jobs))
    if setting == "quality.exact":
        check_ready(KINDS[config.kind], config, ["train"])  # other jobs do without


@pytest.mark.parametrize("file", [exact, latent_diffusion, probes])
def test_a_space_without_encodings_is_told_before_data_are_read(file, tmp_path):
    config = file.get_config()
    config.space.workdir = str(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"kind": "autoencoder"}))
    with pytest.raises(UserError, match="has no encoded images.*--jobs=encode"):
        KINDS[config.kind].check(config)


def test_settings_of_exact_curves_are_told_before_a_space_is_trained():
    for setting, value in {"exact.batch_size": 3, "diffusion.schedule": "cosine_continuous"}.items():
        config = exact.get_config()
        config.update_from_flattened_dict({"space.train": "quick", setting: value})
        with pytest.raises(UserError, match=f"{setting}={value!r}"):
            KINDS["exact"].check(config)
