"""The log as other programs find it: whole rows, each once, whatever happened to the writer."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.train.metrics import MetricsLog, read_metrics


def test_rows_come_back(tmp_path):
    log = MetricsLog(tmp_path / "deep" / "metrics.jsonl")
    assert log.rows() == []
    log.write({"step": 1, "split": "train", "loss": jnp.float32(0.5), "worst": math.inf, "count": np.int32(3)})
    log.write({"step": 2, "split": "validation", "loss": np.float64("nan")})
    assert log.rows() == [
        {"step": 1, "split": "train", "loss": 0.5, "worst": None, "count": 3.0},
        {"step": 2, "split": "validation", "loss": None},
    ]


def test_a_torn_line_is_left_out_and_mended(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        log.write({"step": step})
    with open(log.path, "a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in read_metrics(log.path)] == [1, 2, 3]
    log.truncate_after(2)
    log.write({"step": 5})
    assert log.path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 5}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UserError, match="no metrics at .*: train first"):
        read_metrics(tmp_path / "metrics.jsonl")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nrubbish\n{"step": 2}\n')
    with pytest.raises(UserError, match="holds a line that is no JSON"):
        read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("text", [b"3\n", b"[1]\n", b'{"loss": 1}\n', b'{"step": "1"}\n', b"\xff\xfe\n"])
def test_what_is_no_row_is_told(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text)
    with pytest.raises(UserError, match=r"metrics\.jsonl holds a line that is no "):
        read_metrics(tmp_path / "metrics.jsonl")
