"""The set `prior`: streamed in bounded memory, resumed after a kill, of these weights alone."""

import json
import tracemalloc

import jax
import launching
import numpy as np
import pytest
from PIL import Image
from vdm_jax.configs import digits

from vdm_jax.base.images import picture
from vdm_jax.experiments.common.codes import prior_codes
from vdm_jax.experiments.common.jobs import is_sampled
from vdm_jax.experiments.common.sample import PARTS, open_parts, stored, write_prior
from vdm_jax.experiments.vae_vdm.build import build
from vdm_jax.experiments.vae_vdm.kind import KIND
from vdm_jax.launch.status import is_complete
from vdm_jax.launch.store import claim, claim_differences, plain
from vdm_jax.models.generate import generate, generate_batches

SHAPE = (23, 8, 6, 2)
IMAGES = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
WEIGHTS = {"checkpoint_step": 4, "weights": "ema", "fingerprint": "abc"}


class Killed(BaseException):
    """In place of a signal."""


def maker(made, *, batch_size=5, killed_after=None):
    """`make` of `write_prior`, which records the first image of each batch."""

    def make(first):
        for start in range(first, len(IMAGES), batch_size):
            if len(made) == killed_after:
                raise Killed
            made.append(start)
            yield IMAGES[start : start + batch_size]

    return make


@pytest.mark.parametrize("killed_after", [0, 1, 3])
@pytest.mark.parametrize("other_batch", [5, 4])
def test_a_killed_set_goes_on_and_has_the_same_bytes(tmp_path, killed_after, other_batch):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for each in (whole, folder):
        open_parts(each / PARTS, WEIGHTS)
    write_prior(whole, SHAPE, maker([]), png_folder=True)
    with pytest.raises(Killed):
        write_prior(folder, SHAPE, maker([], killed_after=killed_after))
    assert not (folder / "prior.npz").exists()
    (folder / PARTS / f".{5 * killed_after:09}.npz.1").write_bytes(b"a draft")
    open_parts(folder / PARTS, WEIGHTS)
    made: list[int] = []
    write_prior(folder, SHAPE, maker(made, batch_size=other_batch), png_folder=True)
    assert made == list(range(5 * killed_after, 23, other_batch)), "what is there is not made again"
    for name in ("prior.npz", "prior.png", *(f"prior/{i:06}.png" for i in range(23))):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    with np.load(folder / "prior.npz") as file:
        np.testing.assert_array_equal(file["arr_0"], IMAGES)
    with Image.open(folder / "prior" / "000022.png") as last:
        np.testing.assert_array_equal(np.array(last)[:, 7:], IMAGES[22, ..., 1])
    assert len(list((folder / "prior").iterdir())) == 23
    (folder / "prior" / "notes.txt").write_text("mine")
    write_prior(folder, SHAPE, maker([]))
    assert [path.name for path in (folder / "prior").iterdir()] == ["notes.txt"], "of an earlier set nothing is left"


def test_the_picture_shows_a_page(tmp_path):
    open_parts(tmp_path / PARTS, WEIGHTS)
    write_prior(tmp_path, SHAPE, maker([]))
    with Image.open(tmp_path / "prior.png") as drawn:
        np.testing.assert_array_equal(np.array(drawn), picture(IMAGES, 4)[..., 0])
    assert not (tmp_path / "prior").exists()


def test_batches_after_a_gap_or_damage_are_made_again_and_those_of_other_weights_too(tmp_path, capsys):
    parts = tmp_path / PARTS
    open_parts(parts, WEIGHTS)
    write_prior(tmp_path, SHAPE, maker([]))
    (parts / "000000010.npz").write_bytes(b"PK")
    assert stored(parts)[1] == 10
    made: list[int] = []
    write_prior(tmp_path, SHAPE, maker(made))
    assert made == [10, 15, 20] and stored(parts)[1] == 23
    few: list[int] = []
    write_prior(tmp_path, (7, *SHAPE[1:]), maker(few))
    with np.load(tmp_path / "prior.npz") as file:
        np.testing.assert_array_equal(file["arr_0"], IMAGES[:7])
    open_parts(parts, WEIGHTS | {"checkpoint_step": 5})
    assert not few and stored(parts)[1] == 0 and "of other weights" in capsys.readouterr().out


