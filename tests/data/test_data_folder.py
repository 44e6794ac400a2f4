"""Folders of PNG, JPEG and WebP files: known pixels, splits and classes, the cache, and a sentence for each fault."""

import os

import numpy as np
import pytest
from PIL import Image

from vdm_jax.base.errors import UserError
from vdm_jax.data import folder as folders
from vdm_jax.data.sources import load_data


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path):
    """Sixty grey images of 6 x 5 in two class folders; image i has the constant level 4 i."""
    for i in range(60):
        write(tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i:02}.png", np.full((6, 5), 4 * i))
    return tmp_path / "pets"


def write(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path, **options)


def load(folder, **settings):
    return load_data("folder", data_dir=str(folder), **settings)


def test_class_folders_are_classes_and_splits_are_taken_off(pets):
    data = load(pets)
    assert (data.name, data.shape, data.num_levels, data.label_names) == ("pets", (6, 5, 1), 256, ("cat", "dog"))
    sizes = {name: len(getattr(data, name)) for name in ("train", "validation", "test")}
    assert sizes == {"train": 45, "validation": 5, "test": 10}
    splits = (data.train, data.validation, data.test)
    pairs = [(int(x[0, 0, 0]), int(y)) for split in splits for x, y in zip(split.levels, split.labels, strict=True)]
    assert sorted(pairs) == [(4 * i, i % 2) for i in range(60)], "each image once, with the class of its folder"
    np.testing.assert_array_equal(np.bincount(data.test.labels), [5, 5])
    assert data.fingerprint == load(pets).fingerprint and not data.notes
    assert len(load(pets, test_size=20, validation_size=10).train) == 30


def test_folders_of_splits(tmp_path):
    for split, n in (("train", 20), ("val", 4), ("test", 6)):
        for i in range(n):
            write(tmp_path / "own" / split / str(i % 2) / "deeper" / f"{i}.jpg", np.full((4, 4, 3), 30 + n))
    data = load(tmp_path / "own")
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 4, 6)
    assert {int(data.test.levels[0, 0, 0, 0]), int(data.validation.levels[0, 0, 0, 0])} == {36, 34}
    assert data.label_names == ("0", "1") and "stored in colour" in " ".join(data.notes)
    assert load(tmp_path / "own", channels=1).shape == (4, 4, 1)
    with pytest.raises(UserError, match="has a test folder of its own: leave data.test_size unset"):
        load(tmp_path / "own", test_size=3)


def test_images_without_class_folders_have_no_labels(tmp_path):
    for i in range(20):
        write(tmp_path / "flat" / f"{i}.webp", np.full((4, 4, 3), i), lossless=True)
    data = load(tmp_path / "flat")
    assert data.train.labels is None and len(data.test) == 6, "a third where a tenth is below 10"


def test_known_pixels(tmp_path):
    """The middle square of 4 x 8 is kept as it is; transparent pixels are white; a quarter turn is undone."""
    ramp = np.arange(4 * 8 * 3).reshape(4, 8, 3)
    write(tmp_path / "a.png", ramp)
    np.testing.assert_array_equal(folders.read_image(tmp_path / "a.png", 4, "center", 3), ramp[:, 2:6])
    np.testing.assert_array_equal(folders.read_image(tmp_path / "a.png", None, "center", 3), ramp)
    assert folders.read_image(tmp_path / "a.png", 3, "none", 1).shape == (3, 3, 1)
    alpha = np.dstack([np.zeros((2, 2), int), [[0, 255], [255, 0]]])
    write(tmp_path / "b.png", alpha)
    np.testing.assert_array_equal(
        folders.read_image(tmp_path / "b.png", None, "center", 1)[..., 0], 255 - alpha[..., 1]
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path / "c.png", ramp, exif=exif)
    np.testing.assert_array_equal(folders.read_image(tmp_path / "c.png", None, "center", 3), np.rot90(ramp, -1))
    assert folders.read_header(tmp_path / "c.png").size == (4, 8)
    write(tmp_path / "d.png", np.full((8, 8), 77))
    assert (folders.read_image(tmp_path / "d.png", 3, "center", 3) == 77).all()


