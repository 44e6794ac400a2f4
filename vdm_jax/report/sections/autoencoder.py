"""The page of an autoencoder: its numbers, reconstructions, readouts and disentanglement scores."""

from functools import partial
from html import escape
from typing import Any

from vdm_jax.base.images import page_size
from vdm_jax.report.page import Section
from vdm_jax.report.primitives import image_figures
from vdm_jax.report.primitives.autoencoder_names import BOUND, RECONSTRUCTION, SCORES, description, no_bits
from vdm_jax.report.primitives.markup import Gallery, card, figure, missing, not_applicable, panel, table
from vdm_jax.report.primitives.measured import entry, measured, plain
from vdm_jax.report.primitives.workdir import Workdir
from vdm_jax.report.sections.numbers import NO_EVALUATION, other_numbers, run_facts

CARDS = (
    (("reconstruction_sum",), "reconstruction error", "squared error summed over a test image, pixels in [0, 1]"),
    (("bound_nats",), "bound on −log p(x), D + R", "nats per image"),
    (("rate_nats",), "rate R of the latents", "nats per image"),
    (("prior_samples_on_data",), "prior samples on the data", "share of decoded draws"),
    (("readout", "shape", "linear"), "shape by a linear readout", "accuracy on test images"),
    (("readout", "class", "linear"), "class by a linear readout", "accuracy on test images"),
)
MAX_PAIR_ROWS = 4
READERS = {"linear": "linear", "mlp": "MLP"}
METRICS = {"r2": "R²"}
INPUTS = {"pixels": "raw pixels", "pca": "PCA of the same size", "untrained": "untrained encoder"}


def headline(workdir: Workdir, gallery: Gallery) -> str:
    """What was made, cards of the main numbers, then reconstruction and bound."""
    values = workdir.evaluate
    if not values:
        return NO_EVALUATION
    cards = [
        card(title, measured(value, error), unit)
        for place, title, unit in CARDS
        for value, error, _ in [entry(values, *place)]
        if value is not None
    ]
    rows = _rows(values, RECONSTRUCTION | BOUND)
    number = f"{plain(values['num_images'])} " if entry(values, "num_images")[0] is not None else ""
    text = f"<p>Mean over {number}test images ± one standard error over images.</p>"
    if (why := workdir.reason("bound_nats")) is not None:
        text += f"<p>There is no bound: {escape(why)}.</p>"
    if entry(values, "bound_nats")[0] is not None and (why := no_bits(workdir.config)):
        text += f"<p>{escape(why)}</p>"
    numbers = table(["", ""], rows, numbers=(1,)) if rows else ""
    return f'<p>{escape(description(workdir))}</p><div class="cards">{"".join(cards)}</div>{numbers}{text}'


def _rows(values: dict[str, Any], names: dict[str, str]) -> list[list[str]]:
    found = {name: entry(values, key) for key, name in names.items()}
    return [[escape(name), measured(value, error)] for name, (value, error, _) in found.items() if value is not None]


def reconstruction_section(workdir: Workdir, gallery: Gallery) -> str:
    """Test images and their reconstructions, and the share whose nearest sprite is the original."""
    real, made = workdir.images("real"), workdir.images("reconstructions")
    nearest = _nearest_table(workdir.evaluate.get("nearest_sprite"))
    if real is None or made is None or real.shape != made.shape:
        absent = missing("There are no reconstructions yet", "sample")
        return f"{absent}{nearest}" if nearest else absent
    number = MAX_PAIR_ROWS * page_size(*real.shape[1:])[1]
    drawn = image_figures.pairs_figure(real[:number], made[:number], ("image", "decoded"))
    shown = panel(gallery.save("reconstructions", drawn), alt="test images above their reconstructions", wide=True)
    what = "Test images (image) above their reconstructions (decoded): the mean of the latents, decoded. Not selected."
    return figure([shown], what) + nearest


def _nearest_table(nearest: object) -> str:
    """Share of reconstructions whose nearest sprite has the factor of the original; "" without sprites."""
    if not isinstance(nearest, dict):
        return ""
    found = {name: entry(nearest, name) for name in nearest}
    names = {"any": "all factors: the nearest sprite is the original"}
    rows = [
        [escape(names.get(name, name.replace("_", " "))), measured(value, error)]
        for name, (value, error, _) in found.items()
        if value is not None
    ]
    if not rows:
        return ""
    number = next((n for _, _, n in found.values() if n), None)
    over = f" ({plain(number)} test images)" if number else ""
    head = f"what the nearest sprite of a reconstruction shares with the original{over}"
    return table([head, "share ± standard error"], rows, numbers=(1,))