def test_ten_thousand_images_take_the_memory_of_a_batch_and_make_one_page(tmp_path):
    def make(first):
        for start in range(first, 10_000, 250):
            yield np.full((250, 32, 32, 3), start // 250, np.uint8)

    open_parts(tmp_path / PARTS, WEIGHTS)
    tracemalloc.start()
    write_prior(tmp_path, (10_000, 32, 32, 3), make)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 < 30_720_000 < (tmp_path / "prior.npz").stat().st_size
    with Image.open(tmp_path / "prior.png") as drawn:
        assert max(drawn.size) < 1_100


def test_a_started_set_binds_the_workdir_to_its_settings_and_a_larger_set_is_complete(whole, tmp_path):
    config = digits.get_config()
    config.update_from_flattened_dict(launching.SMALL)
    workdir = whole[0]
    assert not (workdir / "samples" / PARTS).exists()
    for change, left in ({"num_images": 7}, False), ({"num_images": 21}, True), ({"png_folder": True}, True):
        asked = config.copy_and_resolve_references()
        asked.sample.update(change)
        assert is_sampled(KIND.jobs["sample"], asked, workdir) != left
        assert is_complete(KIND, "sample", asked, workdir) != left and is_complete(KIND, "evaluate", asked, workdir)
    open_parts(tmp_path / "samples" / PARTS, WEIGHTS)
    (tmp_path / "claims").mkdir()
    claim = json.loads((workdir / "claims" / "sample.json").read_text())
    claim["settings"]["train"]["learning_rate_schedule"] = "constant"  # such a training may be continued
    (tmp_path / "claims" / "sample.json").write_text(json.dumps(claim))
    for change, differs in (
        ({"num_images": 7, "batch_size": 3, "guided_sources": 1}, 0),
        ({"num_steps": 5, "seed": 1}, 2),
    ):
        asked = config.copy_and_resolve_references()
        asked.sample.update(change)
        asked.train.update(learning_rate_schedule="constant", num_steps=asked.train.num_steps + 10)
        assert len(claim_differences(KIND, "sample", plain(asked), tmp_path)) == differs


@pytest.mark.parametrize(("schedule", "differs"), [("constant", 0), ("cosine", 1)])
def test_a_started_set_does_not_keep_a_training_from_its_continuation(tmp_path, schedule, differs):
    config = digits.get_config()
    config.train.learning_rate_schedule = schedule
    claim(KIND, "sample", config, tmp_path, {})
    open_parts(tmp_path / "samples" / PARTS, WEIGHTS)
    config.train.num_steps *= 2
    assert len(claim_differences(KIND, "sample", plain(config), tmp_path)) == differs


@pytest.mark.slow
def test_an_image_and_its_code_are_functions_of_their_index(key):
    config = digits.get_config("target_learned_prior")
    config.update_from_flattened_dict(launching.SMALL | {"rate.prior_steps": 3})
    model = build(config).model
    params = jax.jit(model.init)(key)
    w = prior_codes(model.code, params, key, 6)
    np.testing.assert_allclose(prior_codes(model.code, params, key, np.array([4, 1])), w[[4, 1]], atol=1e-5)
    assert len(np.unique(w[:, 0])) == 6
    images = generate(model, params, key, 6, w, num_steps=3, batch_size=6)
    settings = {"num_steps": 3, "batch_size": 4, "first": 1, "dtype": np.dtype("uint8")}
    rest = generate_batches(model, params, key, 6, lambda i: w[i], **settings)
    sizes, again = zip(*((len(levels), levels) for levels, _, _ in rest), strict=True)
    assert sizes == (4, 1) and again[0].dtype == np.uint8
    assert np.mean(np.concatenate(again) != images[1:]) < 0.01, "but for roundings next to the middle of two levels"
    assert np.mean(images[0] != images[1]) > 0.1
