"""What an evaluation leaves behind when it is killed, and the entropy beside the bound."""

import json

import numpy as np
import pytest

from vdm_jax.data.sources import load_data
from vdm_jax.experiments.common import evaluate


def test_no_record_beside_the_arrays_of_another_evaluation(tmp_path, monkeypatch):
    evaluate.save(tmp_path, {"bound_nats": 1.0}, {"a.npz": {"own": np.ones(2)}, "b.npz": {"own": np.ones(2)}})
    assert json.loads((tmp_path / "evaluate.json").read_text()) == {"bound_nats": 1.0}
    write = evaluate.write_npz

    def killed(path, arrays):
        if path.name == "b.npz":
            raise KeyboardInterrupt
        write(path, arrays)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(evaluate, "write_npz", killed)
        evaluate.save(tmp_path, {"bound_nats": 2.0}, {"a.npz": {"own": np.zeros(2)}, "b.npz": {"own": np.zeros(2)}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    evaluate.save(tmp_path, {"bound_nats": 2.0}, {"a.npz": {"own": np.zeros(2)}, "b.npz": None})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "evaluate.json"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (load_data("digits"), "the entropy of the data is not known"),
        (
            load_data("sprites", name="sparse"),
            "the entropy is that of all images of the grid; set",
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_bound_of_held_out_images_is_not_compared_with_the_entropy(data, reason):
    found, reasons = evaluate.compare_with_entropy({"bound_nats": 7.0, "bound_nats_standard_error": 0.1}, data)
    assert set(found) == set(reasons) and not any(found.values())
    assert all(text.startswith(reason) for text in reasons.values())


def test_the_bound_of_a_whole_grid_is_compared_with_its_entropy():
    values = {"bound_nats": 7.0, "bound_nats_standard_error": 0.1}
    found, reasons = evaluate.compare_with_entropy(values, load_data("sprites", name="sparse", split="population"))
    assert found["entropy_nats"] == pytest.approx(np.log(768)) and not reasons
    assert found["bound_minus_entropy_nats"] == pytest.approx(7 - np.log(768))
    assert found["bound_minus_entropy_nats_standard_error"] == 0.1
