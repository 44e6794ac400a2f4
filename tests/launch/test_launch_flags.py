"""The command line, parsed in this process: what is asked for, and a sentence for each mistake."""

import json
import pathlib
import sys

import pytest
from launching import parse
from vdm_jax.configs import digits, mnist

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import flags
from vdm_jax.launch.config_files import DEFAULT, default_of, find, load_config, root
from vdm_jax.launch.kind import jobs_of

pytestmark = pytest.mark.usefixtures("in_the_checkout")


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
    assert found.jobs == list(jobs_of(KINDS["vae_vdm"]))


def test_a_variant_brings_its_jobs(tmp_path):
    chosen = "--config=configs/probes.py:quick-forward"
    found = parse(chosen, f"--workdir={tmp_path}")
    assert found.jobs == ["exact", "train", "probe", "report"] and not found.overrides
    assert parse(chosen, "--jobs=report,chains").jobs == ["report", "chains"]
    (tmp_path / "config.json").write_text(found.config.to_json())
    assert parse(f"--workdir={tmp_path}").jobs == found.jobs
    assert parse(chosen, "--config.jobs=exact, report").jobs == ["exact", "report"]
    for typed in ([], ["--jobs=exact"]):
        with pytest.raises(UserError, match=r"^job of config.jobs='prob'; expected one of .*did you mean 'probe'\?$"):
            parse(chosen, "--config.jobs=exact,prob", *typed)


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
    (["--config.train.nmu_steps=3"], r"^unknown setting 'train.nmu_steps'; did you mean 'train.num_steps'\?$"),
    (["--config=configs/mnist.py", "--config.train.nmu_steps=3"], r"'train.nmu_steps'; did you mean 'train.num_steps'"),
    (["--config.trian.num_steps=3"], r"^unknown setting 'trian.num_steps'; did you mean 'train.num_steps'\?$"),
    (["--config.num_steps=3"], r"^unknown setting 'num_steps'; did you mean 'train.num_steps'\?$"),
    (["--config.size=t"], r"^unknown setting 'size'; did you mean 'data.size'\?$"),
    (["--config.xyzzy=t"], r"^unknown setting 'xyzzy'$"),
    (["--confg.train.num_steps=3"], r"^unknown flag 'confg.train.num_steps'; did you mean 'config.train.num_steps'\?$"),
    (["--config", "--jobs=train"], r"^--config needs a file, such as "),
    (["--config"], r"^--config needs a file, such as "),
    (["--config="], r"^--config needs a file, such as "),
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
    (["--workdir="], r"^--workdir= names no folder"),
    (["--workdir=gs://bucket/run"], r"^--workdir=gs://bucket/run is an address; expected a folder"),
    (["--config.train={'num_steps': 3}"], r": train is a section; .* --config.train.accumulate=VALUE$"),
    (["--archive="], r"^--archive= names no folder"),
    (["--stop_after=inf"], r"^--stop_after=inf; expected seconds, .* at most 1e9$"),
    (["--config.kind=probes"], r"^config\.kind cannot be set; choose another --config$"),
    (["--config.name="], r"^--config\.name= is empty"),
    (["--wokdir=x"], r"'wokdir'.*workdir"),
    (["train"], r"unexpected argument 'train'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes(arguments, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        parse(*arguments)
    assert len(str(caught.value).splitlines()) == 1


def test_a_program_is_no_config(monkeypatch):
    monkeypatch.delitem(sys.modules, "config_config", raising=False)  # where ml_collections runs config files
    with pytest.raises(UserError, match=r"^launch\.py has no get_config\(variant\)$"):
        parse("--config=launch.py")


def test_a_config_file_is_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert parse("--config=configs/mnist.py:tvdm-se").config.name == "mnist-tvdm-se"
    with pytest.raises(UserError, match=r"'configs/mnits\.py' not found; .*did you mean 'configs/mnist\.py'\?"):
        parse("--config=configs/mnits.py")


def test_settings_may_stand_before_the_file_they_change():
    found = parse("--config.train.num_steps=7", "--jobs=report", "--config=configs/mnist.py:tvdm-se")
    assert (found.config.name, found.config.train.num_steps, found.jobs) == ("mnist-tvdm-se", 7, ["report"])


def test_one_parse_leaves_nothing_to_the_next():
    parse("--config.train.num_steps=3", "--jobs=report")
    assert parse().config.train.num_steps == digits.get_config().train.num_steps
    assert parse().jobs == list(jobs_of(KINDS["vae_vdm"]))


def test_a_workdir_brings_its_own_config(tmp_path):
    workdir = stored(tmp_path, **{"train.num_steps": 11})
    found = parse(f"--workdir={workdir}", "--jobs=evaluate", "--config.evaluate.passes=2", "--config.model.w_dim=5")
    assert (found.config.name, found.config.train.num_steps) == ("digits-unconditional", 11)
    assert (found.config.evaluate.passes, found.config.model.w_dim) == (2, 5)
    assert found.config.is_locked and found.workdir == workdir
    assert parse(f"--workdir={workdir}", "--config=configs/mnist.py").config.name == "mnist-mvdm-te"
    assert parse(f"--workdir={workdir / 'new'}").config.name == "digits-target"


def test_every_value_of_a_workdirs_config_comes_back(tmp_path):
    config = mnist.get_config("mvdm-te")  # settings without a value, where the default run has one
    config.update_from_flattened_dict({"train.clip": 2, "data.num_levels": 4})
    (tmp_path / "config.json").write_text(config.to_json())
    assert parse(f"--workdir={tmp_path}").config == config


def test_an_unknown_key_beside_a_workdirs_config(tmp_path):
    workdir = stored(tmp_path)
    with pytest.raises(UserError, match=r"unknown setting 'evaluate.pases'; did you mean 'evaluate.passes'\?"):
        parse(f"--workdir={workdir}", "--config.evaluate.pases=2")


def test_settings_newer_than_a_workdirs_config_keep_their_default(tmp_path, capsys):
    workdir = stored(tmp_path, **{"train.num_steps": 11})
    parse(f"--workdir={workdir}")
    config = json.loads((workdir / "config.json").read_text())
    del config["evaluate"]["passes"], config["sample"]
    (workdir / "config.json").write_text(json.dumps(config))
    assert not capsys.readouterr().out
    found = parse(f"--workdir={workdir}").config
    told = capsys.readouterr().out
    assert told.startswith(f"{workdir / 'config.json'} has no value for evaluate.passes, sample") and "more" in told
    assert (found.evaluate.passes, found.train.num_steps) == (digits.get_config().evaluate.passes, 11)
    assert found.sample == digits.get_config().sample
    assert parse(f"--workdir={workdir}", "--config.evaluate.passes=2").config.evaluate.passes == 2


NUM_STEPS = digits.get_config().train.num_steps
FOREIGN = r"config\.json is no config of this program: "


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": 3}, FOREIGN + "data is 3; expected a section"),
        ({"train": {"num_steps": "x"}}, FOREIGN + rf"train.num_steps is 'x'; expected a value like {NUM_STEPS}"),
        ({"train": {"num_steps": True}}, FOREIGN + "train.num_steps is True"),
        ({"train": {"num_steps": {"a": 1}}}, FOREIGN + "train.num_steps is "),
        ({"model": {"w_dim": "x"}}, FOREIGN + "model.w_dim is 'x'"),
        ({"train": {"nmu_steps": 3}}, FOREIGN + r"unknown setting 'train.nmu_steps'; did you mean 'train.num_steps'\?"),
        ({"name": 3}, FOREIGN + "name is 3"),
    ],
    ids=str,
)
def test_a_workdirs_config_with_values_that_do_not_fit(tmp_path, change, sentence):
    config = json.loads((stored(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=sentence) as caught:
        parse(f"--workdir={tmp_path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "cannot be read"), ("[1]", "holds no config"), ('{"name": "x"}', "no section 'data'")]
)
def test_a_workdirs_config_that_is_none(tmp_path, text, sentence):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        parse(f"--workdir={tmp_path}")
    assert str(tmp_path / "config.json") in str(caught.value)


def test_pieces_of_a_run():
    found = parse("--stop_after=480", "--archive=kept")
    assert found.options == (480.0, pathlib.Path("kept"))
    assert parse().options == (None, None)
    mistakes = {
        ("--stop_after=0",): "above 0",
        ("--sweep", "--archive=kept"): "not for a sweep",
        ("--jobs=evaluate", "--archive=kept"): "need a training job in --jobs",
    }
    for mistake, told in mistakes.items():
        with pytest.raises(UserError, match=told):
            parse(*mistake)


def test_folders_become_absolute_and_addresses_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("--config.data.dir=kept").config.data.dir == str(tmp_path / "kept")
    assert parse("--config.data.dir=~/kept").config.data.dir == str(pathlib.Path.home() / "kept")
    for same in ("gs://bucket/data", "/data", ""):
        assert parse(f"--config.data.dir={same}").config.data.dir == same
    probes = parse("--config=configs/probes.py", "--config.chains.model=runs/a").config
    assert probes.chains.model == str(tmp_path / "runs" / "a")


OWN = "from vdm_jax.configs.{0} import get_config as base\n\n\ndef get_config(variant=''):\n    config = base()\n"


def test_a_workdirs_config_finds_its_file_beside_own_configs(tmp_path, monkeypatch):
    """An own configs/digits.py does not hide probes.py; an own probes.py without a section is not taken."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "configs" / "digits.py").write_text(OWN.format("digits") + "    return config\n")
    (tmp_path / "run" / "config.json").write_text(load_config("configs/probes.py").to_json())
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "configs" / "probes.py"
    theirs, lacking = str(root() / "configs" / "probes.py"), "    with config.unlocked():\n        del config.chains\n"
    assert default_of("run", find(DEFAULT)) == theirs and parse("--workdir=run").config.kind == "probes"
    own.write_text(OWN.format("probes") + lacking + "    return config\n")
    assert default_of("run", find(DEFAULT)) == theirs
    own.write_text(OWN.format("probes") + "    return config\n")
    assert default_of("run", find(DEFAULT)) == "configs/probes.py"


@pytest.mark.parametrize("typed", [["--workdir=A"], ["--workdir", "A"], ["--workdir=B", "-workdir", "A"]])
def test_a_workdir_is_found_however_it_is_typed(typed):
    assert flags._typed_workdir(["launch.py", *typed, "--jobs=report"]) == "A"
