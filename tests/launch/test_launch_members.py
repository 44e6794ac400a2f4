"""What a config file's get_sweep() lists: a name, a folder and a command each, and a sentence for each mistake."""

import pathlib
import re
import subprocess
import sys

import pytest
from launching import parse
from vdm_jax.configs import digits, mnist

from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import jobs_of
from vdm_jax.launch.members import check, load_sweep, make_members, names_of, select
from vdm_jax.launch.settings import read_config

pytestmark = pytest.mark.usefixtures("in_the_checkout")


def members(*arguments):
    return make_members(parse("--sweep", *arguments), KINDS)


def config_file(folder: pathlib.Path, sweep: str) -> pathlib.Path:
    """A config file of the digits, with what `get_sweep` returns."""
    file = folder / "own.py"
    file.write_text(f"from vdm_jax.configs.digits import get_config\n\n\ndef get_sweep():\n    return {sweep}\n")
    return file


def test_the_blogs_columns_and_every_rate_mode_with_three_seeds():
    assert names_of(mnist.get_sweep()) == list(mnist.VARIANTS)
    names = names_of(digits.get_sweep())
    assert names[:3] == ["target,seed=0", "target,seed=1", "target,seed=2"] and len(names) == 3 * len(digits.VARIANTS)


def test_members_are_what_their_commands_say(tmp_path):
    sweep = '[{"variant": "none", "train.seed": 1}, {"rate.target_nats": 5.0, "train.clip": 2, "train.seed": 1}]'
    file = config_file(tmp_path, sweep)
    found = members(f"--config={file}", f"--workdir={tmp_path}", "--config.model.unet.zero_init=true")
    assert [member.name for member in found] == ["none,seed=1", "target_nats=5,clip=2,seed=1"]
    assert [member.workdir for member in found] == [tmp_path / member.name for member in found]
    expected = digits.get_config(), digits.get_config("none")
    expected[0].update_from_flattened_dict({"rate.target_nats": 5.0, "train.clip": 2.0})
    for config, member in zip(reversed(expected), found, strict=True):
        config.update_from_flattened_dict({"train.seed": 1, "model.unet.zero_init": True})
        assert member.config == config
        typed = parse(*member.command(["python", "launch.py"], ["train", "report"])[2:])
        assert (typed.config, typed.workdir, typed.jobs) == (config, member.workdir, ["train", "report"])


def test_what_is_typed_is_left_out_of_members_that_do_not_read_it(capsys):
    found = {member.name: member for member in members("--config.rate.target_nats=5", "--dry_run")}
    assert found["target,seed=0"].config.rate.target_nats == 5 != found["none,seed=0"].config.rate.target_nats
    assert any("target_nats" in word for word in found["target,seed=0"].flags)
    assert not any("target_nats" in word for word in found["none,seed=0"].flags)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("# sweep: rate.target_nats is left out where it is not read, 36 of 42 members: beta1,seed=0")


@pytest.mark.parametrize(
    ("sweep", "typed", "told"),
    [
        (
            '[{"variant": "none", "rate.beta": 2.0}]',
            "",
            "sweep member 'none,beta=2': config.rate.beta=2.0 has no",
        ),
        ('[{"variant": "none"}, {"variant": "target"}]', "--config.rate.beta=2", "no member of this sweep reads it"),
    ],
)
def test_a_setting_without_effect_is_refused(tmp_path, sweep, typed, told):
    file = config_file(tmp_path, sweep)
    with pytest.raises(UserError, match=re.escape(told)):
        members(f"--config={file}", *filter(None, [typed]))


def test_default_folders():
    assert members()[0].workdir == pathlib.Path("results/runs/digits-sweep/target,seed=0")
    assert members("--config=configs/mnist.py")[0].workdir == pathlib.Path("results/runs/mnist-sweep/svdm-oe++")


def test_a_variant_typed_is_that_of_members_without_one(tmp_path):
    file = config_file(tmp_path, '[{"train.seed": 1}, {"train.seed": 2}]')
    assert {member.config.rate.mode for member in members(f"--config={file}:warmup")} == {"warmup"}


