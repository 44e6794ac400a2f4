"""The kind autoencoder end to end on few sprites: members, encodings, functions; mistakes in one sentence each."""

import json

import jax
import numpy as np
import pytest
from reading import jobs_read_what_is_declared
from vdm_jax.configs import autoencoder

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.dataset import ImageData, Split
from vdm_jax.data.encoded import read_encoded
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.autoencoder import encode
from vdm_jax.experiments.autoencoder.build import build_autoencoder
from vdm_jax.experiments.autoencoder.checks import check_images
from vdm_jax.experiments.autoencoder.members import members_of
from vdm_jax.experiments.common.train import open_checkpoints
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.weights import publish_weights
from vdm_jax.launch.choices import refuse_unread
from vdm_jax.launch.run import build
from vdm_jax.launch.status import remaining

SMALL = {
    "data.name": "sparse",
    "model.latents": 3,
    "model.channels": 4,
    "train.num_steps": 6,
    "train.batch_size": 8,
    "train.eval_every": 6,
    "train.checkpoint_every": 6,
    "train.eval_images": 20,
    "encode.batch_size": 100,
    "evaluate.num_images": 20,
    "evaluate.passes": 1,
    "evaluate.batch_size": 20,
    "evaluate.readout_images": 40,
    "evaluate.readout_steps": 5,
    "evaluate.disentanglement_images": 40,
    "evaluate.prior_images": 20,
    "sample.num_images": 4,
    "sample.batch_size": 20,
}


def config_of(variant="", **settings):
    config = autoencoder.get_config(variant)
    config.update_from_flattened_dict(SMALL | {name.replace("__", "."): value for name, value in settings.items()})
    return config


def launched(workdir, *typed, **settings):
    chosen = SMALL | {name.replace("__", "."): value for name, value in settings.items()}
    words = [f"--config.{name}={value}" for name, value in chosen.items()]
    config = "--config=configs/autoencoder.py:vae-16"
    return launch.main(["launch.py", config, f"--workdir={workdir}", *words, *typed])


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "two"
    assert launched(folder, "--jobs=train,encode", ensemble__beta="1,4") == 0
    return folder


