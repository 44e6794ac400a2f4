"""The job end to end: what a run leaves behind, what another process makes of it, and kills."""

import json
import os
import pathlib
import shutil
import signal

import jax
import launching
import numpy as np
import pytest
from launching import NUM_STEPS, OF_A_CODE, arguments
from reading import jobs_read_what_is_declared
from vdm_jax.configs import digits

import launch
from vdm_jax.evals.fid import FID_KEYS
from vdm_jax.experiments.common.checkpoints import load_weights
from vdm_jax.experiments.common.evaluate import ENTROPY_KEYS
from vdm_jax.experiments.common.train import all_but_gamma
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.train.checkpoint import restore_state, saved_checkpoints
from vdm_jax.train.metrics import read_metrics
from vdm_jax.train.optimizer import make_optimizer
from vdm_jax.train.state import init_state

PROBES = {f"linear_probe_accuracy{of}" for of in ("", "_raw_pixels", "_pca", "_untrained")} | {"knn_accuracy"}
OF_THE_CODE = PROBES | {"encoder_kl_nats", "encoder_kl_bpd", "active_units", "mi_lower_nats", "mi_upper_nats"}
# what evaluate.json always has
PROMISED = OF_THE_CODE | {
    "bpd", "bpd_standard_error", "reconstruction_bpd", "prior_bpd", "diffusion_bpd", "num_images", "passes",
    "checkpoint_step", "weights", "frechet", "frechet_by_n", "provenance",
}  # fmt: skip


def evaluation(workdir: pathlib.Path) -> dict:
    return json.loads((workdir / "evaluate.json").read_text())


def nulls(values: dict) -> set[str]:
    """What is null, each of it with a reason."""
    empty = {name for name, value in values.items() if value is None}
    for name in empty:
        assert values["reasons"][name.removesuffix("_standard_error")]
    assert all(values[name] is None for name in values["reasons"])
    return empty


def run_here(*arguments) -> dict:
    """The same in this process, where shapes are checked."""
    workdir = next(pathlib.Path(a.partition("=")[2]) for a in arguments if a.startswith("--workdir="))
    assert launch.main(["launch.py", *arguments]) == 0
    return evaluation(workdir)


# ---- what a run leaves ----------------------------------------------------------------------------------------------


def test_the_files_of_a_workdir(whole):
    workdir, out = whole
    names = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    evaluated = {"evaluate.json", "evaluate_curves.npz", "evaluate_images.npz", "embeddings.npz"}
    assert {"config.json", "metrics.jsonl"} | evaluated <= names
    samples = ("real", "prior", "aggregate", "guided", "chain")
    assert {f"samples/{name}.{kind}" for name in samples for kind in ("npz", "png")} <= names
    assert "report/index.html" in names and not any("tmp" in name for name in names)
    assert [checkpoint.step for checkpoint in saved_checkpoints(workdir / "checkpoints")][-1] == NUM_STEPS
    assert f"report: {workdir / 'report' / 'index.html'}" in out
    values = evaluation(workdir)
    expected = (
        f"{values['bpd']:.4f} ± {values['bpd_standard_error']:.4f} bits/dim",
        f"rate        {values['encoder_kl_nats']:.2f} ± ",
        "probe on w",
        "Fréchet",
    )
    for text in expected:  # the encoding of the process has no letters but ASCII
        assert text.encode("ascii", "backslashreplace").decode() in out


def test_the_log_has_a_row_a_step_and_the_bound_of_validation_images(whole):
    rows = read_metrics(whole[0] / "metrics.jsonl")
    train, validation = ([row for row in rows if row["split"] == split] for split in ("train", "validation"))
    assert [row["step"] for row in train] == list(range(1, NUM_STEPS + 1))
    assert [row["step"] for row in validation] == list(range(5, NUM_STEPS + 1, 5))
    for row in rows:
        parts = sum(row[name] for name in ("reconstruction", "prior", "diffusion"))
        np.testing.assert_allclose(row["distortion"], parts, rtol=1e-5)
        np.testing.assert_allclose(row["bound"], parts + row["rate"], rtol=1e-5)
        np.testing.assert_allclose(row["bpd"], row["bound"] / (64 * np.log(2)), rtol=1e-5)
    assert {"loss", "grad_norm", "beta", "held_out_rate", "images_per_second", "seconds", "skipped"} <= set(train[0])
    assert validation[-1]["bound"] < 0.7 * validation[0]["bound"]


