"""What is left to do is told by the files of a workdir."""

import json
import os
import shutil

import launching
import pytest
from vdm_jax.configs import digits

from vdm_jax.experiments.common.jobs import is_trained
from vdm_jax.experiments.common.sample import sample
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.launch.kind import jobs_of
from vdm_jax.launch.status import is_compared, remaining

KIND = KINDS["vae_vdm"]
ALL = list(jobs_of(KIND))


def outstanding(config, workdir, jobs):
    return remaining(KIND, config, workdir, jobs)


def is_evaluated(config, workdir):
    return is_compared(KIND, config, workdir)


def config(**deltas):
    """That of the shared run, with deltas."""
    config = digits.get_config()
    config.update_from_flattened_dict(launching.SMALL | {name.replace("__", "."): v for name, v in deltas.items()})
    return config


@pytest.fixture
def copy(whole, tmp_path):
    """The shared run, to be spoilt; times of files are kept."""
    return shutil.copytree(whole[0], tmp_path / "copy")


def test_a_whole_run_has_nothing_left(whole):
    assert outstanding(config(), whole[0], ALL) == []
    assert is_trained(config(), whole[0]) and is_evaluated(config(), whole[0])
    assert outstanding(config(name="another"), whole[0], ALL) == []


def test_an_empty_folder_has_everything_left(tmp_path):
    assert outstanding(config(), tmp_path / "nothing", ["report", "train"]) == ["train", "report"]
    assert outstanding(config(), tmp_path / "nothing", ALL) == ALL
    assert outstanding(config(), tmp_path / "nothing", ["evaluate"]) == ["evaluate"]


@pytest.mark.parametrize(
    ("deltas", "left"),
    [
        ({"evaluate__passes": 2}, ["evaluate", "report"]),
        ({"sample__num_steps": 5}, ["evaluate", "sample", "report"]),
        ({"evaluate__weights": "raw"}, ["evaluate", "sample", "report"]),
        ({"train__num_steps": 61}, ALL),
    ],
    ids=str,
)
def test_other_settings_are_to_be_done_again(whole, deltas, left):
    assert outstanding(config(**deltas), whole[0], ALL) == left


def test_another_seed_is_not_what_was_evaluated(whole):
    assert outstanding(config(train__seed=1), whole[0], ["evaluate"]) == ["evaluate"]


def test_a_better_checkpoint_has_come_since(copy):
    values = json.loads((copy / "evaluate.json").read_text())
    (copy / "evaluate.json").write_text(json.dumps(values | {"checkpoint_step": values["checkpoint_step"] + 5}))
    assert outstanding(config(), copy, ["train", "evaluate", "sample"]) == ["evaluate"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("evaluate.json", ["evaluate", "report"]),
        ("samples/about.json", ["sample", "report"]),
        ("report/index.html", ["report"]),
        ("data.json", ["evaluate", "sample", "report"]),
        ("checkpoints", ALL),
    ],
)
def test_what_is_missing_is_made_again(copy, name, left):
    path = copy / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert outstanding(config(), copy, ALL) == left


def test_half_a_file_is_none(copy):
    os.truncate(copy / "evaluate.json", 1000)
    assert outstanding(config(), copy, ALL) == ["evaluate", "report"]


def test_a_report_is_younger_than_what_it_shows(copy):
    later = (copy / "report" / "index.html").stat().st_mtime + 10
    os.utime(copy / "samples" / "about.json", (later, later))
    assert outstanding(config(), copy, ALL) == ["report"]


def test_a_training_that_has_not_come_to_its_end(copy):
    shutil.rmtree(copy / "checkpoints" / str(launching.NUM_STEPS))
    assert not is_trained(config(), copy) and outstanding(config(), copy, ALL) == ALL


def test_other_data_of_the_same_name(copy):
    (copy / "data.json").write_text('{"fingerprint": "another"}')
    assert outstanding(config(), copy, ALL) == ["evaluate", "sample", "report"]


def test_a_sampling_that_breaks_off_is_to_be_done_again(copy):
    def breaks_off(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(build(config()), copy, draw=breaks_off)
    assert outstanding(config(), copy, ALL) == ["sample", "report"]