@pytest.mark.slow
def test_members_are_complete_runs_that_any_kind_can_use(ensemble):
    config = config_of(ensemble__beta="1,4")
    kind, jobs = KINDS["autoencoder"], ["train", "encode"]
    assert remaining(kind, config, ensemble, jobs) == []
    for name, own in members_of(config).items():
        folder = ensemble / "members" / name
        stored = json.loads((folder / "config.json").read_text())
        assert stored["ensemble"]["beta"] == "" and f"beta={stored['rate']['beta']:g}" == name
        assert remaining(kind, own, folder, jobs) == [] and (folder / "claims" / "train.json").exists()
        run = vdm_jax.load(folder)
        mean, logvar = run.encode(np.asarray(run.data.levels_of(np.arange(5))))
        there = read_encoded(folder, run.data)
        rows, variance = there.rows("all", np.arange(5))
        np.testing.assert_allclose(mean, rows, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(np.exp(logvar), variance, rtol=1e-4)
        assert len(there.mean["all"]) == len(run.data.grid) == 768 and there.shape == (3,)
        assert run.decode(mean).shape == (5, 32, 32, 1) and set(np.unique(run.decode(mean))) <= {0, 1}
        assert run.sample(jax.random.key(0), 3).shape == (3, 32, 32, 1)
        with pytest.raises(UserError, match=r"u is of shape \[5, 7\]; expected latents \[B, 3\]"):
            run.decode(np.zeros((5, 7)))
        with pytest.raises(UserError, match="not conditional; leave them out"):
            run.encode(run.data.test.levels[:2], labels=np.array([0, 1]))
    with pytest.raises(UserError, match="holds an ensemble of 2 runs; load one of them"):
        vdm_jax.load(ensemble)


@pytest.mark.slow
def test_published_weights_are_a_run_whose_training_is_done(ensemble, tmp_path):
    folder, member = tmp_path / "published", ensemble / "members" / "beta=4"
    assert publish_weights(member, folder).stat().st_size < 200_000
    config, kind = members_of(config_of(ensemble__beta="1,4"))["beta=4"], KINDS["autoencoder"]
    assert remaining(kind, config, folder, ["train", "encode"]) == ["encode"]
    assert launch.main(["launch.py", f"--workdir={folder}", "--jobs=encode"]) == 0
    with pytest.raises(UserError, match="from which no training continues; leave train out of --jobs"):
        open_checkpoints(folder, config.train)
    assert not (folder / "checkpoints").exists()
    ours, there = (read_encoded(path, vdm_jax.load(path).data).mean["all"] for path in (folder, member))
    assert 0 < np.abs(ours - there).max() < 5e-3 * np.abs(there).max()
    with pytest.raises(UserError, match="holds 'ema' weights alone"):
        vdm_jax.load(folder, weights="raw")
    with pytest.raises(UserError, match="is the folder of a training; choose another"):
        publish_weights(folder, member)


@pytest.mark.slow
def test_encoding_goes_on_after_a_kill_and_writes_the_same_bytes(ensemble, monkeypatch):
    folder = ensemble / "members" / "beta=1"
    built, _ = build(KINDS["autoencoder"], members_of(config_of(ensemble__beta="1,4"))["beta=1"], folder)
    names = ["all_mean.npy", "all_variance.npy"]
    before = {name: (folder / "encoded" / name).read_bytes() for name in names}
    rows_of, started = encode.encode_rows, []

    def killed(moments, take, number, first, *others):
        started.append(first)
        for i, found in enumerate(rows_of(moments, take, number, first, *others)):
            if len(started) == 1 and i == 3:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(encode, "encode_rows", killed)
    monkeypatch.setattr(encode, "SAVE_EVERY", 2)
    for name in names:
        (folder / "encoded" / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        encode.encode(built, folder)
    assert not (folder / "encoded" / "about.json").exists(), "no record of what is incomplete"
    with pytest.raises(UserError, match="has no encoded images: .* launch the workdir with --jobs=encode"):
        read_encoded(folder, built.data)
    assert encode.encode(built, folder) == "done" and started == [0, 200]
    assert {name: (folder / "encoded" / name).read_bytes() for name in names} == before
    assert not (folder / "encoded" / "progress.json").exists()
    with pytest.raises(UserError, match="is of other data: its images are of .*, those of 'digits' are"):
        read_encoded(folder, load_data("digits"))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["vq", "cvae-16"])
def test_every_code_is_encoded_decoded_and_sampled(variant, tmp_path):
    of_backbone = {"model.latent_channels": 2} if variant in autoencoder.SPATIAL else {}
    own = {"quantiser.num_codes": 8} if variant == "vq" else {}
    config = autoencoder.get_config(variant)
    left_out = {"model.latents"} if variant in autoencoder.SPATIAL else set()
    left_out |= {"evaluate.passes"} if variant == "vq" else set()
    chosen = {name: value for name, value in (SMALL | of_backbone | own).items() if name not in left_out}
    words = [f"--config.{name}={value}" for name, value in chosen.items()]
    typed = [f"--config=configs/autoencoder.py:{variant}", f"--workdir={tmp_path}", "--jobs=train,encode"]
    with jobs_read_what_is_declared(tmp_path, all_jobs=False):
        assert launch.main(["launch.py", *typed, *words]) == 0
    run = vdm_jax.load(tmp_path)
    levels, labels = run.data.test.levels[:3], run.data.test.labels[:3] if variant == "cvae-16" else None
    mean, logvar = run.encode(levels, labels)
    assert (logvar is None) == (config.model.code != "gaussian")
    assert run.decode(mean, labels).shape == levels.shape
    assert run.sample(jax.random.key(0), 2).shape == (2, 32, 32, 1)
    encoded, variance = read_encoded(tmp_path, run.data).rows("all", run.data.test.stored[:3])
    np.testing.assert_allclose(mean, encoded, rtol=1e-3, atol=1e-5)
    assert (variance is None) == (logvar is None)


# ---- mistakes -------------------------------------------------------------------------------------------------------


def images(side=8, labels=True):
    split = Split(np.zeros((20, side, side, 1), np.uint8), np.arange(20, dtype=np.int32) % 2 if labels else None)
    return ImageData("blank", split, split, split, even_pixel_values(2), ("0", "1") if labels else ())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"model.latents": 0}, r"config\.model\.latents=0; expected 1 to"),
        ({"model.code": "gausian"}, r"config\.model\.code='gausian'; expected one of .*did you mean 'gaussian'"),
        ({"model.likelihood": "levels", "model.sigma": -1.0}, r"config\.model\.sigma=-1\.0; expected a number above 0"),
        ({"rate.mode": "w_dropout"}, r"config\.rate\.mode='w_dropout'; expected one of"),
        ({"encode.batch_size": 0}, r"config\.encode\.batch_size=0; expected at least 1"),
        ({"reconstruction.perceptual": 1.0, "reconstruction.loss": "l1", "reconstruction.features": "inception"},
         r"name the npz file of its weights in config\.reconstruction\.inception"),
    ],
)  # fmt: skip
def test_settings_out_of_range(settings, problem):
    config = config_of()
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=problem):
        build_autoencoder(config)