def test_evaluate_json_keeps_its_promise(whole):
    values = evaluation(whole[0])
    assert set(values) >= PROMISED
    # 8x8 is smaller than the window of SSIM, no file of Inception weights is named, the entropy of digits is unknown.
    assert nulls(values) == {"ssim", "ssim_standard_error", *FID_KEYS, *ENTROPY_KEYS}
    by_n = values["frechet_by_n"]["frechet"]
    assert by_n["num_images"] == [2, 5, 10, 20] and set(by_n["curves"]) == {"prior", "aggregate", "real"}
    assert by_n["curves"]["prior"]["distance"][-1] == pytest.approx(values["frechet"]["distance"], rel=1e-6)
    with np.load(whole[0] / "evaluate_images.npz") as each, np.load(whole[0] / "evaluate_curves.npz") as curves:
        assert each["bound_nats"].shape == (300,) and each["own"].shape == (40, 3)
        np.testing.assert_allclose(each["bound_nats"].mean(dtype=float), values["bound_nats"], rtol=1e-5)
        np.testing.assert_allclose(each["own"].mean(0, dtype=float), curves["own"], rtol=1e-5)
    terms = [values[f"{name}_bpd"] for name in ("reconstruction", "prior", "diffusion", "encoder_kl")]
    np.testing.assert_allclose(values["bpd"], sum(terms), rtol=1e-5)
    np.testing.assert_allclose(values["encoder_kl_nats"], values["encoder_kl_bpd"] * 64 * np.log(2), rtol=1e-6)
    assert (values["num_images"], values["passes"], values["weights"]) == (300, 1, "ema")
    assert values["likeness_num_images"] == 20
    checkpoints = saved_checkpoints(whole[0] / "checkpoints")
    assert (
        values["checkpoint_step"] == min(checkpoints, key=lambda c: (c.score, -c.step) if c.score else (np.inf, 0)).step
    )
    assert values["mi_lower_nats"] <= values["mi_lower_is_capped_at_ln_n"] == pytest.approx(np.log(300))
    assert values["frechet"]["num_images"] == 20 and values["frechet"]["network"]["name"].endswith("digits")
    assert values["provenance"]["data"] == build(digits.get_config()).data.fingerprint


def test_samples_are_pictures_of_the_data_sets_shape(whole):
    folder = whole[0] / "samples"
    shapes = {name: dict(np.load(folder / f"{name}.npz")) for name in ("real", "prior", "aggregate", "guided", "chain")}
    for name in ("real", "prior", "aggregate"):
        assert shapes[name]["arr_0"].shape == (20, 8, 8, 1) and shapes[name]["arr_0"].dtype == np.uint8
    assert shapes["guided"]["generated"].shape == (2, 2, 8, 8, 1)
    assert shapes["chain"]["chain"].shape == (2, 5, 8, 8, 1)
    assert shapes["chain"]["times"].tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    levels = build(digits.get_config()).data.test.levels[:20]
    np.testing.assert_array_equal(shapes["real"]["arr_0"], np.rint(levels / 16 * 255))


# ---- another process ------------------------------------------------------------------------------------------------


def test_another_process_finds_the_same_numbers(whole, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "copy")
    for name in ("evaluate.json", "evaluate_curves.npz", "evaluate_images.npz", "embeddings.npz"):
        (workdir / name).unlink()
    again, first = run_here(f"--workdir={workdir}", "--jobs=evaluate"), evaluation(whole[0])  # by its own config.json
    assert again["provenance"].pop("time") and first["provenance"].pop("time")
    assert again == first
    for name in ("evaluate_curves.npz", "evaluate_images.npz", "embeddings.npz"):
        there, here = np.load(whole[0] / name), np.load(workdir / name)
        for array in there.files:
            np.testing.assert_array_equal(here[array], there[array], err_msg=f"{name}: {array}")