def test_what_is_changed_is_said(pets):
    write(pets / "cat" / "99.png", np.dstack([np.full((6, 5, 3), 9), np.full((6, 5), 255)]))
    (pets / "Thumbs.db").write_text("x")
    notes = " ".join(load(pets, size=4).notes)
    assert "60 grey and 1 colour files are read as colour" in notes and "1 files are laid on white" in notes
    assert "cropped and resized from shorter sides of 5" in notes and "ignores 1 other file(s), such as .db" in notes


def test_the_cache_is_read_until_files_or_settings_change(pets, own_cache, monkeypatch):
    first = load(pets)
    kept = list(own_cache.rglob("*.npz"))
    assert len(kept) == 1
    reads = []
    monkeypatch.setattr(folders, "read_images", lambda *args: reads.append(1) or read_images(*args))
    assert load(pets).fingerprint == first.fingerprint and not reads
    with pytest.raises(UserError, match="more than max_gib"):
        load(pets, max_gib=1e-9)
    load(pets, size=4)
    assert len(reads) == 1
    kept[0].write_bytes(kept[0].read_bytes()[:100])  # damaged
    assert load(pets).fingerprint == first.fingerprint and len(reads) == 2
    write(pets / "cat" / "00.png", np.full((6, 5), 255))
    assert load(pets).fingerprint != first.fingerprint and len(reads) == 3


read_images = folders.read_images


def test_a_cache_that_cannot_be_written_is_said(pets, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "no cache:" in load(pets).notes[0]


def break_one(pets):
    (pets / "dog" / "01.png").write_bytes((pets / "dog" / "01.png").read_bytes()[:40])


FAULTS = [
    (lambda pets: write(pets / "cat" / "a.png", np.zeros((9, 9))), {}, r"2 sizes \(60 of 5 x 6, 1 of 9 x 9, .*size=5$"),
    (break_one, {}, r"1 of 60 images .* cannot be read; remove them: dog/01.png \("),
    (lambda pets: write(pets / "a.png", np.zeros((6, 5))), {}, "1 images beside class folders such as cat"),
    (lambda pets: (pets / "dog").rename(pets / "test"), {}, "has the subfolder 'test' and no 'train'"),
    (lambda pets: None, {"size": 0}, "data.size=0; expected a side of at least 1"),
    (lambda pets: None, {"channels": 2}, "data.channels=2; expected 1 or 3"),
    (lambda pets: None, {"crop": "centre", "size": 4}, "did you mean 'center'"),
    (lambda pets: None, {"crop": "none"}, "says how to reach data.size, which is unset"),
    (lambda pets: None, {"test_size": 60}, "data.test_size=60 of the 60 images"),
    (lambda pets: None, {"max_gib": 1e-9}, "more than max_gib=1e-09"),
    (lambda pets: None, {"num_levels": 4}, "num_levels=4: the data source 'folder' has no such choice"),
    (lambda pets: None, {"data_dir": "nowhere"}, r"'nowhere' \(data.dir\) does not exist"),
]


@pytest.mark.parametrize(("change", "settings", "sentence"), FAULTS)
def test_faults(pets, change, settings, sentence):
    change(pets)
    with pytest.raises(UserError, match=sentence) as error:
        load_data("folder", **({"data_dir": str(pets)} | settings))
    assert "\n" not in str(error.value)


def test_folders_that_are_no_data_set(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.tif").write_text("")
    with pytest.raises(UserError, match=r"holds no image; expected \.png.*, not 1 \.tif"):
        load(tmp_path / "empty")
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4)
    (tmp_path / "deep").mkdir()
    Image.fromarray(deep).save(tmp_path / "deep" / "a.png")
    with pytest.raises(UserError, match="1 files have more than 8 bits a channel, such as a.png; convert"):
        load(tmp_path / "deep")
    for name in ("train/a", "train/b", "test/c"):
        write(tmp_path / "other" / name / "x.png", np.zeros((4, 4)))
    with pytest.raises(UserError, match="test has the class folder 'c', which train has not"):
        load(tmp_path / "other")


def test_a_folder_in_the_data_folder(pets, monkeypatch):
    monkeypatch.setenv("VDM_DATA_DIR", str(pets.parent))
    assert load_data("folder", name="pets").fingerprint == load(pets).fingerprint
    with pytest.raises(UserError, match="no folder 'pest' in"):
        load_data("folder", name="pest")
    assert os.environ["VDM_DATA_DIR"]
