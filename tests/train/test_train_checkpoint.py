"""Checkpoints: what is kept, what comes back, and what is said where nothing can."""

import json
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.mesh import make_mesh, replicate, replicated
from vdm_jax.train import checkpoint, reading
from vdm_jax.train.checkpoint import (
    Checkpointer,
    Damaged,
    SaveFailed,
    restore_parts,
    restore_state,
    resume,
    saved_checkpoints,
)
from vdm_jax.train.state import TrainState, init_state

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))


def make_state(step: int, width: int = 3, carry=None, optimizer=OPTIMIZER) -> TrainState:
    params = {"layer": {"kernel": jnp.full((2, width), float(step)), "bias": jnp.zeros(width, jnp.bfloat16)}}
    state = init_state(params, optimizer, carry)
    return replicate(TrainState(**{**vars(state), "step": jnp.int32(step)}), make_mesh(2))


def assert_equal(a, b):
    jax.tree.map(partial(np.testing.assert_array_equal, strict=True), jax.device_get(a), jax.device_get(b))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Steps 30 (best), 40, 50 (latest, without a score) are left of five."""
    folder = tmp_path_factory.mktemp("checkpoints")
    with Checkpointer(folder, keep_latest=2, keep_best=1) as checkpointer:
        for step, score in {10: 3.0, 20: float("nan"), 30: 1.0, 40: 2.0, 50: None}.items():
            checkpointer.save(make_state(step, carry={"nu": jnp.float32(step)}), score)
    return folder


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "checkpoints"))


def test_latest_and_best_are_kept(trained):
    assert saved_checkpoints(trained) == [(30, 1.0), (40, 2.0), (50, None)]


@pytest.mark.parametrize(("which", "step"), [("latest", 50), ("best", 30), (40, 40), ("40", 40)])
def test_the_state_comes_back(trained, which, step):
    like = make_state(0, carry={"nu": jnp.float32(0)})
    state = restore_state(trained, which, like)
    assert_equal(state, make_state(step, carry={"nu": jnp.float32(step)}))
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == jax.tree.map(lambda leaf: leaf.sharding, like)


def test_parts_come_back_without_the_rest(trained):
    shapes = jax.eval_shape(lambda: make_state(0).params)
    restored = restore_parts(trained, "best", {"ema_params": shapes, "params": shapes})
    assert (restored.step, restored.score, set(restored.parts)) == (30, 1.0, {"ema_params", "params"})
    assert_equal(restored.parts["ema_params"], make_state(30).params)
    assert len(restored.parts["params"]["layer"]["kernel"].devices()) == 1
    whole = restore_parts(trained, "best", {"params": shapes}, sharding=replicated(make_mesh(2)))
    assert len(whole.parts["params"]["layer"]["kernel"].devices()) == 2


def test_saving_a_step_again_changes_nothing(folder):
    with Checkpointer(folder) as checkpointer:
        checkpointer.save(make_state(50, carry={"nu": jnp.float32(-1)}), 0.0)
    assert saved_checkpoints(folder)[-1] == (50, None)


def test_nothing_to_keep_apart_is_no_obstacle(tmp_path):
    state = make_state(5, optimizer=optax.sgd(0.1))  # neither optimizer state nor carry
    with Checkpointer(tmp_path / "new") as checkpointer:
        checkpointer.save(state, 1.0)
        assert_equal(checkpointer.restore(make_state(0, optimizer=optax.sgd(0.1))), state)


def test_donating_the_state_while_it_is_written_does_no_harm(tmp_path):
    params = {f"w{i}": jnp.arange(2**20, dtype=jnp.float32) for i in range(4)}
    state = init_state(params, optax.sgd(0.1))
    spoil = jax.jit(lambda state: jax.tree.map(lambda leaf: -leaf - 1, state), donate_argnums=0)
    with Checkpointer(tmp_path / "new") as checkpointer:
        checkpointer.save(state)
        for _ in range(5):
            state = spoil(state)
        jax.block_until_ready(state)
    assert_equal(restore_state(tmp_path / "new", 0, state).params, params)


def test_best_of_equal_scores_is_the_later(tmp_path):
    with Checkpointer(tmp_path, keep_latest=1, keep_best=1) as checkpointer:
        for step, score in ((1, 2.0), (2, 2.0), (3, 5.0)):
            checkpointer.save(make_state(step), score)
    assert saved_checkpoints(tmp_path) == [(2, 2.0), (3, 5.0)]
    assert restore_state(tmp_path, "best", make_state(0)).step == 2


def test_no_checkpoint(tmp_path):
    assert saved_checkpoints(tmp_path / "nowhere") == []
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"no checkpoint in {folder}: train first"):
            restore_state(folder, "latest", make_state(0))
    assert not (tmp_path / "nowhere").exists()


def test_unknown_step_lists_those_there(trained):
    with pytest.raises(UserError, match=r"checkpoint=45 is not in .*; expected .*'best' or one of \[30, 40, 50\]"):
        restore_state(trained, 45, make_state(0))


def test_no_best_before_the_first_evaluation(tmp_path):
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(make_state(7))
    with pytest.raises(UserError, match="evaluated yet.*'latest'"):
        restore_state(tmp_path, "best", make_state(0))


@pytest.mark.parametrize(
    ("like", "difference"),
    [
        (make_state(0, 4, carry={"nu": 0.0}), r"ema_params/layer/bias is bfloat16\[3\] there and bfloat16\[4\] here"),
        (make_state(0), r"carry/nu is float32\[\] there and missing here"),
        (make_state(0, carry={"nu": 0.0, "mu": 0.0}), r"carry/mu is missing there and float32\[\] here"),
        (make_state(0, carry={"nu": 0}), r"carry/nu is float32\[\] there and int32\[\] here"),
        (make_state(0, carry={"nu": 0.0}, optimizer=optax.sgd(0.1, 0.9)), r"opt_state/0/trace/layer/bias is missing"),
    ],
)
def test_another_model_is_named(trained, like, difference):
    with pytest.raises(UserError, match=rf"checkpoint 50 in .* is of another model or optimizer: {difference}"):
        restore_state(trained, "latest", like)


@pytest.mark.slow
def test_a_part_that_no_checkpoint_has(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(make_state(1))
    with pytest.raises(UserError, match="checkpoint 1 in .*another model or optimizer: it has no carry"):
        restore_parts(tmp_path, "latest", {"carry": {"nu": jnp.float32(0)}})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {  # what is done to a file or folder of a checkpoint
    "_CHECKPOINT_METADATA": truncate,
    "params/manifest.ocdbt": truncate,
    "opt_state/d/*": truncate,
    "params/_METADATA": truncate,
    "counters/array_metadatas/*": truncate,
    "ema_params/manifest.ocdbt": Path.unlink,
    "carry": shutil.rmtree,
    "*": lambda path: shutil.rmtree(path) if path.is_dir() else path.unlink(),
}
LIKE = {"nu": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_a_whole_one_offered(folder, damage, monkeypatch, caplog):
    """Reading names step 50 and offers 40; a training continues from 40 and keeps the damaged one beside."""
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    for path in (folder / "50").glob(damage):
        DAMAGES[damage](path)
    told = rf"checkpoint 50 in {folder} is damaged \((?!TypeError).*\); step 40 is whole$"
    with pytest.raises(Damaged, match=told) as error:
        restore_state(folder, "latest", make_state(0, carry=LIKE))
    assert error.value.whole == 40 and "\n" not in str(error.value) and not caplog.records
    assert restore_state(folder, "best", make_state(0, carry=LIKE)).step == 30
    state, (sentence,) = resume(folder, make_state(0, carry=LIKE))
    assert_equal(state, make_state(40, carry={"nu": jnp.float32(40)}))
    place = folder.with_name("checkpoints-damaged") / "50"
    assert "checkpoint 50 is damaged" in sentence and f"moved to {place}; step 40 is whole" in sentence
    assert place.is_dir() and not (folder / "50").exists()
    with Checkpointer(folder) as checkpointer:
        checkpointer.save(make_state(50, carry={"nu": jnp.float32(50)}), 0.5)
    assert saved_checkpoints(folder) == [(40, 2.0), (50, 0.5)]


def test_a_score_that_cannot_be_read(folder):
    """The weights of its step are whole: only which one is the best is unknown."""
    truncate(folder / "30" / "metrics" / "metrics")
    with pytest.raises(UserError, match=r"score of checkpoint 30 .* cannot be read.*'latest' or one of \[30, 40, 50\]"):
        restore_state(folder, "best", make_state(0, carry=LIKE))
    assert restore_state(folder, 30, make_state(0, carry=LIKE)).step == 30
    state, (sentence,) = resume(folder, make_state(0, carry=LIKE))
    assert state.step == 50 and "the score of checkpoint 30 cannot be read" in sentence
    with Checkpointer(folder):
        assert saved_checkpoints(folder) == [(30, None), (40, 2.0), (50, None)]
    assert restore_state(folder, "best", make_state(0, carry=LIKE)).step == 40


@pytest.mark.slow
def test_nothing_is_moved_where_no_checkpoint_is_whole(folder, monkeypatch):
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    for path in folder.glob("*/params/_METADATA"):
        path.unlink()
    with pytest.raises(UserError, match="no checkpoint in .* can be read .step 50: .*; bring back a copy"):
        resume(folder, make_state(0, carry=LIKE))
    with pytest.raises(Damaged, match="no other can be read: bring back a copy, or train again"):
        restore_state(folder, "latest", make_state(0, carry=LIKE))
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoints"]


@pytest.mark.slow
def test_what_is_no_checkpoint_is_no_obstacle(folder, monkeypatch):
    """A folder and a file of somebody else; an empty folder with the name of a step is damaged."""
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    (folder / "notes").mkdir()
    (folder / "70").write_text("mine")
    (folder / "60").mkdir()
    assert [saved.step for saved in saved_checkpoints(folder)] == [30, 40, 50, 60]
    state, (sentence,) = resume(folder, make_state(0, carry=LIKE))
    assert state.step == 50 and "checkpoint 60 is damaged" in sentence


def test_another_model_is_not_damaged(folder):
    with pytest.raises(UserError, match="is of another model") as error:
        resume(folder, make_state(0, 4, carry=LIKE))
    assert not isinstance(error.value, Damaged)


@pytest.mark.slow
def test_a_checkpoint_removed_while_it_is_read_is_looked_for_again(folder, monkeypatch):
    restore, removed = checkpoint._restore, []

    def restore_after_removal(folder, which, like):
        if not removed:
            removed.append(shutil.rmtree(folder / "50"))
        return restore(folder, which, like)

    monkeypatch.setattr(checkpoint, "_restore", restore_after_removal)
    assert restore_state(folder, "latest", make_state(0, carry={"nu": 0.0})).step == 40


def test_a_folder_left_by_a_killed_save_is_no_checkpoint(folder):
    shutil.copytree(folder / "50", folder / "70.orbax-checkpoint-tmp")
    assert saved_checkpoints(folder)[-1].step == 50
    with Checkpointer(folder) as checkpointer:
        checkpointer.save(make_state(60, carry={"nu": jnp.float32(60)}), 0.5)
    assert sorted(path.name for path in folder.iterdir()) == ["50", "60"]


def test_a_checkpoint_half_removed_when_its_training_was_killed_is_swept_away(folder):
    shutil.rmtree(folder / "40" / "params")
    (folder / "40" / "metrics" / "metrics").unlink()
    like = make_state(0, carry={"nu": 0.0})
    with Checkpointer(folder) as checkpointer:
        assert checkpointer.restore(like).step == 50
        checkpointer.save(make_state(60, carry={"nu": 60.0}), 2.0)
    assert saved_checkpoints(folder) == [(30, 1.0), (50, None), (60, 2.0)]


@contextmanager
def no_room():
    """Files of this process may hold 200 bytes, as if the disk were full; pytest's own output among them."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_save_that_fails_is_one_sentence_and_the_one_before_stays(tmp_path, capfd):
    sentence = rf"step 2 could not be saved in {tmp_path}: .*; the last good checkpoint is step 1$"
    with ExitStack() as limited, pytest.raises(SaveFailed, match=sentence) as caught, Checkpointer(tmp_path) as saving:
        saving.save(make_state(1))
        saving.wait()
        limited.enter_context(no_room())
        saving.save(make_state(2), 1.0)
        saving.save(make_state(3), 1.0)
    assert len(str(caught.value)) < 400 + len(str(tmp_path)) and "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


