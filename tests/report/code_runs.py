"""Records of the kind "codes" with known numbers, for the tests of its report and comparison."""

import json
import pathlib

import numpy as np


def entry(value: float, num: int = 300) -> dict:
    return {"value": value, "standard_error": 0.01, "num": num}


def code(accuracy: float, *, of: str = "trained", noisy: bool = False, **about) -> dict:
    information = {"lower_nats": entry(3.0), "upper_nats": entry(3.5), "rate_nats": entry(4.0)} if noisy else None
    reader = entry(accuracy) | {"information_nats": entry(2.0 * accuracy)}
    trained = {"name": "digits-x", "seed": 0, "step": 2_000} if of == "trained" else {}
    return {
        "about": {"of": of, "width": 16} | trained | about,
        "reasons": {"disentanglement": "the factors of these images are not known"},
        "readouts": {"class": {"metric": "accuracy", "entropy_nats": 2.3, "linear": reader, "mlp": reader}},
        "neighbours": {"class": entry(accuracy - 0.1)},
        "few_labels": {"class": {"1": entry(accuracy - 0.4), "10": entry(accuracy - 0.2)}},
        "active_units": 16,
        "information": information,
        "disentanglement": None,
    }


def cost_of(rate: float | None, distortion: float) -> dict:
    of_rate = None if rate is None else entry(rate)
    bound = entry(distortion + (rate or 0.0))
    costs = {"rate_nats": of_rate, "distortion_nats": entry(distortion), "bound_nats": bound, "score_loss": None}
    return costs | {"reasons": {"score_loss": "no score"}}


def codes_of(seed: int = 0, shift: float = 0.0) -> dict:
    codes = {"drl": code(0.9 + shift), "vae_vdm": code(0.8 + shift, noisy=True), "pixels": code(0.95, of="pixels")}
    return {
        "factors": {"class": 10},
        "num_images": {"train": 1297, "validation": 200, "test": 300},
        "codes": codes,
        "costs": {
            "vae_vdm": cost_of(4.0, 76.5 + seed + shift),
            "drl": cost_of(None, 70.0)
            | {"bound_nats": None, "reasons": {"bound_nats": "no rate", "rate_nats": "no rate"}},
            "unconditional": cost_of(None, 80.0 + seed),
        },
        "settings": {
            "name": "codes-digits",
            "runs": {"drl": f"/runs/{seed}"},
            "variants": {"drl": "representation:drl"},
            "codes": {"seed": seed},
        },
        "provenance": {"commit": "0123", "data": "digits"},
    }


def write_codes(workdir: pathlib.Path, record: dict, name: str = "codes") -> pathlib.Path:
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / f"{name}.json").write_text(json.dumps(record))
    return workdir


def with_times(record: dict) -> dict:
    """The record with E(x, t) at two times, together, and before its training; the second time is the better one."""
    parts = {
        "timed@0.2": code(0.6, time=0.2),
        "timed@0.8": code(0.9, time=0.8),
        "timed@all": code(0.92, width=32),
        "timed@all_pca_16": code(0.91),
        "wide": code(0.93, width=32),
        "untrained_timed@0.2": code(0.5, of="untrained", time=0.2),
        "untrained_timed@0.8": code(0.4, of="untrained", time=0.8),
    }
    return record | {"codes": record["codes"] | parts}


def decoded_of(names: tuple[str, ...] = ("drl", "vae_vdm")) -> tuple[dict, dict[str, np.ndarray]]:
    """decoded.json and the arrays of decoded.npz."""
    part = {"reconstruction": {"rmse": entry(0.25), "identified": entry(0.5)}, "interpolation": entry(0.2, 20)}
    record = {
        "own": dict.fromkeys(names, part),
        "linear": {"pca_16": part},
        "references": {"test_images": entry(0.13), "blends": entry(0.17, 20)},
        "reasons": {},
    }
    images = np.zeros((4, 8, 8, 1), np.uint8)
    arrays = {"source": images} | {f"own {name}": images for name in names} | {"linear pca_16": images}
    return record, arrays | {f"own {name} path": np.zeros((2, 5, 8, 8, 1), np.uint8) for name in names}


def worth_of() -> dict:
    """worth.json: a ceiling whose area is 6 nats, half of it above log SNR 0."""

    def curve(values: list[float], area: float) -> dict:
        return {"mean": values, "standard_error": [0.05] * len(values), "area": entry(area, 100)}

    run = {"of_time": False, "error_train": curve([5.0, 2.0, 0.5], 20.0), "error_test": curve([5.0, 2.0, 0.5], 21.0)}
    return {
        "logsnr": [4.0, 0.0, -4.0],
        "ceiling": curve([0.0, 1.5, 0.0], 6.0),
        "within": {"class": curve([0.0, 0.5, 0.1], 2.3)},
        "runs": {"drl": run | {"help": curve([-5.0, -0.5, -0.5], -14.0)}, "unconditional": run},
        "reference": "unconditional",
        "against_reference": {"drl": curve([0.0, 0.4, 0.1], 1.5)},
        "num_train": 1297,
        "num_distinct": 1297,
        "reasons": {},
    }
