"""A run carried in pieces ends as if it had stayed where it was."""

import jax
import numpy as np
import pytest
import toy_training as toy

from vdm_jax.base.errors import UserError
from vdm_jax.train.archive import main, pack, unpack
from vdm_jax.train.checkpoint import restore_state, saved_checkpoints
from vdm_jax.train.metrics import read_metrics


def end_of(workdir):
    return jax.device_get(restore_state(workdir / "checkpoints", "latest", toy.initial_state()))


def test_a_carried_run_goes_on_where_it_was(tmp_path):
    whole, first, archive, second = (tmp_path / name for name in ("whole", "first", "archive", "second"))
    toy.train(whole)
    toy.train(first, 16)
    (first / "config.json").write_text("{}")
    files = pack(first, archive, part_bytes=20_000)
    assert len(files) > 3 and {path.name for path in archive.iterdir()} == {path.name for path in files}
    assert all(path.stat().st_size <= 20_000 for path in files)
    assert unpack(archive, second) == 16 and (second / "config.json").read_text() == "{}"
    assert [saved.step for saved in saved_checkpoints(second / "checkpoints")] == [16]
    toy.train(second)
    jax.tree.map(np.testing.assert_array_equal, end_of(second), end_of(whole))
    steps = [[row["step"] for row in read_metrics(run / "metrics.jsonl")] for run in (second, whole)]
    assert steps[0] == steps[1]


def test_a_later_archive_replaces_the_parts_of_the_one_before(tmp_path):
    toy.train(tmp_path / "run", 16)
    pack(tmp_path / "run", tmp_path / "archive", part_bytes=2_000)
    toy.train(tmp_path / "run", 24)
    files = pack(tmp_path / "run", tmp_path / "archive")
    assert {path.name for path in (tmp_path / "archive").iterdir()} == {path.name for path in files}
    assert unpack(tmp_path / "archive", tmp_path / "other") == 24


def test_what_is_further_on_is_left_alone(tmp_path):
    toy.train(tmp_path / "run", 16)
    pack(tmp_path / "run", tmp_path / "archive")
    toy.train(tmp_path / "run", 24)
    log = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert unpack(tmp_path / "archive", tmp_path / "run") == 24
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == log


def test_mistakes(tmp_path, capsys):
    with pytest.raises(UserError, match="train first"):
        pack(tmp_path, tmp_path / "archive")
    with pytest.raises(UserError, match="holds no readable archive"):
        unpack(tmp_path, tmp_path / "run")
    toy.train(tmp_path / "run", 16)
    part = pack(tmp_path / "run", tmp_path / "archive")[0]
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        unpack(tmp_path / "archive", tmp_path / "other")
    part.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        unpack(tmp_path / "archive", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    capsys.readouterr()
    assert main(["pack", str(tmp_path / "nothing"), str(tmp_path / "archive")]) == 2
    assert main(["pick"]) == 2 and len(capsys.readouterr().err.splitlines()) == 2
