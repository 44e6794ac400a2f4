"""Made-up records of the studies of results/collapse, whose differences are known."""

import json

import numpy as np

from vdm_jax.report.published.collapse.causes import FACTORS

LOGSNR = np.linspace(4.0, -4.0, 9)
HALF = 4.3027 * 0.1 / 3**0.5  # of the 95% interval of `gap` over three seeds


def write_run(folder, study, stem, seed, gap=0.0, *, information=0.0, spread=0.0, saved=0.0, **numbers):
    """A run with D + R of 80 + 3 · seed, and above that `gap` + 0.1 · (seed - 1). Over nine images the gap varies by
    `spread`. The code saves `saved` nats per unit of log SNR below 0 and nothing above."""
    run = folder / study.folder / f"{study.prefix}{stem}-{seed}"
    run.mkdir(parents=True)
    own = gap + 0.1 * (seed - 1) if stem != "unconditional" else 0.0
    bound = 80.0 + 3 * seed + own
    record = {"bound_nats": bound, "mi_lower_nats": information, "entropy_nats": 6.5, "bound_minus_entropy_nats": bound}
    readout = {name: {"linear": {"value": 0.5 + own}, "mlp": {"value": 0.75}} for name in FACTORS}
    untrained = {name: {"linear": {"value": 0.5}} for name in FACTORS}
    record |= {"readout": readout, "readout_baselines": {"untrained": untrained}} | numbers
    (run / "evaluate.json").write_text(json.dumps(record))
    (run / "config.json").write_text(json.dumps({"train": {"seed": seed}}))
    images = bound + spread * np.linspace(-1, 1, 9)
    np.savez(run / "evaluate_images.npz", bound_nats=images)
    np.savez(run / "evaluate_curves.npz", logsnr=LOGSNR, own=5.0 - saved * (LOGSNR < 0))
    rows = [{"step": step, "split": "validation", "bound": 100.0 - step / 10} for step in range(10, 101, 10)]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return run


def write_setting(folder, study, stem, gap=0.0, seeds=(0, 1, 2), **numbers):
    """`write_run` for every seed."""
    return [write_run(folder, study, stem, seed, gap, **numbers) for seed in seeds]
