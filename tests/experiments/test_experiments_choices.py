"""Every kind of schedule, target, sampler and arithmetic end to end: trained, evaluated, sampled, and finite."""

import json
import math

import numpy as np
import pytest
from launching import arguments
from reading import jobs_read_what_is_declared

import launch

TABLE = {
    "diffusion__schedule": "cosine",
    "diffusion__num_steps": 20,
    "diffusion__target": "x",
    "diffusion__weighting": "min_snr",
    "rate__prior": "diffusion",
    "rate__prior_steps": 5,
    "sample__sampler": "dpmpp_2m",
    "sample__grid": "logsnr",
    "train__learning_rate_schedule": "constant",
}
LEARNED = {
    "diffusion__schedule": "monotone",
    "diffusion__target": "v",
    "model__dtype": "bfloat16",
    "model__w_dim": 1,
    "model__unet__conditioning": "concat",
    "train__accumulate": 2,
    "sample__sampler": "ddim",
    "rate__mode": "free_bits",
    "rate__target_nats": 10.0,
}


@pytest.mark.slow
@pytest.mark.parametrize("choices", [TABLE, LEARNED], ids=["table", "learned"])
def test_choices_end_to_end(choices, tmp_path, monkeypatch):
    monkeypatch.setattr("vdm_jax.experiments.vae_vdm.evaluate.TSNE_IMAGES", 12)
    few = {"train__num_steps": 2, "train__eval_every": 2, "train__checkpoint_every": 2}
    few |= {"evaluate__num_images": 40, "evaluate__frechet_images": 0, "evaluate__batch_size": 40}
    with jobs_read_what_is_declared(tmp_path):
        assert launch.main(["launch.py", *arguments(tmp_path, jobs="train,evaluate,sample", **(few | choices))]) == 0
    values = json.loads((tmp_path / "evaluate.json").read_text())
    numbers = [value for value in values.values() if isinstance(value, float)]
    assert len(numbers) > 40 and all(map(math.isfinite, numbers))
    parts = values["reconstruction_nats"] + values["prior_nats"] + values["diffusion_nats"]
    assert values["bound_nats"] == pytest.approx(parts + values["encoder_kl_nats"], rel=1e-5)
    assert values["settings"]["sample"]["sampler"] == choices["sample__sampler"]
    with np.load(tmp_path / "evaluate_curves.npz") as curves:
        assert all(np.isfinite(curves[name]).all() for name in curves.files)
    with np.load(tmp_path / "samples" / "prior.npz") as samples:
        assert samples["arr_0"].shape == (20, 8, 8, 1) and samples["arr_0"].std() > 0
