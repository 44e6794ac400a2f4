"""The kind codes: which runs it trains, what it refuses, and the codes and the numbers of its record."""

import json
from dataclasses import replace

import numpy as np
import pytest
from launching import ROOT

import launch
from configs import codes
from vdm_jax.base.errors import UserError
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.codes.build import build_codes
from vdm_jax.experiments.codes.codes import ONE_NOISE, timed_codes
from vdm_jax.experiments.codes.measure import information_of, measure, reading_splits
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.dry_run import describe_run
from vdm_jax.launch.run import check_run, needs_of, run

KIND = KINDS["codes"]
DATA = load_data("digits")
LEVELS = DATA.test.levels[:7]


def config_of(variant="baselines", **settings):
    config = codes.get_config(variant)
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in settings.items()})
    return config


@pytest.mark.parametrize(("variant", "width"), [("digits", 16), ("sprites", 8), ("mnist14", 16)])
def test_every_code_is_of_the_data_and_the_width_of_its_table(variant, width, tmp_path):
    config = config_of(variant)
    for need in needs_of(KINDS, config, tmp_path):
        own, name = need.config, need.folder.name
        assert own.data == config.data, name
        if own.kind == "vae_vdm" and own.model.encoder != "none":
            assert own.model.w_dim == width * (5 if name == "drl_wide" else 1)


def test_the_runs_that_are_trained(tmp_path):
    config = config_of("digits", codes__seed=2, codes__num_steps=50, runs__vdrl_p2="/mine")
    found = {need.folder.name: need[1:3] for need in needs_of(KINDS, config, tmp_path)}
    assert set(found) == {name for name, stated in config.variants.items() if stated} - {"vdrl_p2"}
    assert all(own.train.seed == 2 and own.train.num_steps == 50 and jobs == ["train"] for own, jobs in found.values())
    assert found["drl_wide"][0].model.w_dim == 5 * found["drl_time"][0].model.w_dim, "as many numbers as five times"
    bands = found["drl_low"][0].diffusion.band_high, found["drl_high"][0].diffusion.band_low
    assert bands == (-0.9, -0.9) and found["drl_time"][0].model.encoder_time
    assert not list(needs_of(KINDS, config_of(), tmp_path))


