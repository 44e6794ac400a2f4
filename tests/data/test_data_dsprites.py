"""dSprites files: tiny ones of the same layout, written from a rendered grid and read back as that grid."""

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from tfds_builds import png, write_build

from vdm_jax.base.errors import UserError
from vdm_jax.data.dsprites import load_dsprites
from vdm_jax.data.sprites import FACTORS, SpriteGrid

GRID = SpriteGrid("tiny", 20, 5, (0.7, 1.0), (0.0, 0.4, 0.8), (2, 3, 5, 7))


@pytest.fixture(scope="module")
def recorded():
    """Images of 0 and 1, and factors with the colour first, as in the file; in another order than the grid's."""
    order = np.random.default_rng(0).permutation(len(GRID))
    images = (np.asarray(GRID.render(jnp.asarray(order)))[..., 0] > 0).astype(np.uint8)
    factors = GRID.factors(order)
    classes = np.stack([np.zeros(len(order), int), *(factors[name] for name in FACTORS)], axis=1)
    table = [(1.0, 2.0, 3.0), GRID.scales, GRID.orientations, np.linspace(0, 1, 4), np.linspace(0, 1, 4)]
    values = np.stack([np.ones(len(order)), *(np.array(table[i])[classes[:, i + 1]] for i in range(5))], axis=1)
    return images, classes, values


def write_npz(folder, images, classes, values):
    np.savez_compressed(folder / "tiny.npz", imgs=images, latents_classes=classes, latents_values=values)


def write_hdf5(folder, images, classes, values):
    with h5py.File(folder / "tiny.hdf5", "w") as file:
        file["imgs"], file["latents/classes"], file["latents/values"] = images, classes, values


def same_grid(found):
    np.testing.assert_allclose(found.scales, GRID.scales)
    np.testing.assert_allclose(found.orientations, GRID.orientations)
    assert (found.sizes, found.shapes, found.side) == (GRID.sizes, GRID.shapes, GRID.side)
    everything = jnp.arange(len(GRID))
    np.testing.assert_array_equal(found.render(everything), GRID.render(everything))
    return True


def test_classes_below_zero_are_told(tmp_path, recorded):
    images, classes, values = recorded
    write_npz(tmp_path, images, classes - np.array([0, 0, 1, 0, 0, 0]), values)
    with pytest.raises(UserError, match="the least of them -1; expected whole numbers from 0 on") as told:
        load_dsprites("tiny.npz", str(tmp_path))
    assert "\n" not in str(told.value)
    write_npz(tmp_path, images[:0], classes[:0], values[:0])
    with pytest.raises(UserError, match="expected whole numbers"):
        load_dsprites("tiny.npz", str(tmp_path))


@pytest.mark.parametrize(("write", "name"), [(write_npz, "tiny.npz"), (write_hdf5, "tiny.hdf5")])
def test_a_file_is_read_as_the_grid_it_was_written_from(tmp_path, recorded, write, name, monkeypatch):
    monkeypatch.setattr("vdm_jax.data.dsprites.BATCH", 50)
    write(tmp_path, *recorded)
    assert same_grid(load_dsprites(name, str(tmp_path)))


def test_a_tfds_build(tmp_path, recorded):
    labels = {"shape": 3, "scale": 2, "orientation": 3, "x_position": 4, "y_position": 4}
    features = {"image": tfds.features.Image(shape=(20, 20, 1))}
    features |= {f"label_{name}": tfds.features.ClassLabel(num_classes=n) for name, n in labels.items()}
    features |= {f"value_{name}": tfds.features.Scalar(dtype=np.float32) for name in labels}
    images, classes, values = recorded

    def example(image, row):
        told = {f"label_{name}": int(classes[row, i + 1]) for i, name in enumerate(labels)}
        return {"image": png(image)} | told | {f"value_{n}": values[row, i + 1] for i, n in enumerate(labels)}

    split = {"train": (images[..., None] * np.uint8(255), np.arange(len(images)))}
    write_build(tmp_path, split, builder="dsprites", features=features, examples=example)
    assert same_grid(load_dsprites("dsprites", str(tmp_path)))


