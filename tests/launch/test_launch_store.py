"""A run's folder belongs to one config."""

import json
import shutil

import jax.numpy as jnp
import pytest
from vdm_jax.configs import digits, mnist, probes

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import store
from vdm_jax.launch.config_files import load_config
from vdm_jax.launch.settings import differences, plain, read_config, value_of, with_new_names
from vdm_jax.train.checkpoint import Checkpointer
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import init_state

DATA = "0123456789ab"


def check(workdir, config, data=DATA):
    """Before a launch, whatever its jobs: what any job has kept is compared."""
    store.check(KINDS, config, workdir, {"data": data}, None, [])


def owner(config, data=DATA):
    return store.owner(KINDS[config.kind], "train", config, {"data": data})


def claim(workdir, config):
    """As of a training that has reached its first checkpoint."""
    store.claim(KINDS["vae_vdm"], "train", config, workdir, {"data": DATA})
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
    with pytest.raises(UserError, match="holds exact.jsonl of another kind of run; choose another --workdir"):
        check(tmp_path, digits.get_config())


def test_a_claimed_folder_is_its_owners(tmp_path):
    workdir = tmp_path / "a" / "run"
    claim(workdir, digits.get_config())
    assert read_config(workdir / "config.json") == json.loads(digits.get_config().to_json())
    check(workdir, digits.get_config())


def without(path, *names, of="settings"):
    """Takes settings out of a stored file, as if it were older than these."""
    stored = read_config(path)
    for name in names:
        section, _, last = f"{of}.{name}".strip(".").rpartition(".")
        del value_of(stored, section)[last]
    path.write_text(json.dumps(stored))


def test_a_setting_that_came_after_the_run_has_its_implied_value(tmp_path):
    claim(tmp_path, digits.get_config())
    without(tmp_path / "claims" / "train.json", "model.unet.network", "data.split")
    check(tmp_path, digits.get_config())
    with pytest.raises(UserError, match=r"model\.unet\.network is 'vdm' there and 'multiscale' here"):
        check(tmp_path, changed(digits.get_config(), model__unet__network="multiscale"))


def test_a_setting_without_an_implied_value_is_a_difference_but_in_version_0_1(tmp_path):
    claim(tmp_path, digits.get_config())
    without(tmp_path / "claims" / "train.json", "rate.mmd_weight")
    with pytest.raises(UserError, match=r"rate\.mmd_weight is None there and"):
        check(tmp_path, digits.get_config())
    shutil.rmtree(tmp_path / "claims")
    without(tmp_path / "config.json", "rate.mmd_weight", of="")
    check(tmp_path, digits.get_config())


@pytest.mark.parametrize(
    ("lacks", "deltas", "told"),
    [
        ("model.unet.network", {}, []),
        ("model.unet.network", {"model__unet__network": "multiscale"}, ["model.unet.network"]),
        ("sample.num_steps", {}, ["sample.num_steps"]),
    ],
)
def test_a_record_that_lacks_a_setting(tmp_path, lacks, deltas, told):
    write_json(tmp_path / "evaluate.json", {"settings": plain(digits.get_config())})
    without(tmp_path / "evaluate.json", lacks)
    kind, settings = KINDS["vae_vdm"], plain(changed(digits.get_config(), **deltas))
    record = store.read_record(tmp_path, kind.jobs["evaluate"])
    found = store.record_differences(kind, "evaluate", settings, tmp_path, record)
    assert [line.partition(" ")[0] for line in found] == told


def test_archives_of_version_0_1_keep_their_owner():
    """Digests of commit 5802199."""
    of = {"digits.py:target": "d84ea51384eb330a", "ddpm.py:digits-linear": "97bf13afee21ba79"}
    for name, digest in of.items():
        assert owner(load_config(f"configs/{name}"), "abc") == digest
    assert owner(changed(digits.get_config(), model__unet__network="multiscale"), "abc") != of["digits.py:target"]


def test_a_relative_folder_of_an_older_record_is_that_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind, config = KINDS["probes"], changed(probes.get_config(), chains__model=str(tmp_path / "model"))
    for there, told in (("model", 0), ("another", 1)):
        record = {"settings": plain(changed(probes.get_config(), chains__model=there))}
        assert len(store.record_differences(kind, "chains", plain(config), tmp_path, record)) == told


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
    assert owner(moved) == owner(mnist.get_config())
    with pytest.raises(UserError, match="holds results of data .* but the data now are"):
        check(tmp_path, moved, "another")