def test_members_have_jobs_of_their_own_unless_some_are_typed(tmp_path):
    file = tmp_path / "own.py"
    variants = '[{"variant": "quick"}, {"variant": "quick-exact"}, {"variant": "quick-backward-ddim"}]'
    file.write_text(f"from vdm_jax.configs.probes import get_config\n\n\ndef get_sweep():\n    return {variants}\n")
    own = ["exact", "chains", "chain_probes", "report"]
    everything = list(jobs_of(KINDS["probes"]))
    assert [member.jobs for member in members(f"--config={file}")] == [everything, ["exact", "report"], own]
    equal = "'quick' and 'quick-exact' have the same settings under --jobs=exact,chains,report, and differ without"
    with pytest.raises(UserError, match=equal):
        members(f"--config={file}", "--jobs=exact,chains,report")


def test_jobs_that_are_typed_are_those_of_all_members(tmp_path):
    file = tmp_path / "own.py"
    variants = '[{"variant": "quick-exact"}, {"variant": "quick-backward-ddim"}]'
    file.write_text(f"from vdm_jax.configs.probes import get_config\n\n\ndef get_sweep():\n    return {variants}\n")
    typed = members(f"--config={file}", "--jobs=report,exact,train")
    assert [member.jobs for member in typed] == [["exact", "train", "report"]] * 2


def test_a_sweep_is_of_one_kind(tmp_path):
    file = tmp_path / "own.py"
    lines = ["from vdm_jax.configs import digits, probes", "def get_config(variant=''):"]
    lines += ["    return probes.get_config() if variant == 'probes' else digits.get_config(variant)"]
    lines += ["def get_sweep():", "    return [{'variant': 'none'}, {'variant': 'probes'}]"]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="member 'probes' is of kind 'probes', the file without a variant 'vae_vdm'"):
        members(f"--config={file}")


def test_names_are_safe_and_stay_when_the_sweep_grows():
    assert names_of([{"data.dir": "/a b/$c"}]) == ["dir=_a_b__c"]
    assert names_of([{}, {"variant": "../x"}, {"variant": "oe++"}]) == ["default", "_x", "oe++"]
    sweep = [{"variant": "a", "train.seed": 0}]
    assert names_of(sweep) == names_of([*sweep, {"variant": "a", "train.seed": 1}, {"variant": "b"}])[:1]


@pytest.mark.slow
def test_patterns_select():
    chosen = select(members(), "*,seed=1")
    assert [member.config.train.seed for member in chosen] == [1] * len(digits.VARIANTS)
    assert [member.name for member in select(members(), "none,seed=2")] == ["none,seed=2"]
    with pytest.raises(UserError, match=r"^--sweep=beta2,seed=0 matches no member; .*did you mean 'beta1,seed=0'\?$"):
        select(members(), "beta2,seed=0")


SWEEPS = [
    ("[]", "gives no list of flat overrides"),
    ("{'train.seed': 1}", "gives no list of flat overrides"),
    ("[1]", "gives no list of flat overrides"),
    ("[{'rate': {'mode': 'none'}}]", r"sets 'rate' to \{'mode': 'none'\}; expected a text, a number or a bool"),
    ("[{'model.w_dim': None}]", "sets 'model.w_dim' to None"),
    ("[{1: 2}]", "sets 1 to 2"),
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("[{'train.seed': 1}, {'train.seed': 1}]", "two members of the sweep are named 'seed=1'"),
    ("[{'variant': 'none'}, {'variant': 'NONE'}]", "two members of the sweep are named 'none'"),
    ("[{'train.sed': 1}]", r"^sweep member 'sed=1': unknown setting 'train.sed'; did you mean 'train.seed'\?"),
    ("[{'train.seed': 'x'}]", r"^sweep member 'seed=x': .*train\.seed=x"),
    ("[{'variant': 'noen'}]", r"^sweep member 'noen': variant='noen'; .*did you mean 'none'\?"),
    ("[{}, {'variant': 'target'}]", "sweep members 'default' and 'target' have the same settings$"),
]


