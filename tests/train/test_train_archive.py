"""A run carried in pieces ends as if it had stayed where it was; nothing of another run is ever replaced."""

import shutil
from functools import partial

import jax
import numpy as np
import pytest
import toy_training as toy

from vdm_jax.base.errors import UserError
from vdm_jax.train import archive
from vdm_jax.train.checkpoint import find_checkpoint, restore_state, saved_checkpoints
from vdm_jax.train.listing import Saved, best_of
from vdm_jax.train.metrics import read_metrics

NAMES = {
    "descriptions": ("config.json", "data.json", "metrics.jsonl"),
    "records": ("evaluate_images.npz", "samples", "evaluate.json"),
}
pack, unpack = partial(archive.pack, **NAMES), partial(archive.unpack, **NAMES)


def end_of(workdir):
    return jax.device_get(restore_state(workdir / "checkpoints", "latest", toy.initial_state()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The whole run, and its beginning up to step 16."""
    folder = tmp_path_factory.mktemp("runs")
    toy.train(folder / "whole")
    toy.train(folder / "first", 16)
    (folder / "first" / "config.json").write_text("{}")
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_carried_run_goes_on_where_it_was(runs, tmp_path):
    files = pack(runs / "first", tmp_path / "archive", "me", part_bytes=20_000)
    assert len(files) > 3 and {path.name for path in (tmp_path / "archive").iterdir()} == {path.name for path in files}
    assert all(path.stat().st_size <= 20_000 for path in files)
    second = tmp_path / "second"
    assert unpack(tmp_path / "archive", second, "me") == 16 and (second / "config.json").read_text() == "{}"
    toy.train(second)
    jax.tree.map(np.testing.assert_array_equal, end_of(second), end_of(runs / "whole"))
    steps = [[row["step"] for row in read_metrics(run / "metrics.jsonl")] for run in (second, runs / "whole")]
    assert steps[0] == steps[1]


def test_the_best_checkpoint_comes_along_where_there_is_room(runs, tmp_path):
    folder = runs / "whole" / "checkpoints"
    best, latest = find_checkpoint(folder, "best").step, saved_checkpoints(folder)[-1].step
    pack(runs / "whole", tmp_path / "archive", "me")
    unpack(tmp_path / "archive", tmp_path / "run", "me")
    assert find_checkpoint(tmp_path / "run" / "checkpoints", "best").step == best
    pack(runs / "whole", tmp_path / "small", "me", part_bytes=3_000)
    unpack(tmp_path / "small", tmp_path / "other", "me")
    assert [saved.step for saved in saved_checkpoints(tmp_path / "other" / "checkpoints")] == [latest]


def test_a_score_that_is_no_number_is_not_the_best():
    saved = [Saved(2, float("nan")), Saved(4, 0.5), Saved(6, 0.4), Saved(8, 0.4), Saved(10, float("nan"))]
    assert best_of(saved).step == 8 and best_of(saved[:1]).step == 2


def test_an_archive_grows_and_is_never_put_back(runs, tmp_path):
    pack(runs / "first", tmp_path / "archive", "me")
    before = content(tmp_path / "archive")
    assert pack(runs / "first", tmp_path / "archive", "me") and content(tmp_path / "archive") == before
    files = pack(runs / "whole", tmp_path / "archive", "me")
    later = content(tmp_path / "archive")
    assert {path.name for path in files} == set(later) and not set(later) & set(before) - {"archive.json"}
    with pytest.raises(UserError, match="holds step 64, further on than step 16"):
        pack(runs / "first", tmp_path / "archive", "me")
    with pytest.raises(UserError, match="of another config"):
        pack(runs / "whole", tmp_path / "archive", "somebody")
    assert content(tmp_path / "archive") == later


def test_what_the_jobs_left_comes_along(runs, tmp_path):
    """The same step is packed again once there is more to bring; a folder takes the place of the one that is there."""
    home, away, archive = (tmp_path / name for name in ("home", "away", "archive"))
    shutil.copytree(runs / "whole", away)
    pack(away, archive, "me")
    (away / "evaluate.json").write_text("{}")
    (away / "samples").mkdir()
    (away / "samples" / "prior.npz").write_bytes(b"images")
    pack(away, archive, "me")
    before = content(archive)
    (away / "evaluate.json").write_text("{}")  # the same content at another time
    assert pack(away, archive, "me") and content(archive) == before
    assert pack(runs / "whole", archive, "me") and content(archive) == before  # this workdir has none to bring
    (home / "samples").mkdir(parents=True)
    (home / "samples" / "old.npz").write_bytes(b"of an earlier step")
    assert unpack(archive, home, "me") == 64
    assert (home / "evaluate.json").read_text() == "{}"
    assert {path.name: path.read_bytes() for path in (home / "samples").iterdir()} == {"prior.npz": b"images"}


def test_killed_while_packing_the_archive_before_is_whole(runs, tmp_path, monkeypatch):
    pack(runs / "first", tmp_path / "archive", "me")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(archive, "write_json", killed)
        pack(runs / "whole", tmp_path / "archive", "me")
    assert unpack(tmp_path / "archive", tmp_path / "run", "me") == 16


def test_a_run_that_is_further_on_is_left_alone(runs, tmp_path):
    pack(runs / "first", tmp_path / "archive", "me")
    for part in (tmp_path / "archive").glob("run-*"):
        part.write_bytes(b"damaged, and not looked at")
    log = (runs / "whole" / "metrics.jsonl").read_bytes()
    assert unpack(tmp_path / "archive", runs / "whole", "me") == 64
    assert (runs / "whole" / "metrics.jsonl").read_bytes() == log


def test_mistakes_leave_nothing(runs, tmp_path):
    with pytest.raises(UserError, match="train first"):
        pack(tmp_path, tmp_path / "archive", "me")
    with pytest.raises(UserError, match="holds no readable archive"):
        unpack(tmp_path, tmp_path / "run", "me")
    part = pack(runs / "first", tmp_path / "archive", "me")[0]
    with pytest.raises(UserError, match="of another config"):
        unpack(tmp_path / "archive", tmp_path / "run", "somebody")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        unpack(tmp_path / "archive", tmp_path / "run", "me")
    part.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        unpack(tmp_path / "archive", tmp_path / "run", "me")
    assert not (tmp_path / "run").exists()