@pytest.mark.parametrize(
    ("settings", "data", "problem"),
    [
        ({}, images(10), r"10x10 pixels, and an autoencoder needs sides divisible by 4"),
        ({"model.conditional": True}, images(labels=False), "conditional=True needs labels, and data .* have none"),
        ({"reconstruction.loss": "l1", "reconstruction.discriminator": 0.5}, images(),
         r"discriminator of patches needs at least 16x16; set config\.reconstruction\.discriminator=0"),
        ({"reconstruction.loss": "l2", "reconstruction.perceptual": 1.0}, images(labels=False),
         "needs labels for its classifier, and data 'blank' have none"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit(settings, data, problem):
    config = config_of()
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=problem):
        check_images(config, data)


@pytest.mark.parametrize(
    ("lists", "problem"),
    [
        ({"seeds": "0,1,x"}, r"config\.ensemble\.seeds='0,1,x'; expected whole numbers for config\.train\.seed with"),
        ({"beta": "1;4"}, r"config\.ensemble\.beta='1;4'; expected numbers"),
        ({"beta": "1,1.0"}, "has equal values; each member needs its own"),
        ({"seeds": "3"}, r"lists a single run; set its values themselves: --config\.train\.seed=3"),
        ({"seeds": "0,"}, r"seeds='0,'; expected whole numbers"),
    ],
)
def test_mistyped_lists_of_an_ensemble(lists, problem):
    config = config_of(**{f"ensemble__{name}": text for name, text in lists.items()})
    with pytest.raises(UserError, match=problem):
        members_of(config)


def test_members_are_all_combinations_of_the_lists():
    members = members_of(config_of(ensemble__seeds="0,1", ensemble__beta="1,4,10"))
    assert list(members) == [f"seed={seed},beta={beta}" for seed in (0, 1) for beta in (1, 4, 10)]
    own = members["seed=1,beta=10"]
    assert (own.train.seed, own.rate.beta, own.ensemble.seeds, own.ensemble.beta) == (1, 10.0, "", "")
    assert members_of(own) == {} and members_of(config_of()) == {}


WITHOUT_EFFECT = [
    ({"model.latent_channels": 8}, "", "model.backbone='fc'"),
    ({"rate.beta": 2.0}, "ae-16", "model.code='deterministic'"),
    ({"ensemble.beta": "1,2"}, "ae-16", "model.code='deterministic'"),
    ({"ensemble.lambda_od": "1,2"}, "vae-16", "regulariser.name='none'"),
    ({"quantiser.num_codes": 9}, "vae-16", "model.code='gaussian'"),
    ({"reconstruction.discriminator": 0.5}, "vae-16", "reconstruction.loss='likelihood'"),
    ({"model.sigma": 0.1}, "vae-16", "model.likelihood='bernoulli'"),
]


@pytest.mark.parametrize(("settings", "variant", "choice"), WITHOUT_EFFECT, ids=str)
def test_settings_without_effect(settings, variant, choice):
    config, before = autoencoder.get_config(variant), autoencoder.get_config(variant)
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=f"has no effect with {choice}"):
        refuse_unread(KINDS["autoencoder"].choices, config, before, settings)


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        ("vae-0", "a latent size is at least 1"),
        ("conv-16", "its latents are spatial; expected conv"),
        ("vea-16", "METHOD='vea'; expected one of .*did you mean 'vae'"),
        ("vae-16-large", "DATA='large'; expected one of"),
        ("quick-vq", "expected one of"),
    ],
)
def test_mistyped_variants(variant, problem):
    with pytest.raises(UserError, match=problem):
        autoencoder.get_config(variant)


def test_the_study_has_ten_methods_with_three_seeds_and_the_rows_of_the_thesis():
    sweep = autoencoder.get_sweep()
    names = [member["variant"] for member in sweep]
    assert [name for name in names if name.startswith("quick-")] == [
        "quick-vae",
        "quick-ae",
        "quick-beta4",
        "quick-dip1",
    ]
    small = [member for member in sweep if member["variant"].endswith("-small")]
    assert len(small) == 30 and {member["train.seed"] for member in small} == {0, 1, 2}
    full = [name for name in names if name.endswith("-full")]
    assert len(full) == 20 and {"vae-1024-full", "conv-full", "kl-full", "ae-256-full", "ae-5-full"} <= set(full)
    assert autoencoder.get_config("vae-256-full").train.num_steps == 10_000
    assert (
        autoencoder.get_config("kl-digits").reconstruction.discriminator
        == 0
        < (autoencoder.get_config("kl-mnist").reconstruction.discriminator)
    )
    assert autoencoder.get_config("quick").model == autoencoder.get_config("quick-vae").model
