"""Files that are there whole or not at all."""

import json
import os
import pathlib
from typing import Any


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `path` through a neighbour and one atomic replacement: a killed process leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def write_json(path: pathlib.Path, value: Any) -> None:
    """`write_text` of indented JSON; keys keep their order."""
    write_text(path, json.dumps(value, indent=2) + "\n")
