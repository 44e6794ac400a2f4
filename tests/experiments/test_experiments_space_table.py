"""The kind spaces: the runs that a table needs, what it refuses, and the numbers of table.json."""

import json

import numpy as np
import pytest
from space_records import DATA, write, write_probes, write_space

from configs import autoencoder, spaces
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.spaces.build import build_spaces
from vdm_jax.experiments.spaces.table import table
from vdm_jax.launch.run import needs_of, run
from vdm_jax.launch.status import remaining

KIND = KINDS["spaces"]


def config_of(**settings):
    config = spaces.get_config("quick")
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in settings.items()})
    return config


@pytest.fixture
def folders(tmp_path):
    """A space and probes in it at each scale."""
    write_space(tmp_path / "space")
    return {"space.workdir": str(tmp_path / "space")} | {
        f"runs.{scale}": str(write_probes(tmp_path / scale, scale)) for scale in ("none", "global", "component")
    }


def test_the_runs_that_a_table_needs(tmp_path):
    needs = KIND.needs(config_of(space__seed=2, exact__max_queries=300, table__probes=False))
    assert list(needs) == ["space", "none", "global", "component"]
    assert needs["space"].config == "configs/autoencoder.py:quick" and needs["space"].overrides["train.seed"] == 2
    found = {need.folder.name: need[1:3] for need in needs_of(KINDS, config_of(space__seed=2), tmp_path)}
    trained, jobs = found["space"]
    assert trained.train.seed == 2 and jobs == ["train", "encode", "evaluate"]
    for scale in ("none", "global", "component"):
        probes, jobs = found[scale]
        assert jobs == ["exact", "train", "probe"] and probes.probe.net == "mlp" and probes.data.name == "small"
        assert (probes.space.workdir, probes.space.scale) == (str(tmp_path / "needs" / "space"), scale)