def test_the_first_save_fails_while_something_else_goes_wrong(tmp_path):
    with no_room(), pytest.raises(KeyError, match="first"), Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(make_state(1))
        raise KeyError("first")


@pytest.mark.slow
def test_a_run_that_fails_at_once_says_only_that(tmp_path):
    program = (
        "import sys; from vdm_jax.train.checkpoint import Checkpointer; Checkpointer(sys.argv[1]); sys.exit('why')"
    )
    for attempt in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path / str(attempt)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (1, "why\n")


def test_a_flipped_byte_is_noticed_and_checkpoints_without_checksums_are_read(tmp_path, monkeypatch):
    """Of numbers that do not compress, which the format stores as they are and without any checksum."""
    monkeypatch.setattr(reading, "READ_ATTEMPTS", 1)
    folder, params = tmp_path / "checkpoints", {"kernel": jax.random.normal(jax.random.key(0), (40, 25))}
    state = init_state(params, optax.sgd(0.1), {"odd": jnp.arange(3, dtype=jnp.int8)})
    with Checkpointer(folder) as checkpointer:
        for step in (1, 2):
            checkpointer.save(TrainState(**{**vars(state), "step": jnp.int32(step)}))
    largest = max((folder / "2" / "params").rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0x10
    largest.write_bytes(content)
    told = rf"checkpoint 2 in {folder} is damaged \(OSError: its params differ from what was saved\); step 1 is whole$"
    with pytest.raises(Damaged, match=told):
        restore_state(folder, "latest", state)
    assert_equal(restore_parts(folder, 2, {"ema_params": params}).parts["ema_params"], params)
    about = folder / "2" / "_CHECKPOINT_METADATA"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"custom_metadata": None}))
    (changed,) = jax.tree.leaves(restore_parts(folder, 2, {"params": params}).parts)
    assert jnp.sum(changed != params["kernel"]) == 1
    assert_equal(restore_state(folder, 1, state).carry, state.carry)