def test_without_a_checkpoint_there_is_no_run_yet(tmp_path):
    store.claim(KINDS["vae_vdm"], "train", mnist.get_config(), tmp_path, {"data": DATA})
    check(tmp_path, digits.get_config(), "another")


def test_other_data_of_the_same_name_are_refused(tmp_path):
    claim(tmp_path, digits.get_config())
    with pytest.raises(UserError, match=f"holds results of data {DATA}, but the data now are another; choose"):
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
def test_a_claim_that_cannot_be_read(tmp_path, text):
    claim(tmp_path, digits.get_config())
    (tmp_path / "claims" / "train.json").write_text(text)
    with pytest.raises(UserError, match=r"claims/train\.json .*choose another --workdir"):
        check(tmp_path, digits.get_config())


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_config_that_cannot_be_read(tmp_path, text):
    claim(tmp_path, digits.get_config())
    shutil.rmtree(tmp_path / "claims")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json .*choose another --workdir"):
        check(tmp_path, digits.get_config())


def test_a_claim_that_states_nothing_is_of_another_config(tmp_path):
    claim(tmp_path, digits.get_config())
    (tmp_path / "claims" / "train.json").write_text("{}")
    with pytest.raises(UserError, match="holds another config"):
        check(tmp_path, digits.get_config())


def test_a_folder_of_an_older_version_belongs_to_its_config(tmp_path):
    """It has no claims: config.json and data.json count."""
    claim(tmp_path, digits.get_config())
    shutil.rmtree(tmp_path / "claims")
    check(tmp_path, digits.get_config())
    with pytest.raises(UserError, match=r"train\.seed is 0 there and 1 here"):
        check(tmp_path, changed(digits.get_config(), train__seed=1))
    with pytest.raises(UserError, match="holds results of data .* but the data now are"):
        check(tmp_path, digits.get_config(), "another")


def test_lines_of_an_older_version_state_their_own_settings(tmp_path):
    """A later job of that version may have written other settings into config.json."""
    write_json(tmp_path / "config.json", plain(changed(probes.get_config(), chains__every=3)))
    write_json(tmp_path / "data.json", {"fingerprint": DATA})
    stated = {"step": -1, "settings": {"chains": {"seed": 0, "every": 2}, "timesteps": [0, 1000]}}
    (tmp_path / "chains.jsonl").write_text(json.dumps(stated) + "\n")
    check(tmp_path, changed(probes.get_config(), chains__every=2, chains__samplers="ddim:9"))
    with pytest.raises(UserError, match=r"chains\.every is 2 there and 1 here"):
        check(tmp_path, probes.get_config())


@pytest.mark.parametrize("kept", ["exact.jsonl", "probe", "chains.jsonl", "chain_probes"])
def test_a_folder_of_probes_knows_its_data_by_content(tmp_path, kept):
    kind, config = KINDS["probes"], changed(probes.get_config(), chain_probes__samplers="exact")
    name = next(name for name, job in kind.jobs.items() if kept in job.keeps)
    store.claim(kind, name, config, tmp_path, {"data": "sprites dsprites 0123"})
    file = tmp_path / kept if "." in kept else tmp_path / kept / "stored.npz"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    check(tmp_path, config, "sprites dsprites 0123")
    check(tmp_path, changed(config, data__dir="moved"), "sprites dsprites 0123")
    with pytest.raises(UserError, match="of data sprites dsprites 0123, but the data now are sprites dsprites 4567"):
        check(tmp_path, config, "sprites dsprites 4567")


def test_a_renamed_setting_is_known_by_its_older_name():
    wanted, renamed = {"part": {"new": 3, "seed": 0}}, {"part.old": "part.new"}
    for stored, different in (({"old": 3, "seed": 0}, False), ({"old": 4, "seed": 0}, True), ({"seed": 0}, False)):
        read = with_new_names({"part": stored}, renamed, wanted)
        assert bool(differences(read, wanted, ["part"])) == different


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        store.claim(KINDS["vae_vdm"], "train", digits.get_config(), tmp_path / "file", {"data": DATA})


@pytest.mark.slow
def test_the_kind_of_a_run_is_that_of_its_claims(tmp_path):
    claim(tmp_path, digits.get_config())
    stated = read_config(tmp_path / "claims" / "train.json") | {"kind": "ddpm"}
    (tmp_path / "claims" / "train.json").write_text(json.dumps(stated))
    with pytest.raises(UserError, match="kind is 'ddpm' there and 'vae_vdm' here"):
        check(tmp_path, digits.get_config())
