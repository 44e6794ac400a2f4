"""Chains and probes in the space of a code: the exact model has the exact curves, whether latents are random or not."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sprites import GRID, check, experiment, run_jobs

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.mesh import make_mesh, replicate
from vdm_jax.base.space import Space
from vdm_jax.data.pixels import pixels_of
from vdm_jax.data.sprite_data import make_sprite_data
from vdm_jax.experiments.common.space.encoded import encode_now, encoded_space
from vdm_jax.experiments.common.trained_model import load_trained
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.experiments.probes.checks import check_readers
from vdm_jax.experiments.probes.readers import readers_of
from vdm_jax.launch.settings import plain
from vdm_jax.report.page import write_report
from vdm_jax.report.sections import PROBES_PAGE

DATA = make_sprite_data(GRID)
SIZE = 12
FEW = {"exact__num_timesteps": 3, "chains__samplers": "exact:6", "chains__num_queries": 600, "chains__batch_size": 300}


def make_space(deviation=0.0, scale="none"):
    """Pixels times a random matrix, perhaps with noise; the decoder is the matrix' pseudo-inverse."""
    matrix = np.random.default_rng(0).normal(size=(DATA.num_dims, SIZE)).astype(np.float32) / 16
    pixels = pixels_of(DATA)

    def moments(params, levels):
        mean = pixels.moments({}, levels)[0].reshape(len(levels), -1) @ params
        return mean, jnp.full_like(mean, deviation**2) if deviation else None

    def decode(params, x):
        return (x @ jnp.linalg.pinv(params)).reshape(-1, *DATA.shape)

    space = Space("linear", f"m{deviation}", (SIZE,), jnp.asarray(matrix), moments, decode, None, None)
    return encoded_space(space, encode_now(space, DATA), DATA, scale)


@pytest.mark.slow
@pytest.mark.parametrize(("deviation", "readers"), [(0.0, "exact"), (0.2, "exact,sprite")])
def test_the_exact_model_is_on_the_exact_curves(deviation, readers, tmp_path):
    round_trips = {"chains__round_trips": bool(deviation)}  # those of rows are in test_experiments_labelled_images.py
    built = experiment(make_space(deviation, "global"), **FEW, **round_trips, chains__readers=readers)
    assert run_jobs(built, tmp_path, "exact", "chains") == "done"
    record = json.loads((tmp_path / "chains.json").read_text())
    assert record["space"] == built.space.about and record["space"]["scale"] == "global"
    found = record["samplers"]["exact:6"]
    at_0 = {name: feature["exact"]["accuracy"][0] for name, feature in record["features"].items()}
    assert (min(at_0.values()) < 0.99) == bool(deviation), "what random latents do not hold"
    for name, feature in found["features"].items():
        for curve, distance in feature["distances"].items():
            assert distance["standard_errors"] < 4, (name, curve, distance)
    told = found["real_or_generated"]
    assert np.all(abs(np.array(told["accuracy"]) - 0.5) < 4 * np.array(told["standard_error"]))
    assert found["far_from_data"] <= (0.04 if deviation else 0)
    errors = record["reader_errors"]
    assert errors["exact"]["errors"].keys() == record["features"].keys()
    assert errors["exact"]["any_error"] == 0 or deviation
    if readers == "exact":
        assert errors.keys() == {"exact"}
        return
    assert errors["sprite"]["any_error"] >= max(errors["sprite"]["errors"].values())
    assert found["features_by"].keys() == {"sprite"}
    page = write_report(tmp_path, PROBES_PAGE).read_text()
    assert "Error rates of the reader sprite on x of test images" in page and "In the space linear" in page


@pytest.fixture(scope="module")
def noisy():
    return experiment(
        make_space(0.1),
        **FEW,
        exact__max_queries=500,
        probe__net="mlp",
        probe__hidden=(64,),
        probe__learning_rate=1e-2,
        probe__num_updates=300,
        probe__warm_start=False,
        probe__num_test=256,
        probe__num_validation=64,
    )


@pytest.mark.slow
def test_probes_of_fresh_latents_come_near_the_exact_curve(noisy, tmp_path):
    assert run_jobs(noisy, tmp_path, "exact", "train", "probe") == "done"
    record = json.loads((tmp_path / "probe.json").read_text())
    assert record["space"]["fingerprint"] == "m0.1"
    for name, feature in record["features"].items():
        gaps = feature["exact_minus_probe"]
        gap = gaps["accuracy" if "accuracy" in gaps else "r2"]
        assert abs(gap[-1]) < 0.02, f"{name}: nothing is known at T"
    x = record["features"]["x"]
    assert x["exact"]["r2"][0] > 0.9 and x["exact_minus_probe"]["r2"][0] < 0.3, "it has seen 7 sprites of 8"


@pytest.mark.slow
def test_a_network_of_latents_reads_them_and_its_errors_are_recorded(noisy):
    """Of images that it has seen: few others of so few sprites are like them."""
    chains, population = noisy.config.chains.copy_and_resolve_references(), noisy.population
    population = population._replace(splits=dict.fromkeys(population.splits, population.splits["train"]))
    chains.readers, chains.reader_steps = "latent_net,exact", 300
    readers, about = readers_of(chains, DATA, population, noisy.space)
    errors = about["reader_errors"]
    assert list(readers) == ["latent_net", "exact"] and "net" not in about
    assert errors["exact"]["any_error"] < 0.2 and errors["latent_net"]["any_error"] < 0.3
    assert errors["latent_net"]["errors"].keys() == population.features.keys()
    of_a_model = replicate(jnp.zeros((2, SIZE)), make_mesh())  # as the weights of a sampler or of a decoder are
    read = jax.jit(lambda read, x: read(jax.random.key(0), x))(readers["latent_net"], of_a_model)
    assert jax.device_count() > 1 and read.keys() == population.features.keys()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"probe__net": "matched"}, "config.probe.net='matched' matches pixels"),
        ({"probe__net": "conv"}, "config.probe.net='conv' needs height, width and channels"),
    ],
)
def test_nets_that_do_not_fit_a_space_are_refused_where_they_train(settings, said, tmp_path):
    built = experiment(make_space(), **settings)
    check(built, tmp_path, "exact", "chains")
    with pytest.raises(UserError, match=re.escape(said)):
        check(built, tmp_path, "train")
    assert said in " ".join(KINDS["probes"].describe(built))


def test_readers_that_pixels_do_not_have_are_refused():
    chains = experiment(chains__readers="exact,latent_net").config.chains
    check_readers(chains, DATA, make_space())
    with pytest.raises(UserError, match="'latent_net' reads latents; in pixels expected any of"):
        check_readers(chains, DATA, None)


def test_a_model_of_another_space_is_refused(tmp_path):
    built = experiment(make_space(), chains__samplers="model-ddim:5", chains__model=str(tmp_path))
    config, space = built.config, built.space
    stated = {"data": plain(config)["data"], "model": {}, "diffusion": plain(config)["diffusion"]}

    def load(kind, fingerprint):
        write_json(tmp_path / "data.json", {"fingerprint": DATA.fingerprint})
        claim = {"kind": kind, "settings": stated, "inputs": {"space": fingerprint}}
        write_json(tmp_path / "claims" / "train.json", claim)
        return load_trained(str(tmp_path), "best", config, DATA, space)

    with pytest.raises(UserError, match="is of kind 'ddpm'; in a space expected one of"):
        load("ddpm", "")
    with pytest.raises(UserError, match="its space is q, this one m0.0"):
        load("latent_diffusion", "q")
