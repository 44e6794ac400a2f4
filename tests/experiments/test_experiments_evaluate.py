"""What an evaluation leaves behind when it is killed."""

import json

import numpy as np
import pytest

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
