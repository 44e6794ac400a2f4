"""Records of the kind "codes" with known numbers, for the tests of its report and comparison."""

import json
import pathlib


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


def codes_of(seed: int = 0, shift: float = 0.0) -> dict:
    codes = {"drl": code(0.9 + shift), "vae_vdm": code(0.8 + shift, noisy=True), "pixels": code(0.95, of="pixels")}
    return {
        "factors": {"class": 10},
        "num_images": {"train": 1297, "validation": 200, "test": 300},
        "codes": codes,
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
