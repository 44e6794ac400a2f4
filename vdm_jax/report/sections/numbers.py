"""The numbers of evaluate.json: headline, the bound by term, and all others."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, card, folded, missing, table
from vdm_jax.report.primitives.measured import measured, plain, rows_of, standard_error, without_errors
from vdm_jax.report.primitives.workdir import Workdir, is_number, leaves
from vdm_jax.report.sections.codes import CODE_NUMBERS, PROBES

NO_EVALUATION = missing("There is no readable evaluate.json yet", "evaluate")
TERMS = {
    "reconstruction_bpd": "reconstruction, −log p(x | z₀)",
    "prior_bpd": "prior, KL(q(z₁ | x) ‖ N(0, I))",
    "diffusion_bpd": "diffusion",
}
OF_THE_BOUND = ("bpd", "encoder_kl_nats", "encoder_kl_bpd", "objective", *TERMS)
ENTROPY = ("entropy_nats", "bound_minus_entropy_nats")
NOTHING = measured(None)
READOUTS = ("readout", "readout_baselines")
ELSEWHERE = (
    *("provenance", "reasons", "settings", "coverage", "frechet_by_n", "score_loss"),
    *(*ENTROPY, *OF_THE_BOUND, *CODE_NUMBERS, *READOUTS),
)


def headline(workdir: Workdir, gallery: Gallery) -> str:
    """Cards of the main numbers, then the bound by term in bits per dimension and nats per image."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    objective = str(values.get("objective", "not recorded"))
    warning = "the training objective is not a bound" if "not a bound" in objective else ""
    cards = []
    if is_number(values.get("bpd")):
        bound = measured(values["bpd"], standard_error(values, "bpd"))
        cards.append(card("bound on −log p(x), D + R", bound, "bits per dimension", warning))
    if is_number(values.get("bound_minus_entropy_nats")):
        above = measured(values["bound_minus_entropy_nats"], standard_error(values, "bound_minus_entropy_nats"))
        unit = f"nats per image; the entropy is {plain(values['entropy_nats'])}"
        cards.append(card("bound minus the entropy of the data", above, unit))
    if is_number(values.get("loss")):
        unit = "per pixel; a prediction of zero has 1"
        cards.append(card("loss", measured(values["loss"], standard_error(values, "loss")), unit))
    if is_number(values.get("score_loss")):
        found = measured(values["score_loss"], standard_error(values, "score_loss"))
        cards.append(card("J, error of the conditional score", found, "in its own weighting"))
    for key, title, unit in (
        ("encoder_kl_nats", "rate R of the code", "nats per image"),
        ("linear_probe_accuracy", "linear probe on w", "accuracy on test images"),
    ):
        if is_number(values.get(key)):
            cards.append(card(title, measured(values[key], standard_error(values, key)), unit))
    cards += _frechet_card(values) + _fid_card(values)
    number = f" {plain(values['num_images'])}" if is_number(values.get("num_images")) else ""
    passes = f", {plain(values['passes'])} noise passes each" if is_number(values.get("passes")) else ""
    text = (
        f"<p>Mean over{number} test images{passes}, ± one standard error; lower is better. "
        f"Minimised: {escape(objective)}."
    )
    text += " D + R bounds −log p(x) for every training objective.</p>" if is_number(values.get("bpd")) else "</p>"
    if (why := workdir.reason("encoder_kl_nats")) is not None:
        text += f"<p>There is no rate R: {escape(why)}.</p>"
    return f'<div class="cards">{"".join(cards)}</div>{_bound_table(workdir)}{text}'


def _frechet_card(values: dict[str, Any]) -> list[str]:
    """The distance and its real-against-real floor, from a number or a nested entry of evaluate.json."""
    entry = {place: value for place, value in leaves(values.get("frechet")).items() if is_number(value)}
    distance = next((v for place, v in entry.items() if not place or place[-1].endswith("distance")), None)
    floor = next((v for place, v in entry.items() if place and place[-1].endswith("floor")), None)
    unit = "of features" if floor is None else f"real against real: {plain(floor)}"
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
    rows += [rate, row("bound, D + R", values.get("bpd"), standard_error(values, "bpd"))]
    known = [each for each in rows if each[1:] != [NOTHING, NOTHING]]
    totals = [i for i, each in enumerate(known) if each is rows[-1]]
    columns = [0, *(i for i in (1, 2) if any(each[i] != NOTHING for each in known))]
    head, cells = ["", "bits / dim", "nats / image"], [[each[i] for i in columns] for each in known]
    return table([head[i] for i in columns], cells, numbers=(1, 2), totals=totals) if known else ""


def other_numbers(workdir: Workdir, gallery: Gallery, elsewhere: Sequence[str] = ELSEWHERE) -> str:
    """All numbers of evaluate.json that no table or figure shows, folded, and the reasons of those without a value.

    elsewhere: keys that the other sections show.
    """
    if not workdir.evaluate:
        return NO_EVALUATION
    values = without_errors(workdir.evaluate)
    rest = {k: v for k, v in values.items() if k not in elsewhere and not k.startswith(tuple(PROBES)) and v is not None}
    rows = [row for row in rows_of(workdir, rest, {}) if row[1] != NOTHING]
    html = folded("All other numbers of evaluate.json, by their names there", table(["", ""], rows, numbers=(1,)))
    reasons = workdir.evaluate.get("reasons")
    missed: dict[str, list[str]] = {}
    for key, why in reasons.items() if isinstance(reasons, dict) else ():
        missed.setdefault(str(why), []).append(str(key))
    rows = [[escape(", ".join(keys)), escape(why)] for why, keys in missed.items()]
    return html + (folded("What was not measured, and why", table(["", ""], rows)) if rows else "")


def run_facts(workdir: Workdir) -> list[tuple[str, str]]:
    """The checkpoint that was evaluated and the length of the training, for the header of the page."""
    step = workdir.evaluate.get("checkpoint_step")
    weights = workdir.evaluate.get("weights", "unknown")
    evaluated = f"{step:,} ({weights} weights)" if is_number(step) else "not evaluated yet"
    trained = f"{workdir.metrics[-1]['step']:,.0f} steps" if workdir.metrics else "not yet"
    return [("evaluated at step", evaluated), ("trained", trained)]


NUMBERS = Section("numbers", "The numbers", headline, run_facts)
OTHER_NUMBERS = Section("other", "Raw numbers", other_numbers)
