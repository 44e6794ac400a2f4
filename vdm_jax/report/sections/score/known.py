"""Known answers of Langevin dynamics, samplers and the probability flow beside what is measured."""

from html import escape
from typing import Any

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, missing, table
from vdm_jax.report.primitives.measured import measured, plain
from vdm_jax.report.primitives.workdir import Workdir


def known_section(workdir: Workdir, gallery: Gallery) -> str:
    """Stationary variances, orders of the samplers, and the likelihood of the flow."""
    known = workdir.record("mixture").get("known")
    try:
        return f"{_stationary(known['stationary'])}{_orders(known)}{_flow(known['flow'])}"
    except (KeyError, TypeError, ValueError):
        return missing("There are no known answers in mixture.json yet", "mixture")


def _stationary(found: dict[str, list[float]]) -> str:
    rows = [
        [plain(size), plain(expected), measured(variance, error)]
        for size, expected, variance, error in zip(
            *(found[name] for name in ("step_size", "expected", "variance", "standard_error")), strict=True
        )
    ]
    shown = table(["step size a", "1/(1 − a/4)", "measured"], rows, numbers=(0, 1, 2))
    return f"{shown}<p>Variance of Langevin dynamics on N(0, 1), ± one standard error over chains.</p>"


def _orders(known: dict[str, Any]) -> str:
    steps = known["steps"]
    rows = [
        [escape(name), *(f"{error:.2g}" for error in each["errors"]), f"{each['order']:.2f}"]
        for name, each in known["orders"].items()
    ]
    shown = table(["sampler", *(f"{n} steps" for n in steps), "order"], rows, numbers=range(1, len(steps) + 2))
    what = "Error on N(0, 1/4) with the exact score: of the variance at t = 0, of deterministic samplers of the path."
    return f"{shown}<p>{what} Order: log₂ of the ratio of the last two.</p>"


def _flow(found: dict[str, float] | None) -> str:
    if found is None:
        return "<p>The likelihood of the probability flow needs the extra flow (diffrax).</p>"
    text = (
        f"Mean −log p of {found['num']} draws from the mixture along the probability flow of its score: "
        f"{found['value']:.4f} nats, in closed form {found['expected']:.4f}; largest difference of a draw "
        f"{found['largest']:.2g}."
    )
    return f"<p>{escape(text)}</p>"


SCORE_KNOWN = Section("known", "Known answers", known_section)
