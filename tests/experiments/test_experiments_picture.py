"""Noised pictures: z_t does not depend on bands, known moments, files that cannot be read, and the memory of 24 MP."""

import ctypes
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vdm_jax.configs import forward_process as configs

from vdm_jax.base.errors import UserError
from vdm_jax.base.images import even_pixel_values
from vdm_jax.data.sources import load_data
from vdm_jax.experiments.forward_process import picture
from vdm_jax.experiments.forward_process.build import ForwardExperiment, tables_of
from vdm_jax.experiments.forward_process.picture import middle, noised_bands, noised_picture, read_picture, reduced
from vdm_jax.experiments.forward_process.strips import strips

MEMORY = Path("/proc/self")


def slope(height=37, width=20, channels=3):
    levels = np.arange(height * width * channels) * 255 // (height * width * channels)
    return levels.reshape(height, width, channels).astype(np.uint8)


def test_z_does_not_depend_on_the_bands(key):
    image = slope()
    whole = noised_picture(image, 0.5, key)
    for rows in (1, 5, 36):
        np.testing.assert_array_equal(noised_picture(image, 0.5, key, band=rows * 60), whole)
    assert (noised_picture(image, 0.5, picture.named_key(key, "other")) != whole).mean() > 0.5


def test_z_has_the_mean_and_the_variance_of_the_process(key):
    image, gamma = np.full((200, 100, 3), 200, np.uint8), 1.0
    z = np.concatenate([rows for _, rows in noised_bands(image, gamma, key, band=7_000)])
    alpha, sigma = np.sqrt(1 / (1 + np.e)), np.sqrt(1 / (1 + 1 / np.e))
    assert z.shape == image.shape
    assert z.mean() == pytest.approx(alpha * even_pixel_values(256)[200], abs=4 * sigma / np.sqrt(z.size))
    assert z.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * z.size))
    assert abs(np.corrcoef(z[0].ravel(), z[1].ravel())[0, 1]) < 4 / np.sqrt(300)  # rows have noise of their own


def test_without_noise_the_picture_stays(key):
    np.testing.assert_array_equal(noised_picture(slope(), -30.0, key), slope())


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3)])
def test_a_file_is_read_as_it_is(tmp_path, mode, channels):
    image = slope(6, 4, channels)
    drawn = Image.fromarray(image[..., 0] if channels == 1 else image).convert(mode)
    drawn.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), image)


def test_a_reduced_picture_averages_and_its_middle_does_not():
    image = np.zeros((40, 80, 1), np.uint8)
    image[:, ::2] = 200
    assert reduced(image, 40).shape == (20, 40, 1)
    assert set(reduced(image, 40).ravel()) == {100}
    assert middle(image, 10).shape == (10, 10, 1)
    assert set(middle(image, 10).ravel()) == {0, 200}
    assert reduced(image, 80) is image
    assert middle(image, 60).shape == (40, 60, 1)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no image", "cannot be read as an image"), (b"", "cannot be read as an image"), (None, "cannot be read")],
)
def test_an_image_that_cannot_be_read_is_named(tmp_path, content, told):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"broken\.png {told}.*; name a PNG, JPEG or WebP file"):
        read_picture(path)


def test_a_cut_file_and_one_of_16_bits_are_named(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2_000])
    with pytest.raises(UserError, match=r"cut\.png cannot be read as an image"):
        read_picture(tmp_path / "cut.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png has more than 8 bits a channel"):
        read_picture(tmp_path / "deep.png")


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    Image.fromarray(slope(6, 4, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(picture, "MOST_PIXELS", 20)
    with pytest.raises(UserError, match=r"a\.png has 24 pixels; expected an image of at most 20"):
        read_picture(tmp_path / "a.png")


@pytest.mark.skipif(not (MEMORY / "clear_refs").exists(), reason="only Linux resets its count of the highest memory")
def test_a_strip_of_24_megapixels_takes_little_memory(tmp_path):
    """The job strips with a file in colour: the decoded picture and one z_t are in memory, 0.07 GiB each."""

    def gib(name):
        line = next(line for line in (MEMORY / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 2**20

    Image.new("RGB", (6_016, 4_016), (200, 120, 40)).save(tmp_path / "large.jpg")
    config = configs.get_config("picture")
    config.update_from_flattened_dict({"schedules.names": "cosine", "strips.num_times": 1})  # one z_t, at t = 0
    small = ForwardExperiment(config, load_data("digits"), tables_of(config.schedules), slope(4, 4, 3), "")
    assert strips(small, tmp_path) == "done"  # what is compiled and loaded once does not count
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # so that the picture finds no freed memory of earlier tests
    (MEMORY / "clear_refs").write_text("5")
    before = gib("VmRSS")
    assert strips(dataclasses.replace(small, picture=read_picture(tmp_path / "large.jpg")), tmp_path) == "done"
    assert 0.13 < gib("VmHWM") - before < 1
    with np.load(tmp_path / "strips.npz") as found:
        assert found["cosine: whole"].shape == (1, 107, 160, 3) and found["cosine: middle"].shape == (1, 160, 160, 3)