def readout_section(workdir: Workdir, gallery: Gallery) -> str:
    """Linear and MLP readouts of every factor from the latents, beside pixels, PCA and the untrained encoder."""
    readout, baselines = (workdir.evaluate.get(key) for key in ("readout", "readout_baselines"))
    if not isinstance(readout, dict):
        why = workdir.reason("readout")
        return not_applicable(f"There is no readout: {why}.") if why else missing("There is no readout yet", "evaluate")
    given = baselines if isinstance(baselines, dict) else {}
    inputs = [name for name in INPUTS if name in given]
    rows, kinds, numbers, unscored = [], set(), set(), {}
    for factor, of_factor in readout.items():
        for reader in READERS if isinstance(of_factor, dict) else ():
            found = [entry(readout, factor, reader), *(entry(given, name, factor, reader) for name in inputs)]
            if found[0][0] is None:
                if isinstance(of_factor.get(reader), dict) and (why := of_factor[reader].get("reason")):
                    unscored[factor] = f" There is no score of {factor.replace('_', ' ')}: {why}."
                continue
            metric = METRICS.get(name := str(of_factor.get("metric", "accuracy")), name.replace("_", " "))
            kinds.add(metric)
            numbers.add(found[0][2])
            words = (escape(factor.replace("_", " ")), READERS[reader], escape(metric))
            rows.append([*words, *(measured(value, error) for value, error, _ in found)])
    if not rows:
        return missing("There is no readout yet", "evaluate")
    if len(kinds) == 1:
        rows = [[*row[:2], *row[3:]] for row in rows]
    head = ["factor", "reader", *(["score"] if len(kinds) > 1 else []), "latents", *(INPUTS[name] for name in inputs)]
    number = f" on {plain(max(numbers))} test images" if numbers and None not in numbers else " on test images"
    first = 2 + (len(kinds) > 1)
    score = kinds.pop() if len(kinds) == 1 else "Score"
    text = (
        f"{score[:1].upper()}{score[1:]}{number} ± one standard error over images. Compare a trained encoder with the "
    )
    text += "untrained one: its latents already separate some factors." + "".join(unscored.values())
    return table(head, rows, numbers=range(first, len(head))) + f"<p>{escape(text)}</p>"


def factor_section(workdir: Workdir, gallery: Gallery) -> str:
    """`readout_section` of a model whose evaluation reads the factors of sprites alone."""
    if workdir.evaluate and "readout" not in workdir.evaluate:
        return not_applicable("No factors of these images were read from a code.")
    return readout_section(workdir, gallery)


def disentanglement_section(workdir: Workdir, gallery: Gallery) -> str:
    """The disentanglement scores, with what a copy of the factors and independent latents score."""
    scores = workdir.evaluate.get("disentanglement")
    if not isinstance(scores, dict):
        why = workdir.reason("disentanglement")
        absent = missing("There are no disentanglement scores yet", "evaluate")
        return not_applicable(f"There are no disentanglement scores: {why}.") if why else absent
    rows = []
    for key in scores:
        value, error, number = entry(scores, key)
        if value is None:
            continue
        name, best, chance = SCORES.get(key, (key.replace("_", " "), "—", "—"))
        rows.append(
            [escape(name), measured(value, error), escape(best), escape(chance), plain(number) if number else "—"]
        )
    if not rows:
        return missing("There are no disentanglement scores yet", "evaluate")
    head = ["score", "latents", "a copy of the factors", "independent latents", "N"]
    return table(head, rows, numbers=(1, 2, 3, 4)) + "<p>± one standard error; higher is better.</p>"


SHOWN = (
    *("provenance", "reasons", "settings", "num_images", "num_latents", "objective", *RECONSTRUCTION, *BOUND),
    *("nearest_sprite", "readout", "readout_baselines", "disentanglement", "aggregate"),
    *("active_units", "codebook_usage", "codebook_perplexity"),
    *("prior_samples_on_data", "prior_samples_on_data_covariance"),
    *("reconstructions_on_data", "holes", "holes_of_interpolations"),
)

AUTOENCODER_NUMBERS = Section("numbers", "The numbers", headline, run_facts)
RECONSTRUCTIONS = Section("reconstruction", "Reconstruction", reconstruction_section)
READOUTS = Section("readouts", "Readouts of the factors", readout_section)
FACTORS = Section("factors", "Readouts of the factors", factor_section)
DISENTANGLEMENT = Section("disentanglement", "Disentanglement", disentanglement_section)
AUTOENCODER_OTHER_NUMBERS = Section("other", "Raw numbers", partial(other_numbers, elsewhere=SHOWN))
