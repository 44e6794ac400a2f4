"""The sections that are numbers: headline, bound by term, what the code holds, samples, config, provenance."""

import json
import math
from html import escape
from typing import Any

from vdm_jax.report.markup import card, details, missing, table
from vdm_jax.report.workdir import Workdir, flatten, is_number

NO_EVALUATION = missing("There is no readable evaluate.json yet", "evaluate")

TERMS = {
    "reconstruction_bpd": "reconstruction, −log p(x | z₀)",
    "prior_bpd": "prior, KL(q(z₁ | x) ‖ N(0, I))",
    "diffusion_bpd": "diffusion",
}
CODE = {
    "active_units": "active units of w",
    "mi_lower_nats": "I(x; w) at least, nats (InfoNCE)",
    "mi_upper_nats": "I(x; w) at most, nats (leave-one-out mixture; the rate R is another upper bound)",
    "aggregate_prior_rate_nats": "rate under the aggregate posterior of training images, nats",
}
PROBES = {"linear_probe_accuracy": "linear", "knn_accuracy": "kNN"}
PROBED = {
    "": "w, trained",
    "_untrained": "w, untrained encoder",
    "_raw_pixels": "raw pixels",
    "_pca": "principal components",
    "_random_projection": "random projection",
}
IMAGE_METRICS = {"psnr": "PSNR, dB", "rmse": "RMSE", "ssim": "SSIM", "frechet": "Fréchet distance", "fid": "FID"}
CURVES = ("frechet_by_n",)  # drawn, and no row of a table
ERROR_SUFFIXES = ("_standard_error", "_se")
OF_THE_BOUND = ("bpd", "encoder_kl_nats", "encoder_kl_bpd", "objective", *TERMS)
ENTROPY = ("entropy_nats", "bound_minus_entropy_nats")
ELSEWHERE = ("provenance", "reasons", "settings", "coverage", *ENTROPY, *OF_THE_BOUND, *CODE)


def measured(value: object, error: object = None) -> str:
    """Markup of `measured_text`."""
    text, plus_minus, error_text = measured_text(value, error).partition(" ± ")
    return escape(text) + (f' <span class="error">± {escape(error_text)}</span>' if plus_minus else "")


def measured_text(value: object, error: object = None) -> str:
    """`value ± error`, to two digits of the error (without one, to four of the value)."""
    if value is None:
        return "—"
    if not is_number(value):
        return value if isinstance(value, str) else json.dumps(value)
    if not math.isfinite(value):
        return "not finite"
    if not is_number(error) or not math.isfinite(error) or error <= 0:
        return _plain(value)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _plain(value: int | float) -> str:
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:,.0f}" if 1e4 <= size < 1e9 else f"{value:.4g}"


def standard_error(values: dict[str, Any], key: str) -> float | None:
    """`KEY_standard_error` (or `KEY_se`) among `values`."""
    found = [values[key + suffix] for suffix in ERROR_SUFFIXES if is_number(values.get(key + suffix))]
    return float(found[0]) if found else None


def _without_errors(values: dict[str, Any]) -> dict[str, Any]:
    """Entries that are no standard error of another entry."""
    errors = {key + suffix for key in values for suffix in ERROR_SUFFIXES}
    return {key: value for key, value in values.items() if key not in errors}


def probe_accuracies(values: dict[str, Any]) -> dict[str, str]:
    """Key in evaluate.json -> name, of every measured accuracy of a linear probe or of nearest neighbours."""
    names = {}
    for probe, method in PROBES.items():
        measured_keys = [k for k, v in _without_errors(values).items() if k.startswith(probe) and is_number(v)]
        known = [probe + suffix for suffix in PROBED]
        for key in sorted(measured_keys, key=lambda k: known.index(k) if k in known else len(known)):
            suffix = key.removeprefix(probe)
            names[key] = f"{method}: {PROBED.get(suffix, suffix.replace('_', ' ').strip())}"
    return names


