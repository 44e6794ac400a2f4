"""Chains of a trained model: one whose eps_hat is the exact one has the exact curves, a broken one is far from them."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sprites import GRID, experiment, model_of

from vdm_jax.data.sprite_posterior import make_sprite_posterior
from vdm_jax.evals.feature_reader import FeatureReader
from vdm_jax.evals.frechet import FeatureNetwork
from vdm_jax.experiments.common.exact import exact
from vdm_jax.experiments.probes import readers as readers_module
from vdm_jax.experiments.probes.chains import chains
from vdm_jax.experiments.probes.readers import net_reader
from vdm_jax.probing.population import draw_members
from vdm_jax.report.page import write_report
from vdm_jax.report.sections import PROBES_PAGE

SAMPLERS = "ancestral:20,model-ancestral:20,model-ddim:20"
FEWER = {"exact__num_timesteps": 3, "chains__num_queries": 400, "chains__batch_size": 400}


def with_model(grid=GRID, step=7, **settings):
    built = experiment(chains__model="somewhere", **{"chains__samplers": SAMPLERS} | FEWER | settings)
    return dataclasses.replace(built, model=model_of(make_sprite_posterior(grid), built.schedule, step))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained")
    assert exact(experiment(**FEWER), path) == chains(with_model(), path) == "done"
    return path, json.loads((path / "chains.json").read_text())


@pytest.mark.slow
def test_the_exact_eps_hat_has_the_exact_models_curves(record):
    _, record = record
    assert record["model"]["step"] == 7 and record["readers"] == ["exact"] and record["net"] is None
    by_x, by_eps = (record["samplers"][name]["features"] for name in ("ancestral:20", "model-ancestral:20"))
    for name, feature in by_eps.items():
        for curve in ("backward", "round_trip"):
            for key, values in feature[curve].items():
                if not key.endswith("standard_error") and "by_class" not in key:
                    np.testing.assert_allclose(values, by_x[name][curve][key], atol=0.02, err_msg=f"{name} {key}")
    ddim = record["samplers"]["model-ddim:20"]["features"]["x"]["distances"]["backward_accuracy"]
    assert ddim["standard_errors"] > 4


def test_weights_that_were_trained_further_are_measured_again(record, tmp_path, capfd):
    path, before = record
    again = shutil.copytree(path, tmp_path / "again")
    built = with_model(step=8)
    built.config.chains.samplers = "ancestral:20,model-ddim:20"
    assert chains(built, again) == "done"
    told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("chains:")]
    assert len(told) == 4 and all("model-ddim" in line for line in told)
    after = json.loads((again / "chains.json").read_text())
    assert after["model"]["step"] == 8 and after["samplers"].keys() == {"ancestral:20", "model-ddim:20"}
    same = (found["samplers"]["ancestral:20"]["features"] for found in (before, after))
    assert next(same) == next(same)


@pytest.mark.slow
def test_a_model_that_knows_one_shape_alone_is_far_from_all(tmp_path):
    only = dataclasses.replace(GRID, shapes=("square",))
    assert exact(experiment(**FEWER), tmp_path) == "done"
    built = with_model(only, chains__samplers="model-ancestral:20")
    assert chains(built, tmp_path) == "done"
    found = json.loads((tmp_path / "chains.json").read_text())["samplers"]["model-ancestral:20"]
    shape = found["features"]["shape"]
    assert shape["generated"]["share"] == [1, 0] and shape["plateau"]["backward"] == 1
    assert shape["round_trip"]["kept_by_class"][-1] == [1, 0]  # each class's share of what is generated
    assert shape["distances"]["plateau_by_class"]["largest"] == 0
    assert shape["distances"]["round_trip_kept"]["standard_errors"] > 4
    assert found["real_or_generated"]["distance"]["standard_errors"] > 4
    page = write_report(tmp_path, PROBES_PAGE).read_text()
    assert "step 7, ema weights" in page and "real or generated: accuracy and 0.5" in page


@pytest.mark.slow
def test_a_network_reads_beside_the_exact_reader(key, tmp_path, monkeypatch):
    """One that always sees the first value of every factor."""
    sizes = dict(zip(("shape", "scale", "orientation", "x", "y"), GRID.sizes, strict=True))
    logits = jnp.concatenate([jnp.eye(size)[0] for size in sizes.values()])
    network = FeatureNetwork("features of tiny", "0", "none")
    net = FeatureReader(
        lambda params, x, **_: (jnp.tile(logits, (len(x), 1)), x),
        {},
        np.array([-1, 1]),
        sizes,
        network,
        {"x": 0.5},
        0.6,
    )
    built = experiment(**FEWER | {"chains__readers": "net,exact", "chains__samplers": "exact:4"})
    x, labels = draw_members(built.population.access, key, 30, len(GRID))
    read = net_reader(built.data, built.population, net)(jax.random.fold_in(key, 1), x)
    assert not any(np.any(label) for label in read.values()) and np.any(labels["x"])
    monkeypatch.setattr(readers_module, "trained_reader", lambda *_: net)
    assert exact(built, tmp_path) == chains(built, tmp_path) == "done"
    record = json.loads((tmp_path / "chains.json").read_text())
    assert record["readers"] == ["net", "exact"] and record["net"]["any_error"] == 0.6
    found = record["samplers"]["exact:4"]
    assert found["features"]["x"]["generated"]["share"] == [1, 0, 0]
    assert max(found["features_by"]["exact"]["x"]["generated"]["share"]) < 0.6
    assert "x 50.0%; in any 60.0%" in write_report(tmp_path, PROBES_PAGE).read_text()