def test_a_named_space_is_used_as_it_is(tmp_path):
    config = config_of(space__workdir="/spaces/mine", table__scales="component, none", table__probes=False)
    config.runs.none = "/probes/mine"
    ((folder, own, jobs, *_),) = needs_of(KINDS, config, tmp_path)
    assert folder.name == "component" and own.space.workdir == "/spaces/mine" and jobs == ["exact"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"table__scales": "none,globl"}, "scale of config.table.scales='globl'.*did you mean 'global'"),
        ({"table__scales": " ,"}, "config.table.scales=' ,'; expected one or more of none, global, component"),
        ({"table__scales": "none,none"}, "config.table.scales='none,none'; expected .*component, each once"),
        ({"space__train": ""}, "config.space.workdir and config.space.train are empty: there is no space; name a run"),
        ({"space__workdir": "nowhere"}, "nowhere holds no space"),
        ({"space__train": "cvae-16-small"}, "config.space.train='cvae-16-small' is conditional"),
        ({"runs__none": "nowhere"}, "config.runs.none: nowhere has no exact.json"),
        ({"space__seed": -1}, "config.space.seed=-1; expected a seed"),
        ({"exact__batch_size": 3}, "^needs/none: config.exact.batch_size=3; expected an even number"),
        ({"probe__members": "all"}, "^needs/none: .*config.probe.members='all'"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(settings, told, tmp_path):
    with pytest.raises(UserError, match=told):
        run(KINDS, config_of(**settings), tmp_path / "run", ["table"])
    assert not (tmp_path / "run").exists()


def test_a_variant_that_does_not_exist_is_told():
    with pytest.raises(UserError, match="variant, METHOD.*'vea'.*did you mean 'vae'"):
        spaces.get_config("vea-16-small")


def test_the_sweep_is_the_spaces_of_the_study():
    sweep = spaces.get_sweep()
    small = [member for member in sweep if member["variant"].endswith("small")]
    assert len(small) == 30 and len(sweep) == 44 and {"variant": "kl-full", "space.seed": 0} in sweep
    full = spaces.get_config("vae-1024-full")
    assert full.data.name == "full" and not full.table.keep_encodings and full.exact.max_queries == 1_000
    assert spaces.get_config("conv-small").probe.net == "conv"


def test_the_table_has_the_numbers_of_its_records(folders, tmp_path):
    experiment = build_spaces(config_of(**{name.replace(".", "__"): value for name, value in folders.items()}))
    assert experiment.inputs == {"data": "sprites 0123 weights", "space": "weights weights-global weights-component"}
    assert table(experiment, tmp_path / "run") == "done"
    record = json.loads((tmp_path / "run" / "table.json").read_text())
    assert record["space"]["num_latents"] == 16 and record["space"]["variance"] == 0.25 and record["trained"] is None
    assert record["autoencoder"]["reconstruction_sum"] == 4.0
    none, scaled = record["scales"]["none"], record["scales"]["global"]
    assert none["leading_eigenvalue"] == 4 and scaled["leading_eigenvalue"] == 16 and scaled["factor"] == 2.0
    assert none["features"]["x"]["windows"]["50%"] == 500 and none["features"]["x"]["exact"]["r2"][0] == 0.9
    assert none["features"]["x"]["probe"] == {
        "score": "r2",
        "largest_gap": 0.08,
        "standard_error": 0.003,
        "timestep": 500,
        "falls_short": [500],
    }


def test_a_space_without_an_evaluation_says_so(folders, tmp_path):
    (tmp_path / "space" / "evaluate.json").unlink()
    table(
        build_spaces(config_of(**{name.replace(".", "__"): each for name, each in folders.items()})), tmp_path / "run"
    )
    record = json.loads((tmp_path / "run" / "table.json").read_text())
    assert record["autoencoder"] is None and "no evaluate.json" in record["reasons"]["autoencoder"]


def test_folders_without_the_records_of_a_space_are_refused(folders, tmp_path):
    config = config_of(**{name.replace(".", "__"): value for name, value in folders.items()})
    (tmp_path / "global" / "probe.json").unlink()
    with pytest.raises(UserError, match=r"config\.runs\.global: .* has no probe\.json; launch it with --jobs=probe$"):
        build_spaces(config)
    config.table.probes = False
    build_spaces(config)
    config.space.sampled = False
    with pytest.raises(UserError, match=r"config\.runs\.none: .* has space\.sampled=True, and this table False"):
        build_spaces(config)
    config.space.sampled = True
    write_probes(tmp_path / "global", "component")
    with pytest.raises(UserError, match="holds curves of scale 'component'; expected those of scale 'global'"):
        build_spaces(config)
    write_probes(tmp_path / "global", None)
    with pytest.raises(UserError, match="holds curves of pixels; expected those of scale 'global'"):
        build_spaces(config)


def test_curves_of_other_weights_are_refused(folders, tmp_path):
    config = config_of(**{name.replace(".", "__"): value for name, value in folders.items()})
    about = {"fingerprint": "weights", "shape": [16], "num_images": {"all": 9}, "deterministic": False}
    about |= {"provenance": {"data": DATA}}
    write(tmp_path / "space" / "encoded" / "about.json", about)
    build_spaces(config)
    write(tmp_path / "space" / "encoded" / "about.json", about | {"fingerprint": "new"})
    told = r"config\.runs\.none: .* holds curves of the weights 'weights', and .*space has 'new'; remove it to measure"
    with pytest.raises(UserError, match=told):
        build_spaces(config)
    write(tmp_path / "space" / "encoded" / "about.json", about | {"provenance": {"data": "9999"}})
    told = r"config\.runs\.none: .*none holds curves of the images 'sprites 0123', and .*space of '9999'; name runs of"
    with pytest.raises(UserError, match=told):
        KIND.check(config)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"data": {"name": "full"}},
            "other data or another diffusion than this table: data.name is 'full' there and 's",
        ),
        ({"diffusion": {"schedule": "cosine"}}, "diffusion.schedule is 'cosine' there and 'ddpm_linear' here"),
    ],
)
def test_curves_of_other_data_or_noise_are_refused_before_anything_is_trained(folders, tmp_path, change, told):
    path = tmp_path / "global" / "exact.json"
    exact = json.loads(path.read_text())
    for section, settings in change.items():
        exact["settings"][section] |= settings
    path.write_text(json.dumps(exact))
    config = config_of(**{name.replace(".", "__"): value for name, value in folders.items()} | {"runs__none": ""})
    with pytest.raises(UserError, match=rf"config\.runs\.global: .*global is of .*{told}"):
        KIND.check(config)


def test_runs_in_a_space_that_is_not_named_are_refused(folders):
    config = config_of(runs__none=folders["runs.none"])
    with pytest.raises(UserError, match=r"config\.runs\.none: .*; name it as well, --config\.space\.workdir=/x$"):
        KIND.check(config)