def headline(workdir: Workdir) -> str:
    """Cards of the numbers that matter, then the bound term by term in bits per dimension and nats per image."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    bound = measured(values.get("bpd"), standard_error(values, "bpd"))
    objective = str(values.get("objective", "not recorded"))
    warning = "trained on what is no bound" if "not a bound" in objective else ""
    cards = [card("bound on −log p(x), D + R", bound, "bits per dimension", warning)]
    if is_number(values.get("bound_minus_entropy_nats")):
        above = measured(values["bound_minus_entropy_nats"], standard_error(values, "bound_minus_entropy_nats"))
        unit = f"nats per image; the entropy is {_plain(values['entropy_nats'])}"
        cards.append(card("bound minus the entropy of the data", above, unit))
    if is_number(values.get("loss")):
        cards.append(card("loss", measured(values["loss"], standard_error(values, "loss")), "per pixel; 1 for nothing"))
    for key, title, unit in (
        ("encoder_kl_nats", "rate R of the code", "nats per image"),
        ("linear_probe_accuracy", "linear probe on w", "accuracy on test images"),
    ):
        if is_number(values.get(key)):
            cards.append(card(title, measured(values[key], standard_error(values, key)), unit))
    cards += _frechet_card(values) + _fid_card(values)
    number = f" {_plain(values['num_images'])}" if is_number(values.get("num_images")) else ""
    passes = f", {_plain(values['passes'])} noise passes each" if is_number(values.get("passes")) else ""
    text = (
        f"<p>Mean over{number} test images{passes}, ± one standard error; lower is better. "
        f"Minimised: {escape(objective)}. D + R bounds −log p(x) whatever was minimised.</p>"
    )
    return f'<div class="cards">{"".join(cards)}</div>{_bound_table(workdir)}{text}'


def _frechet_card(values: dict[str, Any]) -> list[str]:
    """The distance beside its real-against-real floor, whether evaluate.json has it as a number or as an entry."""
    entry = {k: v for k, v in flatten(values.get("frechet"), "frechet").items() if is_number(v)}
    distance = next((v for k, v in entry.items() if k.endswith(("frechet", "distance"))), None)
    floor = next((v for k, v in entry.items() if k.endswith("floor")), None)
    unit = "of features" if floor is None else f"real against real: {_plain(floor)}"
    return [] if distance is None else [card("Fréchet distance", measured(distance), unit)]


def _fid_card(values: dict[str, Any]) -> list[str]:
    if not is_number(values.get("fid")):
        return []
    unit = f"real against real: {measured(values.get('fid_real'))}, N = {measured(values.get('fid_num_images'))}"
    return [card("FID", measured(values["fid"]), unit)]


def _bound_table(workdir: Workdir) -> str:
    values = workdir.evaluate
    per_nat = workdir.num_dims * math.log(2) if workdir.num_dims else math.nan

    def row(name: str, bpd: object, error: float | None) -> list[str]:
        nats = bpd * per_nat if is_number(bpd) and math.isfinite(per_nat) else None
        return [escape(name), measured(bpd, error), measured(nats, error * per_nat if error is not None else None)]

    rows = [row(name, values.get(key), standard_error(values, key)) for key, name in TERMS.items()]
    parts = [values.get(key) for key in TERMS]
    if all(map(is_number, parts)):
        rows.append(row("distortion D, the sum of these", sum(parts), standard_error(values, "distortion_bpd")))
    rate = row("rate R of the code", values.get("encoder_kl_bpd"), standard_error(values, "encoder_kl_bpd"))
    if is_number(values.get("encoder_kl_nats")):
        rate[2] = measured(values["encoder_kl_nats"], standard_error(values, "encoder_kl_nats"))
    elif (why := workdir.reason("encoder_kl_nats")) is not None:
        rate[0] += f' <span class="reason">({escape(why)})</span>'
    rows += [rate, row("bound, D + R", values.get("bpd"), standard_error(values, "bpd"))]
    return table(["", "bits / dim", "nats / image"], rows, numbers=(1, 2), totals=(len(rows) - 1,))


def code_table(workdir: Workdir) -> str:
    """What the code holds: active units and the bounds on mutual information; empty where none was evaluated."""
    own = (*CODE, *(f"{key}{suffix}" for key in CODE for suffix in ERROR_SUFFIXES))
    mine = {key: workdir.evaluate[key] for key in own if key in workdir.evaluate}
    rows = _flat_rows(workdir, mine)
    return table(["", ""], rows, numbers=(1,)) if rows else ""


def image_table(workdir: Workdir) -> str:
    """Fréchet distance and per-image errors, whatever of them evaluate.json has, nested entries under dotted names."""
    mine = {k: v for k, v in workdir.evaluate.items() if k.startswith(tuple(IMAGE_METRICS)) and k not in CURVES}
    if not mine:
        return missing("There are no image metrics yet", "evaluate")
    return table(["", ""], _flat_rows(workdir, mine), numbers=(1,))


def other_numbers(workdir: Workdir) -> str:
    """Everything else in evaluate.json."""
    if not workdir.evaluate:
        return NO_EVALUATION
    values = _without_errors(workdir.evaluate)
    shown = (*IMAGE_METRICS, *PROBES)
    rest = {k: v for k, v in values.items() if k not in ELSEWHERE and not k.startswith(shown)}
    rows = _flat_rows(workdir, rest)
    return table(["", ""], rows, numbers=(1,)) if rows else "<p>evaluate.json holds nothing else.</p>"


def _flat_rows(workdir: Workdir, values: dict) -> list[list[str]]:
    flat = flatten(values)
    shown = _without_errors(flat)
    return [[_name(workdir, key, value), measured(value, standard_error(flat, key))] for key, value in shown.items()]


def _name(workdir: Workdir, key: str, value: object) -> str:
    """The entry's name in words, and the reason under it where it has no value."""
    why = workdir.reason(key) if value is None else None
    name = escape(
        (CODE | IMAGE_METRICS).get(key)
        or key.replace("frechet", "Fréchet").replace("fid_", "FID_").replace(".", ": ").replace("_", " ")
    )
    return f'{name}<br><span class="reason">{escape(why)}</span>' if why else name


def config_section(workdir: Workdir) -> str:
    """The whole configuration, folded; so the one behind the numbers, which may have other settings of the jobs."""
    if not workdir.config:
        return missing("There is no readable config.json yet", "train")
    html = details(f"config.json: {workdir.config.get('name', 'unnamed')}", json.dumps(workdir.config, indent=2))
    if settings := workdir.evaluate.get("settings"):
        html += details("evaluate.json: the settings behind the numbers", json.dumps(settings, indent=2))
    return html


def provenance_section(workdir: Workdir) -> str:
    """Where the numbers come from: commit, device, versions, time."""
    pairs = flatten(workdir.provenance)
    rows = [[_name(workdir, key, value), measured(value)] for key, value in pairs.items()]
    return table(["", ""], rows) if rows else missing("No provenance is recorded yet", "evaluate")
