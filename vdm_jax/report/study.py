"""Several runs side by side: `python -m vdm_jax.report.study WORKDIR …` prints one Markdown table.

Runs of the same config name are seeds of one setting: mean ± standard error over seeds; a single run has none.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vdm_jax.base.errors import UserError
from vdm_jax.report.workdir import Workdir, flatten, is_number

COLUMNS = {
    "D + R, nats": "bound_nats",
    "bits/dim": "bpd",
    "D, nats": "distortion_nats",
    "R, nats": "encoder_kl_nats",
    "active units": "active_units",
    "linear probe on w": "linear_probe_accuracy",
    "random projection": "linear_probe_accuracy_random_projection",
    "raw pixels": "linear_probe_accuracy_raw_pixels",
    "label kept": "guided_label_kept",
    "Fréchet, w from prior": "frechet.distance",
    "Fréchet, w of test images": "frechet_aggregate.distance",
    "real against real": "frechet.real_vs_real_floor",
}


def study_table(workdirs: Sequence[str | Path]) -> str:
    """The table of the evaluated runs in `workdirs`, a row a config name; a column that no run has is left out.

    Raises `UserError` where a workdir was not evaluated.
    """
    settings: dict[str, list[dict]] = {}
    for path in workdirs:
        run = Workdir(Path(path))
        if not run.evaluate:
            raise UserError(f"no readable evaluate.json in {path}: run --jobs=evaluate first")
        settings.setdefault(str(run.config.get("name", path)), []).append(flatten(run.evaluate))
    columns = {
        title: key
        for title, key in COLUMNS.items()
        if any(is_number(values.get(key)) for runs in settings.values() for values in runs)
    }
    rows = [["setting", "seeds", *columns], ["---"] * (2 + len(columns))]
    for name, runs in settings.items():
        rows.append([name, str(len(runs)), *(over_seeds([run.get(key) for run in runs]) for key in columns.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def over_seeds(values: list) -> str:
    """`mean ± standard error`, to two digits of the error; the mean alone of one value or of equal ones; else —."""
    numbers = np.array([value for value in values if is_number(value)], np.float64)
    if len(numbers) == 0 or len(numbers) < len(values):
        return "—"
    error = numbers.std(ddof=1) / np.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
    if error == 0:
        return f"{numbers.mean():.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{numbers.mean():.{digits}f} ± {error:.{digits}f}"


if __name__ == "__main__":
    try:
        print(study_table(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"study: {error}")
