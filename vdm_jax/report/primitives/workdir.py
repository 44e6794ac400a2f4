"""Reads the files of a workdir. Any file may be missing, incomplete, or hold NaN."""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vdm_jax.base.images import page_size, read_images


def section_of(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a plain config; {} where it has none."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Workdir:
    """The files of a run, read on demand. A missing or unreadable file is None, {} or has no rows."""

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json; {} if it is missing."""
        return _read_json(self.path / "config.json") or {}

    @cached_property
    def evaluate(self) -> dict[str, Any]:
        """evaluate.json; {} if it is missing."""
        return _read_json(self.path / "evaluate.json") or {}

    @cached_property
    def exact(self) -> dict[str, Any]:
        """exact.json; {} if it is missing."""
        return _read_json(self.path / "exact.json") or {}

    @cached_property
    def chains(self) -> dict[str, Any]:
        """chains.json; {} if it is missing."""
        return _read_json(self.path / "chains.json") or {}

    @cached_property
    def chain_probes(self) -> dict[str, Any]:
        """chain_probes.json; {} if it is missing."""
        return _read_json(self.path / "chain_probes.json") or {}

    @cached_property
    def normality(self) -> dict[str, Any]:
        """normality.json; {} if it is missing."""
        return _read_json(self.path / "normality.json") or {}

    @cached_property
    def quality(self) -> dict[str, Any]:
        """quality.json; {} if it is missing."""
        return _read_json(self.path / "quality.json") or {}

    @cached_property
    def probe(self) -> dict[str, Any]:
        """probe.json; {} if it is missing."""
        return _read_json(self.path / "probe.json") or {}

    def record(self, name: str) -> dict[str, Any]:
        """NAME.json; {} if it is missing. It is read once."""
        if name not in self._records:
            self._records[name] = _read_json(self.path / f"{name}.json") or {}
        return self._records[name]

    @cached_property
    def _records(self) -> dict[str, dict[str, Any]]:
        return {}

    @property
    def provenance(self) -> dict[str, Any]:
        """Commit, device and versions, from evaluate.json, probe.json, exact.json or else the first other record that
        states them; {} if none does."""
        others = (_read_json(path) or {} for path in sorted(self.path.glob("*.json")))
        found = (record.get("provenance") for record in (self.evaluate, self.probe, self.exact, *others))
        return next((origin for origin in found if origin and isinstance(origin, dict)), {})

    @cached_property
    def samples(self) -> dict[str, Any]:
        """samples/about.json: checkpoint, weights and sampler of the samples; {} if it is missing."""
        return _read_json(self.path / "samples" / "about.json") or {}

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl by step. Of several rows of one step the last counts. Invalid lines are skipped."""
        try:
            lines = (self.path / "metrics.jsonl").read_text(errors="replace").splitlines()
        except OSError:
            return []
        rows: dict[tuple[float, str], dict[str, Any]] = {}
        for line in lines:
            row = _parse(line)
            if isinstance(row, dict) and is_number(row.get("step")):
                rows[row["step"], str(row.get("split"))] = row
        return [rows[key] for key in sorted(rows)]

    def series(self, split: str, key: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps [n], values [n]) of one metric. NaN and infinity are included, rows without the key are not."""
        rows = [r for r in self.metrics if r.get("split") == split and is_number(r.get(key))]
        return np.array([r["step"] for r in rows], np.float64), np.array([r[key] for r in rows], np.float64)

    def arrays(self, name: str, *required: str) -> dict[str, np.ndarray] | None:
        """The arrays of an npz file; None if it is missing, unreadable, or lacks one of `required`."""
        try:
            with np.load(self.path / name, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        return arrays if all(key in arrays for key in required) else None

    @cached_property
    def num_dims(self) -> int | None:
        """Number of values in an image, from evaluate.json or from the shape of the samples; None if unknown."""
        if is_number(self.evaluate.get("num_dims")):
            return int(self.evaluate["num_dims"])
        for name in ("real", "prior", "aggregate"):
            if (images := self.images(name)) is not None:
                return math.prod(images.shape[1:])
        return None

    def images(self, name: str) -> np.ndarray | None:
        """The first page of the set samples/NAME.npz, bytes [N, H, W, C]; None if there is none."""
        try:
            first = next(read_images(self.path / "samples" / f"{name}.npz", 1))
            number = page_size(*first.shape[1:])[0]
            return np.concatenate(list(read_images(self.path / "samples" / f"{name}.npz", number)))
        except (OSError, ValueError, StopIteration):
            return None

    def reason(self, key: str) -> str | None:
        """The reason that evaluate.json gives for null at `key`; None if it gives none."""
        reasons = self.evaluate.get("reasons")
        return str(reasons[key]) if isinstance(reasons, dict) and key in reasons else None

    @property
    def is_deterministic(self) -> bool:
        """True where the config of the model has an encoder without noise: DRL."""
        model = self.config.get("model")
        return isinstance(model, dict) and model.get("deterministic") is True and _encodes(model.get("encoder"))

    @property
    def reads_labels(self) -> bool:
        """True where the config says that the network is given the label."""
        model = self.config.get("model")
        return isinstance(model, dict) and model.get("labels") is True

    @property
    def code_time(self) -> str:
        """ " w is the code of t = 0.5." of a run whose evaluated code depends on the time; "" of any other."""
        settings = leaves(self.evaluate.get("settings"))
        if not settings.get(("model", "encoder_time")) or not _encodes(settings.get(("model", "encoder"))):
            return ""
        return f" w is the code of t\u00a0=\u00a0{settings.get(('evaluate', 'code_time'))}."

    @property
    def condition(self) -> str:
        """What images are generated from: "code", "label", "code and label", or "" for nothing."""
        code = [] if self.is_unconditional else ["code"]
        return " and ".join(code + ["label"] * self.reads_labels)

    @property
    def is_unconditional(self) -> bool:
        """True for a model without a code: its config has no encoder, or evaluate.json says why it has no rate."""
        if self.is_deterministic:
            return False  # its code has no rate
        model = self.config.get("model")
        no_encoder = isinstance(model, dict) and "code" not in model and model.get("encoder", "none") == "none"
        return no_encoder or (
            self.evaluate.get("encoder_kl_nats") is None and self.reason("encoder_kl_nats") is not None
        )


def _encodes(encoder: object) -> bool:
    """Whether the code is that of an encoder, which a control code is not."""
    return encoder not in ("none", "control")


def is_number(value: object) -> bool:
    """Whether `value` is a real number. NaN and infinity are numbers; truth values are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


Place = tuple[str, ...]  # of a leaf in nested dicts


def leaves(tree: object, at: Place = ()) -> dict[Place, Any]:
    """The leaves of nested dicts by their places. Lists are leaves."""
    found: dict[Place, Any] = {}
    waiting = [(at, tree)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(((*place, str(key)), below) for key, below in reversed(value.items()))
        else:
            found[place] = value
    return found


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = _parse(path.read_text(errors="replace"))
    except OSError:
        return None
    return value if isinstance(value, dict) else None
