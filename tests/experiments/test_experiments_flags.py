"""The command line, parsed in this process: what is asked for, and a sentence for each mistake."""

import json
import pathlib

import pytest

from configs import digits
from vdm_jax.base.errors import UserError
from vdm_jax.experiments import flags
from vdm_jax.experiments.jobs import JOBS

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def parse(*arguments) -> flags.Arguments:
    return flags.parse(["launch.py", *map(str, arguments)], str(ROOT / "configs" / "digits.py"), JOBS)


def stored(workdir: pathlib.Path, **overrides) -> pathlib.Path:
    """A workdir of the unconditional digits run, with overrides."""
    config = digits.get_config("unconditional")
    config.update_from_flattened_dict(overrides)
    (workdir / "config.json").write_text(config.to_json())
    return workdir


def test_nothing_asked_is_the_default_run():
    found = parse()
    assert found.config == digits.get_config() and found.config.is_locked
    assert found.workdir == pathlib.Path("results/runs/digits-target")
    assert found.jobs == ["train", "evaluate", "sample", "report"]


def test_variants_overrides_workdir_and_jobs():
    found = parse(
        "--config=configs/mnist.py:tvdm-se",
        "--config.train.num_steps=7",
        "--config.train.learning_rate=1e-3",
        "--config.model.w_dim=3",
        "--config.model.unet.zero_init=true",
        "--workdir=/somewhere/else",
        "--jobs=report,train",
    )
    assert (found.config.model.unet.size, found.config.model.encoder) == ("t", "se")
    assert (found.config.train.num_steps, found.config.train.learning_rate) == (7, 1e-3)
    assert (found.config.model.w_dim, found.config.model.unet.zero_init) == (3, True)
    assert found.workdir == pathlib.Path("/somewhere/else") and found.jobs == ["report", "train"]
    assert parse("--config=configs/mnist.py:tvdm-se").workdir == pathlib.Path("results/runs/mnist-tvdm-se")


def test_values_may_stand_apart():
    found = parse("--config", "configs/mnist.py:mvdm-none", "--config.train.num_steps", "5", "--jobs", "sample")
    assert (found.config.name, found.config.train.num_steps, found.jobs) == ("mnist-mvdm-none", 5, ["sample"])


def test_a_checkpoint_is_named_or_numbered():
    for which in ("latest", "1200"):
        assert parse(f"--config.evaluate.checkpoint={which}").config.evaluate.checkpoint == which


MISTAKES = [
    (["--config.train.nmu_steps=3"], r"unknown setting 'nmu_steps'; Did you mean \"num_steps\""),
    (["--config=configs/mnist.py", "--config.train.nmu_steps=3"], r"unknown setting 'nmu_steps'.*\"num_steps\""),
    (["--config.trian.num_steps=3"], r"unknown setting 'trian'; Did you mean \"train\""),
    (["--config.train.num_steps=many"], r"--config\.train\.num_steps=many"),
    (["--config.train.num_steps=1.5"], r"--config\.train\.num_steps=1\.5"),
    (["--config.train=3"], r"--config\.train=3"),
    (["--config=configs/digits.py:taget"], r"variant='taget'; expected one of .*did you mean 'target'\?"),
    (["--config=configs/digit.py"], r"'configs/digit\.py' not found; .*did you mean 'configs/digits\.py'\?"),
    (["--config", "configs/digit.py:none"], r"'configs/digit\.py' not found"),
    (["--config=pyproject.toml"], r"^the config file cannot be run: "),
    (["--jobs=trian"], r"job='trian'; expected one of .*did you mean 'train'\?"),
    (["--jobs=train,evalute"], r"job='evalute'.*did you mean 'evaluate'\?"),
    (["--jobs="], r"no job; expected --jobs with any of"),
    (["--wokdir=x"], r"'wokdir'.*workdir"),
    (["train"], r"unexpected argument 'train'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes(arguments, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        parse(*arguments)
    assert len(str(caught.value).splitlines()) == 1


def test_one_parse_leaves_nothing_to_the_next():
    parse("--config.train.num_steps=3", "--jobs=report")
    assert parse().config.train.num_steps == digits.get_config().train.num_steps
    assert parse().jobs == list(JOBS)


def test_a_workdir_brings_its_own_config(tmp_path):
    workdir = stored(tmp_path, **{"train.num_steps": 11})
    found = parse(f"--workdir={workdir}", "--jobs=evaluate", "--config.evaluate.passes=2", "--config.model.w_dim=5")
    assert (found.config.name, found.config.train.num_steps) == ("digits-unconditional", 11)
    assert (found.config.evaluate.passes, found.config.model.w_dim) == (2, 5)
    assert found.config.is_locked and found.workdir == workdir
    assert parse(f"--workdir={workdir}", "--config=configs/mnist.py").config.name == "mnist-mvdm-te"
    assert parse(f"--workdir={workdir / 'new'}").config.name == "digits-target"


def test_an_unknown_key_beside_a_workdirs_config(tmp_path):
    workdir = stored(tmp_path)
    with pytest.raises(UserError, match=r"unknown setting 'pases'; Did you mean \"passes\""):
        parse(f"--workdir={workdir}", "--config.evaluate.pases=2")
    config = json.loads((workdir / "config.json").read_text())
    del config["evaluate"]["passes"]
    (workdir / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config\.evaluate\.passes is not in .*config\.json"):
        parse(f"--workdir={workdir}", "--config.evaluate.passes=2")


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "cannot be read"), ("[1]", "holds no config"), ('{"name": "x"}', "no section 'data'")]
)
def test_a_workdirs_config_that_is_none(tmp_path, text, sentence):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        parse(f"--workdir={tmp_path}")
    assert str(tmp_path / "config.json") in str(caught.value)
