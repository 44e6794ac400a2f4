"""The kind dae end to end: its jobs, records, report, functions, and mistakes."""

import json

import numpy as np
import pytest
from jax.tree_util import Partial
from launching import ROOT
from reading import jobs_read_what_is_declared
from vdm_jax.configs import dae

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.experiments.dae.attractors import describe_ends
from vdm_jax.experiments.dae.basins import ELSEWHERE, name_ends, plane_through
from vdm_jax.experiments.dae.build import build_dae, take_subset
from vdm_jax.experiments.dae.checks import check_dae, numbers_of, sizes_of
from vdm_jax.experiments.dae.denoisers import Known
from vdm_jax.experiments.dae.evaluate import errors_by_sigma
from vdm_jax.experiments.dae.jacobians import describe_spectra
from vdm_jax.models.attractors import Ends
from vdm_jax.report.compare.dae_sweep import write_dae_sweep

SMALL = {
    "model.width": 16,
    "model.num_layers": 1,
    "subset.num_images": 40,
    "train.num_steps": 100,
    "train.learning_rate": 1e-2,
    "train.warmup_steps": 5,
    "train.batch_size": 64,  # more than there are images
    "train.eval_images": 50,
    "train.log_every": 50,
    "train.eval_every": 100,
    "train.checkpoint_every": 100,
    "evaluate.sigmas": "0.05,1,8",  # the last is outside the range that is trained
    "evaluate.num_images": 30,
    "attractors.sigmas": "0.1,1,8",
    "attractors.sizes": "10",
    "attractors.num_starts": 10,
    "attractors.two_point_sigmas": "0.5,1.5",
    "attractors.basin_sigmas": "0.1",
    "attractors.basin_grid": 5,
    "attractors.batch_size": 25,  # of the starts in the plane, too: one program
    "attractors.components": 40,  # as many as the linear DAE has
    "jacobians.sigmas": "0.1,1",
    "jacobians.num_points": 2,
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("dae")
    typed = [f"--config.{name}={value}" for name, value in SMALL.items()]
    with jobs_read_what_is_declared(path):
        assert launch.main(["launch.py", f"--config={ROOT}/configs/dae.py", f"--workdir={path}", *typed]) == 0
    return path


def read(workdir, name):
    return json.loads((workdir / f"{name}.json").read_text())


def test_errors_by_noise_level(workdir):
    record = read(workdir, "evaluate")
    train, test = record["errors"]["train"], record["errors"]["test"]
    assert record["num_known"] == 40 and record["num_images"] == {"train": 30, "test": 30}
    assert train["optimal"]["mse"][0] < 1e-6 < test["optimal"]["mse"][0]  # it knows the ones by heart
    assert train["trained"]["mse"][2] is None and train["optimal"]["mse"][2] is not None
    assert train["linear"]["mse"][2] == pytest.approx(record["variance"], rel=0.2)
    assert all(row["mse"][i] >= train["optimal"]["mse"][i] for row in train.values() for i in range(2))
    untrained = record["variance"] / (record["variance"] + 1)  # the best DAE of a Gaussian, at sigma 1
    assert train["trained"]["mse"][1] < 0.9 * untrained


def test_where_starts_end(workdir):
    record = read(workdir, "attractors")
    assert list(record["daes"]) == ["optimal 10", "trained 40", "optimal 40", "linear 40"]
    optimal = record["daes"]["optimal 40"]["starts"]
    assert optimal["training"][0]["own"] == 1 and optimal["training"][0]["num_ends"] == 10
    for kind in ("training", "test", "noise"):
        assert optimal[kind][0]["closest"] == 1, "small sigma returns the closest image"
        assert optimal[kind][2]["at_mean"] == 1 and optimal[kind][2]["num_ends"] == 1, "large sigma the mean"
    assert record["daes"]["optimal 40"]["merging_sigmas"]["single"] < 8
    assert record["daes"]["trained 40"]["starts"]["noise"][2] is None
    points = record["two_points"]
    assert points["found"] == pytest.approx(points["predicted"], abs=1e-3) and points["predicted"][1] == 0
    svd = record["svd"]
    assert svd["num_ends"] == svd["num_starts"] == 10 and svd["on_image"] == 0 and svd["moved"] < 1e-2
    assert record["test_on_image"] == 0


def test_basins_and_images_are_kept(workdir):
    with np.load(workdir / "attractors.npz") as arrays:
        basins = arrays["basins optimal 10"]
        assert basins.shape == (1, 5, 5) and set(np.unique(basins)) <= set(range(10))
        assert arrays["optimal 40: noise"].shape == (3, 8, 8, 8, 1) and "basins linear 40" not in arrays


def test_ranks_of_jacobians(workdir):
    record = read(workdir, "jacobians")
    optimal, linear, trained = (record["daes"][name] for name in ("optimal", "linear", "trained"))
    assert optimal["training image"][0]["largest"] < 1e-6 and optimal["training image"][0]["kept"] == 0
    assert optimal["between two"][0]["largest"] > 1 and optimal["between two"][0]["rank"] == pytest.approx(1, abs=0.1)
    assert len({row[0]["kept"] for row in linear.values()}) == 1  # the same everywhere
    assert optimal["noise"][1]["skew"] == 0 < trained["noise"][1]["skew"]


def test_the_report_draws_it(workdir):
    page = (workdir / "report" / "index.html").read_text()
    for title in ("Errors by noise level", "Where starts end", "Basins of attraction", "Two points", "Rank of the"):
        assert title in page
    assert "--jobs=" not in page, "nothing is missing"


def test_the_table_of_a_sweep(workdir, tmp_path):
    text = write_dae_sweep(tmp_path, {"one": workdir}, {"two": "no evaluate.json yet"})
    assert "| dae-quick | 40 | 1 | 0.05 |" in text and "Missing, no evaluate.json yet: two" in text
    row = next(line.split(" | ") for line in text.splitlines() if line.startswith("| dae-quick | 40 | 1 | 1 |"))
    evaluated, shares = read(workdir, "evaluate"), read(workdir, "attractors")["daes"]["trained 40"]["starts"]
    expected = evaluated["errors"]["test"]["trained"]["mse"][1] / evaluated["variance"]
    assert float(row[4]) == pytest.approx(expected, rel=1e-3)
    assert float(row[8]) == pytest.approx(shares["training"][1]["own"], abs=1e-3)
    assert (tmp_path / "sweep_dae-quick.png").is_file() and (tmp_path / "sweep.json").is_file()


def test_functions(workdir):
    run = vdm_jax.load(workdir)
    x = run.data.train.levels[:2]
    pixels = run.data.pixel_values[x]
    np.testing.assert_allclose(run.noise(x, 0.5, dae="optimal"), pixels - run.denoise(x, 0.5, dae="optimal"), atol=1e-6)
    known = run.settle(3 * pixels, 0.1)
    np.testing.assert_allclose(run.denoise(known, 0.1, dae="optimal"), known, atol=1e-2)  # at rest
    for wrong in (dict(sigma=9.0), dict(sigma=-1.0, dae="optimal"), dict(sigma=1.0, dae="best")):
        with pytest.raises(UserError, match="expected"):
            run.denoise(x, **wrong)
    with pytest.raises(UserError, match="eta=2.0"):
        run.settle(x, 0.1, eta=2.0)
    with pytest.raises(UserError, match="expected finite values"):
        run.denoise(pixels[:, :4], 0.5)


def test_smaller_subsets_are_part_of_larger_ones():
    config = dae.get_config("digits")
    config.subset.num_images = 10
    small = build_dae(config)
    large = take_subset(small.data.train, 50, 0)
    np.testing.assert_array_equal(small.subset.levels, large.levels[:10])
    other = take_subset(small.data.train, 10, 1)
    assert not np.array_equal(small.subset.levels, other.levels)


def test_standard_errors_are_those_of_n_less_1_values(key):
    """Of the values 1 and 9 that is 4; a single value has none."""
    images = np.float32([1, 3]).reshape(2, 1, 1, 1)
    zero = {"zero": Known(Partial(lambda x, sigma: 0 * x), images)}
    (found,) = errors_by_sigma(zero, images, [0.5], key, 2).values()
    assert found == {"mse": [5.0], "mse_standard_error": [4.0]}
    (found,) = errors_by_sigma(zero, images[:1], [0.5], key, 1).values()
    assert found == {"mse": [1.0], "mse_standard_error": [None]}
    spectra = np.array([[1.0, 0.0], [9.0, 0.0]])
    assert describe_spectra(spectra, np.array([1.0, 9.0]))["sum_standard_error"] == 4
    assert describe_spectra(spectra[:1], np.array([1.0]))["sum_standard_error"] is None
    ends = Ends(images**2, np.zeros(2, np.float32), 1)
    at = describe_ends(np.zeros((1, 1, 1, 1), np.float32), images, ends, "test", 0.5, 0.1)
    assert (at["distance"], at["distance_standard_error"]) == (5, 4)


def test_names_of_ends_and_the_plane():
    known = np.float32([[0, 0], [1, 0], [0, 1]])[:, :, None, None]
    ends = np.float32([[0.01, 0], [1, 0], [0.5, 0.5], [0.5, 0.51], [0.3, 0.3]])
    assert name_ends(known, ends, 0.1).tolist() == [0, 1, ELSEWHERE, ELSEWHERE, ELSEWHERE - 1]
    points, places, extent = plane_through(np.float32([[0, 0, 1], [1, 0, 1], [0, 1, 1]]), 3)
    assert points.shape == (3, 3, 3) and np.allclose(points[..., 2], 1)
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(1, abs=1e-6)
    assert (extent[0] < places.min(0)).all() and (extent[1] > places.max(0)).all()


MISTAKES = [
    ({"model.sigma_min": 5.0}, "sigma_min=5.0; expected at most"),
    ({"model.sigma_max": -1.0}, "sigma_max=-1.0; expected a number above 0"),
    ({"attractors.eta": 1.5}, "eta=1.5; expected a number above 0 and at most 1"),
    ({"attractors.sigmas": "0.2,0.1"}, "sigmas='0.2,0.1'; expected ascending"),
    ({"jacobians.sigmas": "a"}, "sigmas='a'; expected ascending"),
    ({"attractors.sizes": "2,10"}, "whole numbers of at least 3"),
]


@pytest.mark.parametrize(("settings", "told"), MISTAKES, ids=str)
def test_mistakes(settings, told):
    config = dae.get_config()
    config.update_from_flattened_dict(settings)
    with pytest.raises(UserError, match=told):
        check_dae(config)


def test_a_subset_larger_than_the_data_is_refused():
    config = dae.get_config()
    config.subset.num_images = 5_000
    with pytest.raises(UserError, match="num_images=5000; expected 3 to 1,297"):
        build_dae(config)


def test_lists():
    assert numbers_of("0.1,2", "evaluate.sigmas") == [0.1, 2.0] and sizes_of("") == [] and sizes_of("10,20") == [10, 20]