@pytest.mark.parametrize(("sweep", "sentence"), SWEEPS, ids=lambda value: str(value)[:40])
def test_mistaken_sweeps(tmp_path, sweep, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        members(f"--config={config_file(tmp_path, sweep)}")
    assert "\n" not in str(caught.value)


def test_only_members_that_match_need_different_settings(tmp_path):
    file = config_file(tmp_path, "[{}, {'variant': 'target'}, {'variant': 'none'}]")
    assert len(make_members(parse(f"--config={file}", "--sweep=[nd]*"), KINDS)) == 3
    with pytest.raises(UserError, match="'default' and 'target' have the same settings"):
        make_members(parse(f"--config={file}", "--sweep=[dt]*"), KINDS)


def test_what_is_typed_and_makes_two_members_equal_is_named(tmp_path):
    """A control is beta1 with another encoder."""
    file = config_file(tmp_path, "[{'variant': 'beta1'}, {'variant': 'none'}, {'variant': 'control'}]")
    equal = "'beta1' and 'control' have the same settings under --config.model.encoder=te, and differ without; leave it"
    with pytest.raises(UserError, match=equal):
        members(f"--config={file}", "--config.model.encoder=te", "--config.train.clip=2")


def test_a_file_without_a_sweep():
    with pytest.raises(UserError, match=r"^configs/base\.py has no get_sweep\(\)$"):
        load_sweep("configs/base.py")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config.train.seed=3"], r"^--config\.train\.seed was given, but train\.seed is what members"),
        (["--config=configs/digits.py:none"], "^a variant was given, but variant is what members"),
        (["--config.train.sed=3"], r"^unknown setting 'train\.sed'; did you mean 'train\.seed'\?$"),
        (["--swep"], r"^unknown flag 'swep'; did you mean 'sweep'\?$"),
    ],
    ids=str,
)
def test_mistakes_on_the_command_line(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        members(*arguments)


@pytest.mark.slow
def test_settings_data_and_folders_are_looked_at_first(tmp_path):
    def refused(sentence, *arguments):
        with pytest.raises(UserError, match=sentence) as caught:
            check(KINDS, members(f"--workdir={tmp_path / 'sweep'}", *arguments)[:2], tmp_path / "sweep")
        assert "\n" not in str(caught.value)

    refused(r"^sweep member 'target,seed=0': .*did you mean 'cosine'\?", "--config.diffusion.schedule=cosin")
    refused(r"no mnist\.npz", "--config=configs/mnist.py", f"--config.data.dir={tmp_path}")
    of_a_need = "'ae-16-small,seed=0': needs/none: config.exact.batch_size=3; expected an even number"
    refused(of_a_need, "--config=configs/spaces.py", "--config.exact.batch_size=3")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "target,seed=1").write_text("no folder")
    refused("target,seed=1 is no folder")
    (tmp_path / "sweep" / "config.json").write_text("{}")
    refused("holds a run of its own")


def test_a_run_of_another_config_or_length_is_refused(whole, tmp_path):
    """A member's folder with what other settings left."""
    stored = read_config(whole[0] / "config.json")["train"]["num_steps"]
    assert stored < digits.get_config().train.num_steps
    (tmp_path / "target,seed=0").symlink_to(whole[0])
    one = members(f"--workdir={tmp_path}")[:1]
    with pytest.raises(UserError, match="^sweep member 'target,seed=0': workdir .* holds another config"):
        check(KINDS, one, tmp_path)


@pytest.mark.slow
def test_the_list_of_commands(tmp_path):
    """What `--dry_run` prints can be run line by line; nothing is left behind."""
    words = ["--sweep=none*", "--dry_run", f"--workdir={tmp_path / 'sweep'}", "--jobs=report,train"]
    done = subprocess.run([sys.executable, "launch.py", *words], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.endswith("--jobs=train,report  # train,report") for line in lines)
    assert f"--workdir={tmp_path / 'sweep'}/none,seed=2 --config.train.seed=2 " in lines[2]
    assert not (tmp_path / "sweep").exists()
