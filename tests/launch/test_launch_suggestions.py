"""What a mistyped setting, flag or value is taken for."""

import pytest
from launching import parse

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.config_files import load_config

pytestmark = pytest.mark.usefixtures("in_the_checkout")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train.lr", "train.learning_rate"),
        ("lr", "train.learning_rate"),
        ("model.lr", "train.learning_rate"),
        ("train.bs", "train.batch_size"),
        ("batch", "train.batch_size"),
        ("train.epochs", "train.num_steps"),
        ("train.steps", "train.num_steps"),
        ("train.wd", "train.weight_decay"),
        ("train.ema", "train.ema_decay"),
        ("train.beta1", "train.b1"),
        ("train.beta2", "train.b2"),
        ("train.grad_clip", "train.clip"),
        ("train.learningrate", "train.learning_rate"),
        ("train.LEARNING_RATE", "train.learning_rate"),
        ("train.warmup", "train.warmup_steps"),
        ("rate.target", "rate.target_nats"),
        ("sample.n_samples", "sample.num_images"),
        ("model.latent_dim", "model.w_dim"),
        ("diffusion.noise_schedule", "diffusion.schedule"),
        ("dataset", "data.name"),
    ],
)
def test_the_words_of_other_libraries_are_understood(typed, meant):
    with pytest.raises(UserError, match=f"^unknown setting '{typed}'; did you mean '{meant}'\\?$"):
        parse(f"--config.{typed}=1")


def test_a_former_name_leads_to_that_of_today():
    """Every renamed setting of every kind, as it was typed when it had that name."""
    for config in ("configs/probes.py", "configs/digits.py", "configs/ddpm.py", "configs/exact.py"):
        for old, new in KINDS[load_config(config).kind].renamed.items():
            if isinstance(new, str):
                with pytest.raises(UserError, match=f"did you mean '{new}'"):
                    parse(f"--config={config}", f"--config.{old}=1")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--output_dir=x", "workdir"),
        ("--out=x", "workdir"),
        ("--job=train", "jobs"),
        ("--dry-run", "dry_run"),
        ("--train.num_steps=3", "config.train.num_steps"),
        ("--lr=3", "config.train.learning_rate"),
        ("--timeout=3", "stop_after"),
    ],
)
def test_a_flag_that_is_none(typed, meant):
    with pytest.raises(UserError, match=f"^unknown flag .*; did you mean '{meant}'\\?$"):
        parse(typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("--config.sample.clip=maybe", "--config.sample.clip=maybe; expected True or False"),
        ("--config.train.num_steps=1.5", "--config.train.num_steps=1.5; expected a whole number"),
        ("--config.train.learning_rate=high", "--config.train.learning_rate=high; expected a number"),
        ("--config.model.w_dim=x", "--config.model.w_dim=x; expected a whole number"),
        ("--stop_after=soon", "--stop_after=soon; expected a number"),
        ("--dry_run=perhaps", "--dry_run=perhaps; expected True or False"),
    ],
)
def test_a_value_of_another_type(typed, expected):
    with pytest.raises(UserError) as caught:
        parse(typed)
    assert str(caught.value) == expected
