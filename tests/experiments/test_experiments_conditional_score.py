"""DRL end to end: a code for each time beside labels, in a band of log SNR; VDRL; and class-conditional diffusion."""

import json
import math
from functools import partial

import jax
import numpy as np
import pytest
from launching import arguments
from reading import jobs_read_what_is_declared

import launch
import vdm_jax
from vdm_jax.base.errors import UserError
from vdm_jax.evals import image_distances
from vdm_jax.evals.feature_net import train_feature_net

FEW = {"train__num_steps": 2, "train__eval_every": 2, "train__checkpoint_every": 2, "evaluate__num_images": 40}
LABELS = {"diffusion__loss": "conditional_score", "model__labels": True, "sample__guidance": 1.0}
DRL = {"model__deterministic": True, "model__encoder_time": True, "rate__mode": "none", "diffusion__band_high": 0.0}


def run(workdir, jobs, **choices) -> dict:
    """evaluate.json of a run of these jobs."""
    with jobs_read_what_is_declared(workdir, all_jobs="sample" in jobs):
        assert launch.main(["launch.py", *arguments(workdir, jobs=jobs, **(FEW | LABELS | choices))]) == 0
    values = json.loads((workdir / "evaluate.json").read_text())
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    return values


@pytest.mark.slow
def test_a_code_for_each_time_beside_labels_end_to_end(tmp_path, key, monkeypatch):
    monkeypatch.setattr("vdm_jax.experiments.vae_vdm.evaluate.TSNE_IMAGES", 12)
    values = run(tmp_path, "train,evaluate,sample,report", **DRL, evaluate__frechet_images=0)
    assert values["score_loss"] > 0 and values["linear_probe_accuracy"] > 0
    missing = ("bound_nats", "bpd", "encoder_kl_nats", "mi_lower_nats", "diffusion_from_prior_nats")
    assert all(values[name] is None and name in values["reasons"] for name in missing)
    sets = {path.stem for path in (tmp_path / "samples").glob("*.npz")}
    assert sets == {"real", "aggregate", "guided", "chain"}
    page = (tmp_path / "report" / "index.html").read_text()
    assert "The code is deterministic: it has no rate" in page and "under its code and label" in page
    model = vdm_jax.load(tmp_path)
    x = model.data.test.levels[:2]
    early, late = (np.asarray(model.encode(x, t=t)[0]) for t in (0.1, 0.9))
    assert early.shape == late.shape == (2, 16) and np.abs(early - late).max() > 1e-4
    assert model.reconstruct(key, x).shape == x.shape
    with pytest.raises(UserError, match="a code for each time"):
        model.sample(key, 2)


@pytest.mark.slow
def test_vdrl_is_trained_has_a_bound_and_draws_from_its_prior(tmp_path, key):
    settings = FEW | {"diffusion__loss": "conditional_score", "diffusion__weighting": "p2"}
    with jobs_read_what_is_declared(tmp_path, all_jobs=False):
        assert launch.main(["launch.py", *arguments(tmp_path, jobs="train", **settings)]) == 0
    model = vdm_jax.load(tmp_path)
    terms = model.bound(key, model.data.test.levels[:4])
    assert all(np.isfinite(term).all() for term in terms) and (np.asarray(terms.encoder_kl) > 0).all()
    first, second = (model.sample(key, 2) for key in jax.random.split(key))
    assert first.shape == (2, 8, 8, 1) and (first != second).any(), "w and z_1 from their priors"


@pytest.mark.slow
def test_labels_take_the_place_of_a_code_end_to_end(tmp_path, key, monkeypatch):
    monkeypatch.setattr(image_distances, "train_feature_net", partial(train_feature_net, num_steps=2))
    without = {"model__encoder": "none", "model__w_dim": None, "evaluate__probe_images": None}
    values = run(tmp_path, "train,evaluate", **without)
    assert values["bound_nats"] is None and "label" in values["reasons"]["bound_nats"]
    assert 0 <= values["guided_label_kept"] <= 1 and values["psnr"] is None and values["frechet"] is not None
    model = vdm_jax.load(tmp_path)
    zero, own = (model.sample(key, 2, labels=labels) for labels in (0, np.arange(2)))
    assert (zero[0] == own[0]).all() and (zero[1] != own[1]).any()
    with pytest.raises(UserError, match=r"labels=\[10\]; expected a class from 0 to 9, or 1 of them"):
        model.sample(key, 1, labels=np.array([10]))
    with pytest.raises(UserError, match="the label is given"):
        model.bound(key, model.data.test.levels[:1])
