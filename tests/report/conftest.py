"""A workdir like the ones a run leaves: 8x8 images, ten classes, a rate target."""

import json
import math

import numpy as np
import pytest

NUM_DIMS = 64
CONFIG = {
    "name": "digits-target",
    "data": {"name": "digits"},
    "rate": {"mode": "target", "target_nats": 10.0},
    "train": {"num_steps": 2000, "learning_rate": 2e-3},
}
EVALUATE = {
    "bpd": 3.6842,
    "bpd_se": 0.0123,
    "objective": "D, R held at 10 nats",
    "reconstruction_bpd": 0.4127,
    "prior_bpd": 0.0021,
    "diffusion_bpd": 3.0411,
    "diffusion_bpd_se": 0.0119,
    "encoder_kl_nats": 10.13,
    "encoder_kl_nats_se": 0.11,
    "encoder_kl_bpd": 0.2283,
    "num_images": 300,
    "passes": 16,
    "checkpoint_step": 1800,
    "weights": "ema",
    "active_units": 16,
    "mi_lower_nats": 5.52,
    "mi_upper_nats": 5.69,
    "mi_upper_nats_standard_error": 0.02,
    "linear_probe_accuracy": 0.923,
    "linear_probe_accuracy_se": 0.015,
    "linear_probe_accuracy_raw_pixels": 0.98,
    "linear_probe_accuracy_pca": 0.977,
    "linear_probe_accuracy_untrained": 0.85,
    "knn_accuracy": 0.94,
    "frechet": {
        "distance": 7.91,
        "real_vs_real_floor": 1.21,
        "num_images": 300,
        "network": {"name": "digits classifier", "hash": "0a1b2c3d4e5f"},
    },
    "fid": 41.27,
    "fid_aggregate": None,
    "fid_real": 12.06,
    "fid_num_images": 300,
    "fid_network": {"name": "InceptionV3 of 2015-12-05", "hash": "beef00112233", "source_sha256": "6726825d0af5"},
    "rmse": 0.2718,
    "rmse_standard_error": 0.0031,
    "ssim": None,
    "reasons": {"ssim": "8x8 images are smaller than the 11x11 window", "fid_aggregate": "there is no code"},
    "provenance": {"commit": "922d38a0f5b1", "device": "2 x cpu (cpu, x86_64)", "versions": {"jax": "0.10.2"}},
}

SIZES = {"num_images": [37, 75, 150, 300], "num_reference": [162, 324, 648, 1297], "num_sets": [8, 4, 2, 1]}
PRIOR = {"distance": [20.1, 14.2, 10.1, 7.91], "standard_error": [0.9, 0.6, 0.5, None], "fit": [5.72, 653.0, -750.0]}
REAL = {"distance": [9.7, 4.85, 2.43, 1.21], "standard_error": [0.4, 0.2, 0.1, None], "fit": [0.0, 363.0, 0.0]}
FRECHET_BY_N = {
    "frechet": SIZES
    | {
        "fitted": [False, True, True, True],
        "curves": {
            "prior": PRIOR | {"extrapolated": 5.72, "extrapolated_standard_error": 0.6},
            "real": REAL | {"extrapolated": 0.0, "extrapolated_standard_error": 0.2},
        },
        "why": None,
    },
    "fid": SIZES
    | {
        "fitted": [False] * 4,
        "curves": {"prior": PRIOR | {"fit": None, "extrapolated": None, "extrapolated_standard_error": None}},
        "why": "2048 features need 8196 images of either kind, at least",
    },
}


def metric_rows():
    """Rows as the training loop writes them: train every 20 steps, validation every 200, falling to D = 152, R = 10."""
    rng = np.random.default_rng(0)
    for step in range(20, 2001, 20):
        for split in ("train", "validation"):
            if split == "validation" and step % 200:
                continue
            noise = rng.normal(0, 3 if split == "train" else 0.8)
            distortion, rate = 152 + 500 * math.exp(-step / 120) + noise, 10 + 25 * math.exp(-step / 300)
            bound = distortion + rate
            terms = {"bound": bound, "distortion": distortion, "rate": rate, "bpd": bound / (NUM_DIMS * math.log(2))}
            yield {"step": step, "split": split, "loss": bound, **terms, "seconds": step / 10}


def write_curves(workdir, *, conditional=True):
    logsnr = np.linspace(-5, 8, 24)
    own = 9.0 * np.exp(-0.5 * ((logsnr - 3) / 3.2) ** 2) + 2
    arrays = {"logsnr": logsnr, "own": own, "own_se": np.full(24, 0.12)}
    if conditional:
        bump = 2.2 * np.exp(-0.5 * ((logsnr + 0.5) / 1.6) ** 2)
        arrays |= {"shuffled": own + bump, "shuffled_se": np.full(24, 0.15)}
        arrays |= {"from_prior": own + 1.3 * bump, "from_prior_se": np.full(24, 0.16)}
        arrays |= {"shuffled_cost": bump, "shuffled_cost_se": np.full(24, 0.03)}
        arrays |= {"from_prior_cost": 1.3 * bump, "from_prior_cost_se": np.full(24, 0.04)}
    np.savez(workdir / "evaluate_curves.npz", **arrays)
    return arrays


def write_samples(workdir, images):
    """`images`: uint8 [at least 64, H, W, C]."""
    rng = np.random.default_rng(1)
    folder = workdir / "samples"
    folder.mkdir()
    source = images[:8]
    noise = rng.integers(0, 256, source.shape).astype(np.float64)
    times = np.linspace(1, 0, 9)
    chain = np.stack([t * noise + (1 - t) * source for t in times], axis=1).astype(np.uint8)
    for name, shift in (("real", 0), ("prior", 3), ("aggregate", 7)):
        np.savez(folder / f"{name}.npz", arr_0=np.roll(images, shift, axis=0)[:64])
    generated = np.stack([np.roll(source, k - 4, axis=2) for k in range(8)], axis=1)
    np.savez(folder / "guided.npz", source=source, generated=generated)
    np.savez(folder / "chain.npz", source=source, chain=chain, times=times)


def write_embeddings(workdir):
    rng = np.random.default_rng(2)
    labels = np.arange(300) % 10
    centres = rng.normal(size=(10, 2))
    keys = {"pca_untrained": 0.9, "pca_trained": 0.5, "tsne_untrained": 0.6, "tsne_trained": 0.15}
    points = {key: 10 * (centres[labels] + spread * rng.normal(size=(300, 2))) for key, spread in keys.items()}
    np.savez(workdir / "embeddings.npz", labels=labels.astype(np.int32), **points)


@pytest.fixture
def images():
    """Diagonal strokes on black, [64, 8, 8, 1]."""
    rows, columns, index = np.mgrid[:8, :8, :64]
    stroke = np.abs((rows - columns + index) % 8 - 4) / 4
    return (255 * stroke).astype(np.uint8).transpose(2, 0, 1)[..., None]


@pytest.fixture
def workdir(tmp_path, images):
    """Everything a conditional run leaves."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "evaluate.json").write_text(json.dumps(EVALUATE | {"frechet_by_n": FRECHET_BY_N}))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metric_rows()))
    write_curves(path)
    write_samples(path, images)
    write_embeddings(path)
    return path


@pytest.fixture
def frechet_by_n():
    """What evaluate.json says of distances against N."""
    return FRECHET_BY_N