def moved_by_half(images, classes, values):
    images = images.copy()
    one = np.flatnonzero((classes[:, 4] == 2) & (classes[:, 5] == 1))[0]
    images[one, 10] = 0
    return images, classes, values


def one_twice(images, classes, values):
    classes = classes.copy()
    classes[0] = classes[1]
    return images, classes, values


def x_at_other_pixels(images, classes, values):
    images = images.copy()
    last = classes[:, 4] == 3
    images[last] = np.roll(images[last], 1, axis=2)
    return images, classes, values


def a_fourth_shape(images, classes, values):
    """The last of the three once more."""
    last = classes[:, 1] == 2
    more = classes[last] + np.array([0, 1, 0, 0, 0, 0])
    tables = ((images, images[last]), (classes, more), (values, values[last]))
    return tuple(np.concatenate(both) for both in tables)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (moved_by_half, "is no shift of its template by whole pixels"),
        (one_twice, r"holds 288 images; expected each of \(3, 2, 3, 4, 4\) shape, scale, orientation, x, y once"),
        (x_at_other_pixels, "expected the same pixels"),
        (lambda images, *rest: (images[:-1], *rest), "holds factors of 288 images and 287 images"),
        (lambda images, *rest: (np.tile(images, (2, 1, 1)), *rest), "more than the 288 whose factors are there"),
        (lambda images, *rest: (images[:, :15], *rest), r"a batch is uint8\[288, 15, 20\], expected uint8 \[N, H, H\]"),
        (lambda images, *rest: (0 * images, *rest), "holds images without a sprite"),
        (
            lambda images, classes, values: (images, classes[:, 0], values),
            r"classes are int64\[288\]; expected numbers",
        ),
        (lambda images, classes, values: (images, classes / 2, values), r"classes are float64\[288, 6\]; expected num"),
        (
            lambda images, classes, values: (images, classes, values[:, :3]),
            r"values are float64\[288, 3\]; expected num",
        ),
        (lambda images, classes, values: (images, classes, values[:9]), "values are not 288 rows of finite numbers"),
        (
            lambda images, classes, values: (images, classes, values * np.nan),
            "values are not 288 rows of finite numbers",
        ),
        (a_fourth_shape, "holds 4 shapes; expected square, ellipse, heart"),
    ],
)
def test_images_that_are_no_such_grid(tmp_path, recorded, spoil, sentence):
    write_npz(tmp_path, *spoil(*recorded))
    with pytest.raises(UserError, match=sentence):
        load_dsprites("tiny.npz", str(tmp_path))


def test_hdf5_files_that_are_none(tmp_path, recorded):
    """More images than factors in a multiple of what is read at a time; images that are a folder; a scalar."""
    images, classes, values = recorded
    for imgs, given, told in (
        (np.concatenate([images, images]), classes, "more than the 288 whose factors are there"),
        (None, classes, "holds factors of 288 images and 0 images"),
        (images, np.int64(3), r"classes are int64\[\]; expected numbers"),
        (images, classes + 2**40 * (np.arange(6) == 3), "holds 288 images; expected each of"),
    ):
        with h5py.File(tmp_path / "tiny.hdf5", "w") as file:
            file["latents/classes"], file["latents/values"] = given, values
            if imgs is None:
                file.create_group("imgs")
            else:
                file["imgs"] = imgs
        with pytest.raises(UserError, match=told):
            load_dsprites("tiny.hdf5", str(tmp_path))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="no file .*tiny.npz"):
        load_dsprites("tiny.npz", str(tmp_path))
    (tmp_path / "tiny.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="no readable dSprites file"):
        load_dsprites("tiny.npz", str(tmp_path))
    with pytest.raises(UserError, match="no TFDS build of 'dsprites'"):
        load_dsprites("dsprites", str(tmp_path))