def test_no_two_codes_of_the_table_are_trained_by_one_objective(tmp_path):
    """The schedule is linear in log SNR: the weighting of the bound is a multiple of that of ½ sigma²."""
    found = {}
    for need in needs_of(KINDS, config_of("digits"), tmp_path):
        if need.config.kind == "vae_vdm":
            own, model, rate = need.config.diffusion, need.config.model, need.config.rate
            weighting = "bound" if own.weighting == "simple" else own.weighting
            objective = str((weighting, own.band_low, own.band_high, model, rate))
            found.setdefault(objective, []).append(need.folder.name)
    assert len(found) > 10 and all(len(names) == 1 for names in found.values()), found


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"codes__baselines": "pixels,pcaa"}, "baseline of config.codes.baselines='pcaa'.*did you mean 'pca'"),
        ({"codes__times": "0.1,x"}, "config.codes.times='0.1,x'; expected times from 0 to 1, such as"),
        ({"codes__times": "0.1,1.5"}, "config.codes.times='0.1,1.5'; expected times from 0 to 1"),
        ({"codes__weights": "best"}, "config.codes.weights='best'; expected one of"),
        ({"codes__baselines": ""}, "there is no code: no run of config.runs"),
        ({"variants__drl": "representation:drl model.w_dim=abc"}, "'model.w_dim=abc'; expected a value like 16"),
        ({"measure__labels": "1,ten"}, "config.measure.labels='1,ten'; expected numbers of labelled images a class"),
        ({"measure__draws": 0}, "config.measure.draws=0; expected 1 to 1,000"),
        ({"variants__drl": "representation:drll"}, "variant='drll'; expected one of"),
        ({"variants__drl": "nothing:drl"}, "config file 'configs/nothing.py' not found"),
        ({"variants__drl": "exact:digits-linear"}, "config.variants.drl='exact:digits-linear' is of kind 'exact'"),
        ({"variants__drl": "digits:none model.wdim=3"}, "config.variants.drl=.*'model.wdim=3' is no KEY=VALUE with"),
        ({"runs__drl": "nowhere"}, "config.runs.drl=nowhere holds no run: there is no config.json"),
        (
            {"variants__drl": "representation:drl train.checkpoint_every=30", "codes__checkpoint": "60"},
            r"'represent.*: config.codes.checkpoint=60: .*; expected 'latest', 'best' or one of \[180, 200\]$",
        ),
        ({"codes__checkpoint": "bst"}, "config.codes.checkpoint='bst'; expected 'best', 'latest' or a step; did you"),
        ({"data__downsample": 0}, "^config.data.downsample=0; expected at least 1"),
        (
            {"variants__drl": "representation:drl", "variants__vdrl_p2": "representation:vdrl train.batch_size=0"},
            "^config.variants.vdrl_p2='representation:vdrl train.batch_size=0': config.train.batch_size=0; expected ",
        ),
        (
            {"variants__drl": "representation:drl", "variants__vae": "autoencoder:vae-16-digits model.code=x"},
            "^config.variants.vae='autoencoder:vae-16-digits model.code=x': config.model.code='x'; expected one of",
        ),
        (
            {"variants__drl": "representation:drl model.encoder=control model.encoder_time=True"},
            "^config.variants.drl=.*: config.model.encoder_time=True has no effect with model.encoder='control', which",
        ),
        (
            {"variants__drl": "representation:drl train.seed=3"},
            "^config.variants.drl='representation:drl train.seed=3': train.seed is config.codes.seed, the same for all",
        ),
        (
            {"variants__drl": "representation:drl data.downsample=2"},
            "data.downsample is config.data.downsample, the s",
        ),
        ({"variants__drl": "representation:drl model.unet=3"}, "'model.unet=3' is no KEY=VALUE with a setting of"),
        ({"variants__drl": "representation:drl kind=ddpm"}, "'kind=ddpm' is no KEY=VALUE with a setting of"),
        ({"variants__vae": "autoencoder:cvae-16-digits"}, "^config.variants.vae=.* is conditional: its code needs a"),
        ({"variants__vae": "autoencoder:vae-16-digits ensemble.seeds=0,1"}, "^config.variants.vae=.* is an ensemble; "),
        (
            {"variants__unconditional": "representation:unconditional", "codes__baselines": "untrained"},
            "no run of config.runs or config.variants has one, and config.codes.baselines='untrained' makes none",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(settings, told, tmp_path):
    with pytest.raises(UserError, match=told):
        run(KINDS, config_of(**settings), tmp_path / "run", ["measure"])
    assert not (tmp_path / "run").exists()


def test_a_sweep_and_a_dry_run_check_the_trainings_too(tmp_path):
    texts = {"variants__drl": "representation:drl", "variants__vdrl_p2": "representation:vdrl train.batch_size=0"}
    for start in (check_run, lambda *given: list(describe_run(*given))):
        with pytest.raises(
            UserError, match="^config.variants.vdrl_p2=.*: config.train.batch_size=0; expected at least 1"
        ):
            start(KINDS, config_of(**texts), tmp_path / "run", ["measure"])


def test_a_checkpoint_that_is_not_kept_is_told_with_those_that_are(whole, tmp_path):
    """Of a run that is there, of a need that is complete, and of one that is trained first."""
    with pytest.raises(UserError, match=r"^config.runs.drl=.*: checkpoint='7' is not in .*; expected .* or one of \["):
        check_run(KINDS, config_of(runs__drl=str(whole[0]), codes__checkpoint="7"), tmp_path / "run", ["measure"])
    (need,) = needs_of(KINDS, config_of(variants__drl="representation:drl", codes__checkpoint="100"), tmp_path)
    (tmp_path / "checkpoints" / "200").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^checkpoint='100' is not in .*; expected .* or one of \[200\]$"):
        need.check(need.config, tmp_path, True)
    (tmp_path / "checkpoints" / "100").mkdir()
    need.check(need.config, tmp_path, True)
    need.config.train.checkpoint_every = 100
    need.check(need.config, tmp_path / "none", False)


@pytest.mark.parametrize(
    ("config", "data", "told"),
    [
        ("{", "", "no trained model there, config.json cannot be read"),
        ("[]", "", "no trained model there, config.json cannot be read"),
        ('{"kind": "exact"}', "", "is of kind 'exact'; expected 'vae_vdm' or 'autoencoder'"),
        ('{"kind": "vae_vdm"}', "", "its config.json has no data"),
        ('{"kind": "autoencoder", "ensemble": {"seeds": "0,1"}}', "", "holds an ensemble of autoencoders"),
        (None, "[]", "no trained model there, data.json cannot be read"),
        (None, '{"fingerprint": "0"}', "was trained on other data than config.data, 'digits'"),
        (None, None, "no checkpoint in"),
    ],
    ids=str,
)
def test_folders_that_hold_no_code_of_these_data_are_refused(whole, tmp_path, capsys, config, data, told):
    """Also where another code would be trained first."""
    folder, run = tmp_path / "folder", tmp_path / "run"
    folder.mkdir()
    for name, text in (("config", config), ("data", data)):
        own = (whole[0] / f"{name}.json").read_text() if text is None else text
        (folder / f"{name}.json").write_text(own)
    if data is not None:
        (folder / "checkpoints").symlink_to(whole[0] / "checkpoints")
    typed = [f"--config={ROOT}/configs/codes.py", f"--config.runs.other_1={folder}", f"--workdir={run}"]
    assert launch.main(["launch.py", *typed]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"launch.py: config.runs.other_1={folder}") and told in err and err.count("\n") == 1
    assert not run.exists()


def test_images_of_one_class_have_no_readouts_and_say_why(tmp_path):
    train = replace(DATA.train, labels=np.zeros_like(DATA.train.labels))
    experiment = build_codes(config_of(codes__baselines="pca", codes__width=2))
    assert measure(replace(experiment, data=replace(DATA, train=train)), tmp_path) == "done"
    record = json.loads((tmp_path / "codes.json").read_text())
    (code,) = record["codes"].values()
    assert record["factors"] == {} and not {"readouts", "neighbours", "few_labels"} & set(code)
    assert {code["reasons"][name] for name in ("readouts", "neighbours", "few_labels")} == {
        "the training images are all of one class"
    }


def test_baselines_are_the_known_projections():
    config = config_of(codes__width=5, codes__baselines="pca,random,pixels", codes__seed=1)
    built = {code.name: code for code in build_codes(config).codes}
    assert list(built) == ["pixels", "pca_5", "random_5"]
    pixels = DATA.pixel_values[LEVELS].reshape(7, -1)
    np.testing.assert_array_equal(built["pixels"].means(LEVELS), pixels)
    train = DATA.pixel_values[DATA.train.levels].reshape(len(DATA.train), -1).astype(np.float64)
    _, axes = np.linalg.eigh(np.cov(train.T))
    expected = (pixels - train.mean(axis=0)) @ axes[:, :-6:-1]
    np.testing.assert_allclose(np.abs(built["pca_5"].means(LEVELS)), np.abs(expected), atol=1e-4)
    matrix = np.random.RandomState(1).randn(64, 5) / np.sqrt(5)
    np.testing.assert_allclose(built["random_5"].means(LEVELS), pixels @ matrix, rtol=1e-4, atol=1e-5)


def test_several_times_together_are_their_codes_beside_each_other():
    def at(t):
        return lambda levels: (t * levels.reshape(len(levels), -1)[:, 20:23].astype(np.float32), None)

    names, encoders, times = zip(*timed_codes({0.25: at(0.25), 0.5: at(0.5)}, DATA.train.levels), strict=True)
    assert names == ("0.25", "0.5", "all", "all_pca_3") and times == (0.25, 0.5, None, None)
    first, second, together, reduced = (encode(LEVELS)[0] for encode in encoders)
    np.testing.assert_array_equal(together, np.concatenate([first, second], axis=1))
    np.testing.assert_allclose(second, 2 * first)
    assert reduced.shape == (7, 3)


def test_several_times_of_a_noisy_code_have_no_density_and_say_so():
    """They share one draw of noise."""

    def encode_noisy(levels):
        return levels.reshape(len(levels), -1)[:, 20:21].astype(np.float32), np.zeros((len(levels), 1), np.float32)

    noisy = dict.fromkeys((0.25, 0.5), encode_noisy)
    of_one, _, together, _ = (encode(LEVELS) for _, encode, _ in timed_codes(noisy, LEVELS))
    assert of_one[1] is not None and together[0].shape == (7, 2) and together[1] is None
    found, reasons = information_of(config_of().measure, {"test": together}, ONE_NOISE)
    assert found is None and "one draw of noise" in reasons["information"]


def test_sprites_that_were_trained_on_as_a_whole_are_split_for_readouts():
    data = load_data("sprites", name="sparse", split="population")
    _, splits = reading_splits(data, config_of().measure)
    index = [split.stored for split in splits.values()]
    assert len(np.unique(np.concatenate(index))) == sum(map(len, index)) == 768


def test_the_record_of_a_trained_code_and_its_baselines(whole, tmp_path):
    config = config_of(
        runs__vae_vdm=str(whole[0]),
        codes__baselines="untrained",
        measure__readout_steps=20,
        measure__readout_seeds=1,
        measure__labels="1",
    )
    experiment = build_codes(config)
    assert [code.name for code in experiment.codes] == ["vae_vdm", "untrained_vae_vdm"]
    assert measure(experiment, tmp_path) == "done"
    record = json.loads((tmp_path / "codes.json").read_text())
    assert record["factors"] == {"class": 10} and record["num_images"] == {
        "train": 1297,
        "validation": 200,
        "test": 300,
    }
    trained, untrained = record["codes"].values()
    assert trained["about"]["of"] == "trained" and trained["about"]["width"] == 16 and trained["about"]["name"]
    assert untrained["about"] == {"of": "untrained", "width": 16}
    for part in (trained, untrained):
        entries = [part["readouts"]["class"]["linear"], part["neighbours"]["class"], part["few_labels"]["class"]["1"]]
        entries += [part["information"][name] for name in ("lower_nats", "upper_nats", "rate_nats")]
        assert all(set(each) >= {"value", "standard_error", "num"} and each["num"] == 300 for each in entries)
        assert part["information"]["lower_nats"]["value"] <= part["information"]["upper_nats"]["value"]
        assert part["reasons"] == {"disentanglement": "the factors of these images are not known"}
    evaluated = json.loads((whole[0] / "evaluate.json").read_text())
    assert trained["information"]["rate_nats"]["value"] == pytest.approx(evaluated["encoder_kl_nats"], rel=1e-4)
    costs = record["costs"]["vae_vdm"]
    assert costs["rate_nats"]["value"] == pytest.approx(evaluated["encoder_kl_nats"], rel=1e-4)
    assert abs(costs["bound_nats"]["value"] - evaluated["bound_nats"]) < 4 * costs["bound_nats"]["standard_error"]
    parts = costs["rate_nats"]["value"] + costs["distortion_nats"]["value"]
    assert costs["bound_nats"]["value"] == pytest.approx(parts) and list(costs["reasons"]) == ["score_loss"]
    assert record["settings"]["runs"]["vae_vdm"] == str(whole[0])
    assert record["provenance"]["runs"] == f"vae_vdm:{experiment.runs[0].about['fingerprint']}"