def test_weights_come_from_the_checkpoint_and_the_average_asked_for(whole):
    config = digits.get_config()
    config.update_from_flattened_dict(launching.SMALL)
    model = build(config).model
    found = {}
    for which, weights in (("latest", "ema"), ("latest", "raw"), (str(NUM_STEPS - 10), "ema"), ("best", "ema")):
        config.update_from_flattened_dict({"evaluate.checkpoint": which, "evaluate.weights": weights})
        found[which, weights] = load_weights(whole[0], model, config)
    assert found["latest", "ema"].step == found["latest", "raw"].step == NUM_STEPS
    assert found[str(NUM_STEPS - 10), "ema"].step == NUM_STEPS - 10
    assert found["best", "ema"].step == evaluation(whole[0])["checkpoint_step"]
    kernels = [np.asarray(w.params["unet"]["conv_in"]["kernel"]) for w in found.values()]
    assert not np.array_equal(kernels[0], kernels[1]) and not np.array_equal(kernels[0], kernels[2])


# ---- kills ----------------------------------------------------------------------------------------------------------


def final_state(workdir: pathlib.Path):
    config = digits.get_config()
    config.update_from_flattened_dict(launching.SMALL)
    model, optimizer = build(config).model, make_optimizer(1.0, num_steps=1, decays=all_but_gamma)
    like = jax.eval_shape(lambda: init_state(model.init(jax.random.key(0)), optimizer, model.init_carry()))
    return jax.device_get(restore_state(workdir / "checkpoints", "latest", like))


def test_killed_and_stopped_it_ends_bitwise_as_if_it_never_was(whole, tmp_path, start):
    workdir = tmp_path / "run"
    training = start(*arguments(workdir, jobs="train"))
    training.wait_for_step(workdir, 22)  # the second save waits for the first
    training.process.kill()
    assert training.finish()[0] == -signal.SIGKILL
    reached = max(row["step"] for row in read_metrics(workdir / "metrics.jsonl"))
    assert 22 <= reached < NUM_STEPS

    training = start(*arguments(workdir))
    training.wait_for_step(workdir, reached + 8)
    training.process.send_signal(signal.SIGTERM)
    code, out, err = training.finish()
    assert code == 0, err
    assert "train: goes on from step" in out and "train: stopped and saved at step" in out
    stopped_at = saved_checkpoints(workdir / "checkpoints")[-1].step
    assert reached < stopped_at < NUM_STEPS and not (workdir / "evaluate.json").exists()

    code, out, err = start(*arguments(workdir, jobs="train")).finish()
    assert code == 0 and f"train: goes on from step {stopped_at}" in out, err
    state, other = final_state(workdir), final_state(whole[0])
    assert state.step == NUM_STEPS
    jax.tree.map(np.testing.assert_array_equal, state, other)
    rows, others = (
        [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in read_metrics(log)]
        for log in (workdir / "metrics.jsonl", whole[0] / "metrics.jsonl")
    )
    assert rows == others


# ---- other models, other data ---------------------------------------------------------------------------------------

QUICK = {"train__num_steps": 2, "evaluate__weights": "raw", "evaluate__checkpoint": "latest"}


@pytest.mark.slow
def test_without_a_code_what_does_not_apply_is_null_with_its_reason(tmp_path):
    quick = QUICK | {"evaluate__frechet_images": 0} | dict.fromkeys(OF_A_CODE)
    with jobs_read_what_is_declared(tmp_path):
        values = run_here(*arguments(tmp_path, "configs/digits.py:unconditional", **quick))
    assert set(values) >= PROMISED and OF_THE_CODE | {"frechet", "frechet_by_n"} <= nulls(values)
    assert values["reasons"]["mi_lower_nats"] == "the model has no code"
    assert (values["checkpoint_step"], values["weights"]) == (2, "raw")
    parts = sum(values[f"{name}_bpd"] for name in ("reconstruction", "prior", "diffusion"))
    np.testing.assert_allclose(values["bpd"], parts, rtol=1e-5)
    assert {path.stem for path in (tmp_path / "samples").glob("*.npz")} == {"real", "prior"}
    assert set(np.load(tmp_path / "evaluate_curves.npz").files) == {"own", "own_se", "logsnr", "num_images"}
    assert (tmp_path / "report" / "index.html").exists() and not (tmp_path / "embeddings.npz").exists()


