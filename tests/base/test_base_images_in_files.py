"""Images in files: written in parts, read by numpy and by other programs."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from vdm_jax.base.images import PAGE_PIXELS, num_images, page_size, picture, read_images, write_images, write_png


def draws(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_what_is_written_in_batches_is_one_array_in_its_order(tmp_path):
    images = draws(7, 3, 5, 2)
    write_images(tmp_path / "a.npz", images.shape, [images[:4], images[4:4], images[4:]])
    with np.load(tmp_path / "a.npz") as file:
        assert file.files == ["arr_0"]
        np.testing.assert_array_equal(file["arr_0"], images)
    write_images(tmp_path / "b.npz", images.shape, images[:, None])
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes(), "whatever the batches and the time"
    for most in (None, 0, 5, 99):
        read = list(read_images(tmp_path / "a.npz", most))
        np.testing.assert_array_equal(np.concatenate([images[:0], *read]), images[:most])
    with pytest.raises(ValueError, match="6 images; expected 7"):
        write_images(tmp_path / "b.npz", images.shape, [images[:6]])
    assert num_images(tmp_path / "b.npz") == 7, "a file is replaced by a whole one alone"


def test_files_of_numpy_are_read_too(tmp_path):
    images = draws(3, 4, 4, 1)
    np.savez_compressed(tmp_path / "a.npz", images=images)
    np.testing.assert_array_equal(next(read_images(tmp_path / "a.npz")), images)


@pytest.mark.parametrize("damage", ["cut", "byte", "text", "other array", "floats", "missing"])
def test_a_damaged_file_holds_no_images(tmp_path, damage):
    path, images = tmp_path / "a.npz", draws(20, 4, 4, 1)
    write_images(path, images.shape, [images])
    whole = bytearray(path.read_bytes())
    whole[300] ^= 255
    if damage in ("other array", "floats"):
        np.savez(path, **({"b": images} if damage == "other array" else {"arr_0": images / 255}))
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[:-40], "byte": whole, "text": b"PK"}[damage])
    assert num_images(path) == 0
    with pytest.raises((OSError, ValueError)):
        list(read_images(path))


@pytest.mark.parametrize(("channels", "mode", "width"), [(1, "L", 6), (3, "RGB", 6), (2, "L", 13), (4, "L", 27)])
def test_png_files_have_every_channel(tmp_path, monkeypatch, channels, mode, width):
    monkeypatch.setenv("MPLBACKEND", "module://not.there")
    image = draws(5, 6, channels)
    write_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.mode == mode and drawn.size == (width, 5)
        values = np.array(drawn).reshape(5, width, -1)
    for channel in range(channels):
        left = 0 if channels == 3 else 7 * channel
        np.testing.assert_array_equal(values[:, left : left + 6, channel if channels == 3 else 0], image[..., channel])


@pytest.mark.parametrize("side", [1, 8, 28, 256, 1024, 5000])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 12])
def test_a_page_is_bounded_and_holds_an_image(side, channels):
    shown, columns = page_size(side, side, channels)
    assert 1 <= shown <= 64 and 1 <= columns <= 8
    if side * channels <= 1024:
        drawn = picture(np.zeros((shown, side, side, channels), np.uint8), columns)
        assert drawn.shape[0] * drawn.shape[1] < 2 * PAGE_PIXELS
        assert side > 56 or max(drawn.shape) >= 100, "small images are enlarged"


def test_ten_thousand_images_take_the_memory_of_a_batch(tmp_path):
    def batches():
        for first in range(0, 10_000, 500):
            yield np.full((500, 32, 32, 3), first // 500, np.uint8)

    tracemalloc.start()
    write_images(tmp_path / "a.npz", (10_000, 32, 32, 3), batches())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6 < 30_720_000 <= (tmp_path / "a.npz").stat().st_size
    with zipfile.ZipFile(tmp_path / "a.npz") as file, file.open("arr_0.npy") as member:
        member.seek(128 + 9_999 * 3072)
        assert member.read() == bytes([19]) * 3072
