"""The record of a run: one JSON object a line. It can be read while it is written and after a kill."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import naming

WAY_OUT = "bring back a copy, or delete the file: what it states is lost, or measured again"


class MetricsLog:
    """Appends rows to a file. A row is complete on disk when `write` returns."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends one row. Non-finite numbers become null, because JSON cannot represent them."""
        with naming(self.path), open(self.path, "a") as file:
            file.write(json.dumps({name: _plain(value) for name, value in row.items()}) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All rows; [] before the first."""
        return read_metrics(self.path) if self.path.exists() else []

    def truncate_after(self, step: int) -> None:
        """Removes the rows of later steps, and a line that a kill cut short, by atomic replacement."""
        if not self.path.exists():
            return
        kept = [row for row in self.rows() if row["step"] <= step]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        os.replace(temporary, self.path)


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a metrics file. An unfinished last line of a file that is being written is ignored.

    Raises:
        UserError: the file is missing, or a finished line is not JSON or has no step.
    """
    try:
        rows = [json.loads(line) for line in Path(path).read_text().split("\n")[:-1]]
    except FileNotFoundError:
        raise UserError(f"no metrics at {path}: train first") from None
    except ValueError as error:  # of JSON, or of bytes that are not text
        raise UserError(f"{path} holds a line that is no JSON ({error}); {WAY_OUT}") from None
    if foreign := [row for row in rows if not isinstance(row, dict) or not isinstance(row.get("step"), int | float)]:
        raise UserError(f"{path} holds a line that is no row with its step: {str(foreign[0])[:80]}; {WAY_OUT}")
    return rows


def _plain(value: Any) -> Any:
    """A string, an int, a finite float or None. Mappings and lists are converted value by value."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, str | int | None):
        return value
    value = float(value)
    return value if math.isfinite(value) else None