@pytest.mark.slow
def test_a_users_own_images(tmp_path):
    """Two channels, neither square nor even, five levels, no labels."""
    draw = np.random.default_rng(0)
    arrays = {name: draw.integers(0, 5, (n, 7, 10, 2), np.uint8) for name, n in (("x_train", 40), ("x_test", 20))}
    np.savez(tmp_path / "mine.npz", **arrays, num_levels=5)
    data = {"data__source": "npz", "data__name": "mine", "data__dir": tmp_path, "data__validation_size": 20}
    workdir = tmp_path / "run"
    values = run_here(*arguments(workdir, **data, **QUICK))
    unlabelled = PROBES | {"frechet", "frechet_by_n"}
    assert set(values) >= PROMISED and nulls(values) & PROMISED == unlabelled
    assert all("labels" in values["reasons"][name] for name in unlabelled)
    assert values["num_images"] == 20 and values["num_dims"] == 140 and values["psnr"] > 0
    assert np.load(workdir / "samples" / "prior.npz")["arr_0"].shape == (20, 7, 10, 2)
    assert set(np.unique(np.load(workdir / "samples" / "prior.npz")["arr_0"])) <= {0, 64, 128, 191, 255}
    page = (workdir / "report" / "index.html").read_text()
    assert page.count("The 2 channels of an image are side by side, in grey.") == 3, "samples, guided, chain"


@pytest.mark.slow
@pytest.mark.skipif("VDM_DATA_DIR" not in os.environ, reason="VDM_DATA_DIR, the folder with mnist.npz, is not set")
def test_mnist(tmp_path):
    """Real images, halved, a few of them."""
    with np.load(pathlib.Path(os.environ["VDM_DATA_DIR"]) / "mnist.npz") as file:
        few = {
            name: file[name][: 200 if "train" in name else 60] for name in ("x_train", "y_train", "x_test", "y_test")
        }
    np.savez(tmp_path / "mnist.npz", **few)
    data = {"data__dir": tmp_path, "data__downsample": 2, "data__validation_size": 40}
    quick = QUICK | {"evaluate__frechet_images": 0}
    config = "configs/mnist.py:mvdm-te"
    values = run_here(*arguments(tmp_path / "run", config, jobs="train,evaluate", **data, **quick))
    assert (values["num_images"], values["num_dims"]) == (60, 196)
    assert nulls(values) & PROMISED == {"frechet", "frechet_by_n"}
    assert 0 < values["reconstruction_bpd"] < 0.02  # 0.01 at interior pixel values, whatever the network
    assert 0 < values["linear_probe_accuracy_raw_pixels"] <= 1
    assert values["active_units"] <= 128


# ---- pieces ---------------------------------------------------------------------------------------------------------


def test_a_run_in_pieces_on_two_machines_ends_as_if_on_one(whole, tmp_path):
    """Only the archive is carried; the first piece ends when its time is up, at once."""
    archive = f"--archive={tmp_path / 'archive'}"
    one, two = (tmp_path / name for name in ("one", "two"))
    assert launch.main(["launch.py", *arguments(one, jobs="train"), archive, "--stop_after=0.001"]) == 0
    (saved,) = saved_checkpoints(one / "checkpoints")
    assert saved.step < NUM_STEPS
    assert launch.main(["launch.py", *arguments(two, jobs="train"), archive]) == 0
    jax.tree.map(np.testing.assert_array_equal, final_state(two), final_state(whole[0]))
    steps = [[row["step"] for row in read_metrics(run / "metrics.jsonl")] for run in (two, whole[0])]
    assert not (two / "evaluate.json").exists()
    for name in ("samples", "evaluate.json"):  # as if the second machine had gone on to these jobs
        (shutil.copytree if (whole[0] / name).is_dir() else shutil.copy)(whole[0] / name, two / name)
    assert launch.main(["launch.py", *arguments(two, jobs="train,report"), archive]) == 0
    assert launch.main(["launch.py", *arguments(tmp_path / "home", jobs="train"), archive]) == 0
    assert (tmp_path / "home" / "evaluate.json").read_bytes() == (whole[0] / "evaluate.json").read_bytes()
    there, brought = (
        sorted(path.name for path in (run / "samples").iterdir()) for run in (whole[0], tmp_path / "home")
    )
    assert there == brought
    assert steps[0] == steps[1] and json.loads((tmp_path / "archive" / "archive.json").read_text())["step"] == NUM_STEPS