def test_a_table_of_other_runs_than_are_named_is_made_again(folders, tmp_path):
    config = config_of(**{name.replace(".", "__"): value for name, value in folders.items()})
    table(build_spaces(config), tmp_path / "run")
    write(tmp_path / "run" / "data.json", {"fingerprint": "sprites 0123 weights"})
    assert not remaining(KIND, config, tmp_path / "run", ["table"])
    exact = json.loads((tmp_path / "none" / "exact.json").read_text())
    write(tmp_path / "other" / "exact.json", exact | {"num_queries": [200] * 3})
    write(tmp_path / "other" / "probe.json", json.loads((tmp_path / "none" / "probe.json").read_text()))
    config.runs.none = str(tmp_path / "other")
    assert remaining(KIND, config, tmp_path / "run", ["table"]) == ["table"]


def test_encodings_of_the_run_are_removed_on_request_and_those_of_others_stay(folders, tmp_path):
    given = {name.replace(".", "__"): value for name, value in folders.items()}
    for workdir, folder, stays in (("run", "run/needs/space", False), ("other", "space", True)):
        write_space(tmp_path / folder)
        (tmp_path / folder / "encoded").mkdir()
        (tmp_path / folder / "encoded" / "all_mean.npy").write_bytes(b"0")
        config = config_of(**given | {"space__workdir": str(tmp_path / folder), "table__keep_encodings": False})
        table(build_spaces(config), tmp_path / workdir)
        assert (tmp_path / folder / "encoded").exists() == stays
    record = json.loads((tmp_path / "run" / "table.json").read_text())
    assert record["trained"] == {"variant": "quick", "seed": 0}
    write(tmp_path / "run" / "data.json", {"fingerprint": "sprites 0123 weights"})
    assert not remaining(KIND, config_of(), tmp_path / "run", ["table"]), "folders of needs are not compared"
    assert remaining(KIND, config_of(exact__max_queries=300), tmp_path / "run", ["table"]) == ["table"]


@pytest.mark.slow
def test_a_table_from_one_command_goes_on_where_it_was(tmp_path, capsys):
    """The digits in a space of two latents. Multiplied by c, its windows are 2 ln c to the side in log SNR."""
    space = autoencoder.get_config("vae-2-digits")
    few = {"train.num_steps": 30, "train.eval_every": 30, "train.checkpoint_every": 30, "train.eval_images": 50}
    space.update_from_flattened_dict(few | {"model.channels": 4})
    assert run(KINDS, space, tmp_path / "space", ["train", "encode"]) == "done"
    config, workdir = spaces.get_config("vae-2-digits"), tmp_path / "table"
    settings = {"space.workdir": str(tmp_path / "space"), "table.probes": False, "table.scales": "none,global"}
    config.update_from_flattened_dict(settings | {"exact.num_timesteps": 11, "exact.max_queries": 800})
    assert run(KINDS, config, workdir, ["table", "report"]) == "done"
    record = json.loads((workdir / "table.json").read_text())
    assert record["space"]["shape"] == [2] and record["space"]["sampled"] and record["trained"] is None
    assert record["reasons"].keys() == {"autoencoder"}
    none, scaled = record["scales"]["none"], record["scales"]["global"]
    assert scaled["factor"] == pytest.approx(record["space"]["variance"] ** -0.5)
    assert scaled["leading_eigenvalue"] == pytest.approx(none["leading_eigenvalue"] * scaled["factor"] ** 2, rel=1e-4)
    first, second = (found["features"]["class"] for found in (none, scaled))
    assert first["held"] == pytest.approx(second["held"], abs=0.02) and 0 < first["held"] < 1
    shift = first["held_windows_logsnr"]["50%"] - second["held_windows_logsnr"]["50%"]
    assert shift == pytest.approx(2 * np.log(scaled["factor"]), abs=0.3)
    (workdir / "needs" / "global" / "exact.json").unlink()  # as if it had been killed
    (workdir / "table.json").unlink()
    capsys.readouterr()
    assert run(KINDS, config, workdir, ["table"]) == "done"
    told = capsys.readouterr().out
    assert f"needs: {workdir / 'needs' / 'global'}: exact\n" in told and "needs/none:" not in told
    assert json.loads((workdir / "table.json").read_text())["scales"] == record["scales"]
