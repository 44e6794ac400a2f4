"""What is measured of codes: the columns of their tables, and where codes.json has the numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

COSTS = {  # of a run in codes.json, and their titles
    "rate_nats": "R, nats",
    "distortion_nats": "D, nats",
    "bound_nats": "D + R, nats",
    "score_loss": "J",
}
READOUTS, FEW, INFORMATION, DISENTANGLEMENT = "readouts", "few labels", "information", "disentanglement"
SCORE = {"accuracy": "accuracy", "r2": "R²"}
READERS = {"linear": "linear", "mlp": "MLP"}
SCORES = {
    "z_diff": "Z-diff", "factor_vae": "FactorVAE", "mig": "MIG", "sap": "SAP",
    "dci": "DCI, trees", "dci_l1": "DCI, L1",
}  # fmt: skip
BOUNDS = {
    "lower_nats": "I(x; w) at least (InfoNCE)",
    "upper_nats": "I(x; w) at most (leave one out)",
    "rate_nats": "rate to N(0, I)",
    "aggregate_prior_rate_nats": "rate to the aggregate posterior",
}
Place = tuple[str, ...]


class Measure(NamedTuple):
    """A column. place: of the entry in the part of a code. highest: whether the best code has the highest number."""

    group: str
    title: str
    place: Place
    highest: bool = True


def measures_of(record: Mapping[str, Any]) -> list[Measure]:
    """The measures that at least one code of a codes.json has, group by group."""
    codes, factors = record["codes"], list(record["factors"])
    found = []
    for factor in factors:
        metric = next((part["readouts"][factor]["metric"] for part in codes.values() if factor in part["readouts"]), "")
        name = f"{factor}, {SCORE.get(metric, metric)}"
        found += [Measure(READOUTS, f"{name}: {title}", ("readouts", factor, key)) for key, title in READERS.items()]
        found.append(Measure(READOUTS, f"{factor}, accuracy: kNN", ("neighbours", factor)))
        numbers = {number: None for part in codes.values() for number in part.get("few_labels", {}).get(factor, {})}
        found += [Measure(FEW, f"{name}: labels a class: {n}", ("few_labels", factor, n)) for n in numbers]
        found += [
            Measure(INFORMATION, f"I(code; {factor}) at least, {title}", ("readouts", factor, key, "information_nats"))
            for key, title in READERS.items()
        ]
    found += [Measure(INFORMATION, title, ("information", key)) for key, title in BOUNDS.items()]
    found += [Measure(DISENTANGLEMENT, title, ("disentanglement", key)) for key, title in SCORES.items()]
    return [one for one in found if any(entry_at(part, one.place) for part in codes.values())]


def entry_at(part: Any, place: Place) -> Mapping[str, Any] | None:
    """The entry {"value", "standard_error", "num"} at a place of a code's part; None where there is none."""
    for key in place:
        part = part.get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) and "value" in part else None


def name_of(code: str) -> str:
    """A code in words: "drl_time@0.5" -> "drl time, t = 0.5"."""
    name, at, time = code.partition("@")
    words = name.replace("_", " ")
    if not at:
        return words
    if not time.startswith("all"):
        return f"{words}, t = {time}"
    number = time.rpartition("_")[2]
    return f"{words}, all times" + (f", {number} components" if number.isdigit() else "")
