"""A run's folder belongs to one config."""

import json

import jax.numpy as jnp
import pytest

from configs import digits, mnist
from vdm_jax.base.errors import UserError
from vdm_jax.launch import store as workdirs
from vdm_jax.launch.store import read_config
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import init_state

DATA = "0123456789ab"


def check(workdir, config, data=DATA):
    workdirs.check(workdir, config, data)


def claim(workdir, config):
    """As a training does that has got to its first checkpoint."""
    workdirs.claim(workdir, config, DATA)
    with Checkpointer(workdir / "checkpoints") as checkpointer:
        checkpointer.save(init_state({"a": jnp.zeros(1)}, make_optimizer(1.0, num_steps=1)))


def changed(config, **deltas):
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in deltas.items()})
    return config


def test_an_empty_or_absent_folder_is_anyones(tmp_path):
    check(tmp_path, digits.get_config())
    check(tmp_path / "absent", digits.get_config())
    assert not (tmp_path / "absent").exists()


def test_a_folder_of_measurements_is_no_trainings(tmp_path):
    (tmp_path / "exact.jsonl").write_text("")
    with pytest.raises(UserError, match="holds measurements, exact.jsonl; choose another --workdir"):
        check(tmp_path, digits.get_config())


def test_a_claimed_folder_is_its_owners(tmp_path):
    workdir = tmp_path / "a" / "run"
    claim(workdir, digits.get_config())
    assert read_config(workdir / "config.json") == json.loads(digits.get_config().to_json())
    check(workdir, digits.get_config())


def test_a_setting_that_came_after_the_run_is_no_difference(tmp_path):
    claim(tmp_path, digits.get_config())
    stored = read_config(tmp_path / "config.json")
    del stored["rate"]["mmd_weight"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    check(tmp_path, digits.get_config())


@pytest.mark.parametrize(
    ("key", "value"),
    [("data__downsample", 2), ("model__dropout", 0.2), ("diffusion__gamma_max", 6.0), ("rate__mode", "none"),
     ("train__seed", 1), ("model__unet__channels", 8)],
)  # fmt: skip
def test_another_identity_is_refused_and_named(tmp_path, key, value):
    claim(tmp_path, digits.get_config())
    there = digits.get_config()
    name = key.replace("__", ".")
    for part in name.split("."):
        there = there[part]
    with pytest.raises(UserError) as caught:
        check(tmp_path, changed(digits.get_config(), **{key: value}))
    assert str(caught.value) == (
        f"workdir {tmp_path} holds another config: {name} is {there!r} there and {value!r} here; "
        "choose another --workdir or set these back"
    )


def test_data_may_lie_elsewhere(tmp_path):
    """On another machine they do; what they are is known by their content."""
    claim(tmp_path, mnist.get_config())
    moved = changed(mnist.get_config(), data__dir="elsewhere")
    check(tmp_path, moved)
    assert workdirs.owner(moved, DATA) == workdirs.owner(mnist.get_config(), DATA)
    with pytest.raises(UserError, match="other data of that name"):
        check(tmp_path, moved, "another")


def test_without_a_checkpoint_there_is_no_run_yet(tmp_path):
    workdirs.claim(tmp_path, mnist.get_config(), DATA)
    check(tmp_path, digits.get_config(), "another")


def test_other_data_of_the_same_name_are_refused(tmp_path):
    claim(tmp_path, digits.get_config())
    with pytest.raises(UserError, match=f"other data of that name: {DATA} there, another here"):
        check(tmp_path, digits.get_config(), "another")


def test_other_jobs_may_be_set_otherwise(tmp_path):
    claim(tmp_path, digits.get_config())
    check(tmp_path, changed(digits.get_config(), evaluate__passes=1, sample__num_steps=3, name="another"))


def test_three_differences_are_told(tmp_path):
    claim(tmp_path, digits.get_config())
    with pytest.raises(UserError) as caught:
        check(tmp_path, mnist.get_config())
    assert str(caught.value).count(" there and ") == 3 and "\n" not in str(caught.value)


def test_a_run_of_constant_learning_rate_may_be_made_longer(tmp_path):
    claim(tmp_path, mnist.get_config())
    check(tmp_path, changed(mnist.get_config(), train__num_steps=200_000))
    with pytest.raises(UserError, match=r"train\.seed is 0 there and 1 here"):
        check(tmp_path, changed(mnist.get_config(), train__num_steps=200_000, train__seed=1))


def test_a_run_that_ends_at_zero_learning_rate_may_not(tmp_path):
    assert digits.get_config().train.learning_rate_schedule == "cosine"
    claim(tmp_path, digits.get_config())
    with pytest.raises(UserError, match=r"train\.num_steps is \d+ there and 9 here"):
        check(tmp_path, changed(digits.get_config(), train__num_steps=9))


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_config_that_cannot_be_read(tmp_path, text):
    claim(tmp_path, digits.get_config())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json .*choose another --workdir"):
        check(tmp_path, digits.get_config())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        workdirs.claim(tmp_path / "file", digits.get_config(), DATA)
