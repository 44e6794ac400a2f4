import os

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.data.arrays import looks_channels_first, looks_numbers_last, meant
from vdm_jax.data.sources import load_data

needs_data = pytest.mark.skipif("VDM_DATA_DIR" not in os.environ, reason="VDM_DATA_DIR is not set: no real MNIST here")


def arrays(shape=(6, 5), num_levels=256, dtype=np.uint8, labelled=True, num_train=60, num_test=20):
    random = np.random.default_rng(0)
    result = {}
    for split, n in (("train", num_train), ("test", num_test)):
        result[f"x_{split}"] = random.integers(0, num_levels, (n, *shape)).astype(dtype)
        if labelled:
            result[f"y_{split}"] = np.arange(n) % 3
    return result


def load(tmp_path, content, **settings):
    np.savez(tmp_path / "mine.npz", **content)
    return load_data("npz", name="mine", data_dir=str(tmp_path), **settings)


@pytest.mark.parametrize("shape, image_shape", [((6, 5), (6, 5, 1)), ((4, 4, 3), (4, 4, 3)), ((9, 9, 1), (9, 9, 1))])
def test_grey_and_colour_of_any_size(tmp_path, shape, image_shape):
    content = arrays(shape)
    data = load(tmp_path, content)
    assert data.shape == image_shape and data.num_levels == 256 and data.name == "mine"
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 20)
    pairs = zip(data.test.levels, data.test.labels, strict=True)
    given = zip(content["x_test"].reshape(20, *image_shape), content["y_test"], strict=True)
    assert sorted((x.tobytes(), int(y)) for x, y in pairs) == sorted((x.tobytes(), int(y)) for x, y in given)
    assert data.label_names == ("0", "1", "2")


def test_validation_is_carved_stratified_disjoint_and_fixed(tmp_path):
    content = arrays(num_train=90)
    data = load(tmp_path, content, validation_size=30)
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [10, 10, 10])
    together = np.concatenate([data.train.levels, data.validation.levels])[..., 0]
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in content["x_train"])
    assert data.fingerprint == load(tmp_path, content, validation_size=30).fingerprint
    with pytest.raises(UserError, match="validation_size=90 of the 90 training images"):
        load(tmp_path, content, validation_size=90)


def test_the_first_images_of_a_sorted_file_are_of_all_classes(tmp_path):
    labels = np.repeat(np.arange(10), 100)
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None], (1000, 2, 2))
    data = load(tmp_path, {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels})
    for split in (data.train, data.validation, data.test):
        assert set(split.labels[:100]) == set(range(10))
        np.testing.assert_array_equal(split.levels[:, 0, 0, 0], split.labels)


def test_own_validation_set(tmp_path):
    content = arrays()
    content |= {"x_validation": content["x_test"][:7], "y_validation": content["y_test"][:7]}
    data = load(tmp_path, content)
    assert (len(data.train), len(data.validation)) == (60, 7)
    with pytest.raises(UserError, match="brings its own validation images"):
        load(tmp_path, content, validation_size=5)


@pytest.mark.parametrize(
    "dtype, key, setting, num_levels, stored",
    [(bool, None, None, 2, np.uint8), (np.int64, 17, None, 17, np.uint8), (np.uint16, 3, 1024, 1024, np.uint16)],
)
def test_any_number_of_levels(tmp_path, dtype, key, setting, num_levels, stored):
    content = arrays(num_levels=2, dtype=dtype) | ({} if key is None else {"num_levels": np.array(key)})
    data = load(tmp_path, content, num_levels=setting)
    assert data.num_levels == num_levels and data.train.levels.dtype == stored
    np.testing.assert_array_equal(np.unique(data.test.levels), np.unique(content["x_test"]))


def test_unlabelled_and_named_labels(tmp_path):
    data = load(tmp_path, arrays(labelled=False))
    assert data.train.labels is None and data.label_names == () and data.num_classes == 0
    assert len(data.fingerprint) == 12
    for names in (["cat", "dog", "fox"], [b"cat", b"dog", b"fox"]):
        assert load(tmp_path, arrays() | {"label_names": np.array(names)}).label_names == ("cat", "dog", "fox")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x_test": None}, "has no 'x_test', only .*'x_train'"),
        ({"y_test": None}, r"labels for some splits only: none for \['test'\]"),
        ({"x_train": np.zeros((60, 6, 5))}, r"x_train is float64\[60, 6, 5\]; expected whole numbers"),
        ({"x_test": np.zeros((20, 6, 4), np.uint8)}, "images of different shapes"),
        ({"x_test": np.zeros((20, 6), np.uint8)}, r"x_test is uint8\[20, 6\]; expected whole numbers"),
        ({"y_train": np.zeros(59, int)}, r"int64\[59\] for 60 images; expected one label for each image, \[60\]"),
        ({"y_train": np.full((60, 3), 0.2)}, r"\[60, 3\]; expected one class .* or one-hot; labels.argmax\(1\)"),
        ({"y_train": np.full(60, 0.5)}, "not all of them whole numbers; expected classes 0, 1, …"),
        ({"y_train": np.full(60, "cat")}, r"<U3\[60\]; expected numbers.*np.unique\(labels, return_inverse=True\)"),
        ({"x_val": np.zeros((9, 6, 5), np.uint8)}, r"holds 'x_val' \(did you mean 'x_validation'\?\); rename"),
        ({"lable_names": np.array(["a"])}, r"'lable_names' \(did you mean 'label_names'\?\)"),
        ({"x_validation": None, "y_validation": np.zeros(9, int)}, "holds 'y_validation' and no 'x_validation'"),
        ({"x_train": np.zeros((60, 30), np.uint8)}, r"uint8\[60, 30\]; .*x.reshape\(-1, HEIGHT, WIDTH\) restores"),
        ({"x_train": np.zeros((60, 36), np.uint8)}, r"x.reshape\(-1, 6, 6\) restores the images of flat rows"),
        ({"num_levels": np.array(4)}, "train images hold levels 0 … 255; expected 0 … 3"),
        ({"label_names": np.array(["one"])}, "1 label_names for labels up to 2"),
        ({"y_train": np.full(60, 2**33)}, "train labels are 8589934592 … 8589934592; expected 0 … 9999"),
        ({"y_test": np.full(20, 2 * 10**8)}, "test labels are 200000000 … 200000000; expected 0 … 9999"),
        ({"y_test": np.arange(20) - 1}, "test labels are -1 … 18; expected 0 … 9999"),
        ({"num_levels": np.array([4, 4])}, r"num_levels is int64\[2\]; expected one whole number"),
        ({"num_levels": np.array(4.5)}, r"num_levels is float64\[\]; expected one whole number"),
        ({"num_levels": np.array("four")}, r"num_levels is <U4\[\]; expected one whole number"),
        (
            {"x_train": np.zeros((60, 0, 5), np.uint8)},
            r"uint8\[60, 0, 5\], which holds no pixel; expected whole numbers",
        ),
        (
            {"x_train": np.zeros((9, 8, 3, 60), np.uint8)},
            r"looks like \[H, W, C, N\]: np.moveaxis\(x_train, -1, 0\) puts",
        ),
        (
            {"x_train": np.full((60, 6, 5), -3)},
            r"int64\[60, 6, 5\]; the values are -3 … -3: \(x.astype\(int\) \+ 128\)",
        ),
        (
            {"y_train": np.ones((60, 3))},
            r"\[60, 3\]; expected one class .* or one-hot; labels\[:, 0\] chooses the first",
        ),
        ({"x_train": np.array([{}])}, "not a readable npz file of plain arrays"),
    ],
)
def test_faulty_files_are_named_in_one_sentence(tmp_path, change, sentence):
    content = {key: value for key, value in (arrays() | change).items() if value is not None}
    with pytest.raises(UserError, match=sentence) as error:
        load(tmp_path, content)
    assert "mine.npz" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [(lambda y: y[:, None], None), (lambda y: y.astype(float), None), (lambda y: np.eye(3)[y], "one-hot labels")],
)
def test_labels_of_every_form_are_the_same_classes(tmp_path, wrong, right):
    content = arrays()
    plain, content = load(tmp_path, content), content | {key: wrong(content[key]) for key in ("y_train", "y_test")}
    data = load(tmp_path, content)
    assert data.fingerprint == plain.fingerprint and data.label_names == ("0", "1", "2")
    assert (right is None) == (not data.notes) and (right or "") in "".join(data.notes)


@pytest.mark.parametrize(
    ("of", "way"),
    [
        (lambda x: x / 255, "np.rint(255 * x).astype(np.uint8)"),
        (lambda x: x / 127.5 - 1, "np.rint(127.5 * (x + 1)).astype(np.uint8)"),
        (lambda x: x.astype(np.float32), "np.rint(x).astype(np.uint8)"),
        (lambda x: (x.astype(int) - 128).astype(np.int8), "(x.astype(int) + 128).astype(np.uint8)"),
    ],
)
def test_what_is_said_to_do_with_other_numbers_makes_their_levels(tmp_path, of, way):
    levels = arrays()["x_train"]
    with pytest.raises(UserError, match="mine.npz: x_train is (float|int8)") as error:
        load(tmp_path, arrays() | {"x_train": of(levels)})
    assert way in str(error.value)
    np.testing.assert_array_equal(eval(way, {"np": np, "x": of(levels)}), levels)  # noqa: S307


@pytest.mark.parametrize("way", ["0 … 7.1", "nan"])
def test_normalised_floats_have_no_way_back(tmp_path, way):
    images = np.random.default_rng(0).normal(size=(60, 6, 5)) + (np.nan if way == "nan" else 0)
    with pytest.raises(UserError, match="replace what is not finite" if way == "nan" else "undo their normalisation"):
        load(tmp_path, arrays() | {"x_train": images})


def test_channels_first_are_asked_for(tmp_path):
    content = arrays((3, 9, 8))
    with pytest.raises(UserError, match=r"x_train is uint8\[60, 3, 9, 8\], which looks like \[N, C, H, W\]"):
        load(tmp_path, content)
    first, last = load(tmp_path, content, layout="NCHW"), load(tmp_path, content, layout="NHWC")
    assert first.shape == (9, 8, 3) and last.shape == (3, 9, 8)
    moved = {key: np.moveaxis(value, 1, 3) if key[0] == "x" else value for key, value in content.items()}
    assert first.fingerprint == load(tmp_path, moved).fingerprint
    with pytest.raises(UserError, match="layout='NCWH'; .*did you mean 'NCHW'"):
        load(tmp_path, content, layout="NCWH")
    with pytest.raises(UserError, match=r"looks like \[N, H, W, C\] and not like data.layout='NCHW'; leave it unset"):
        load(tmp_path, moved, layout="NCHW")
    with pytest.raises(UserError, match="has no axis of channels; leave data.layout unset"):
        load(tmp_path, arrays(), layout="NCHW")


@pytest.mark.parametrize("shape", [(28, 28, 1), (3, 32, 3), (1, 7, 4), (32, 32, 5), (9, 9, 12), (2, 2, 2)])
def test_channels_last_are_taken_as_they_are(shape):
    assert not looks_channels_first((10, *shape))
    assert not looks_numbers_last((10, *shape))
    assert looks_channels_first((10, 3, 32, 32)) and looks_channels_first((10, 5, 8, 9))
    assert looks_numbers_last((32, 32, 3, 60)) and looks_numbers_last((28, 28, 1, 9))


def test_names_of_other_formats_are_known():
    files = {"train_images": "x_train", "val_labels": "y_validation", "testX": "x_test", "X_train": "x_train"}
    files |= {"labels": "y_train", "x_trian": "x_train", "num_level": "num_levels"}
    assert {name: meant(name, []) for name in files} == files
    for name in ("weights", "ids", "x_train_mean", "labels_of_fish"):
        assert meant(name, ["y_train"]) is None


def test_levels_of_wide_integers_must_be_stated(tmp_path):
    with pytest.raises(UserError, match="holds int64 images and no 'num_levels'"):
        load(tmp_path, arrays(dtype=np.int64))


def test_missing_folder_and_file_say_how_to_get_mnist(tmp_path, monkeypatch):
    monkeypatch.delenv("VDM_DATA_DIR", raising=False)
    with pytest.raises(
        UserError, match="set VDM_DATA_DIR, or .* to the folder that holds mnist.npz; MNIST in this form"
    ):
        load_data("npz", name="mnist")
    monkeypatch.setenv("VDM_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"nowhere' \(VDM_DATA_DIR\) does not exist; .*; MNIST in this form"):
        load_data("npz", name="mnist")
    np.savez(tmp_path / "mnist.npz", **arrays())
    monkeypatch.setenv("VDM_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"VDM_DATA_DIR\): it holds mnist.npz; --config.data.name=mnist reads it$"):
        load_data("npz", name="fashion")
    np.savez(tmp_path / "another.npz", **arrays())
    with pytest.raises(UserError, match=r"no mnits.npz .*VDM_DATA_DIR\).*did you mean 'mnist'"):
        load_data("npz", name="mnits")
    with pytest.raises(UserError, match=rf"is a file; expected --config.data.dir={tmp_path} --config.data.name=mnist$"):
        load_data("npz", name="fashion", data_dir=str(tmp_path / "mnist.npz"))
    with pytest.raises(UserError, match=rf"without its folder and ending: --config.data.dir={tmp_path} .*name=mnist$"):
        load_data("npz", name="mnist.npz")
    with pytest.raises(UserError, match=f"no mnist.npz .*: it is in {tmp_path}, which --config.data.dir={tmp_path} "):
        load_data("npz", name="mnist", data_dir=str(tmp_path.parent))
    (tmp_path / "a.npz").mkdir()
    (tmp_path / "b.npz").symlink_to("nowhere")
    for name, what in (("a", "a folder"), ("b", "a link to nothing")):
        with pytest.raises(UserError, match=f"{name}.npz is no file, but {what}"):
            load_data("npz", name=name)
    assert load_data("npz", name="mnist").name == "mnist"


def test_a_text_under_the_name_of_an_npz(tmp_path):
    (tmp_path / "mine.npz").write_text("0,1,2")
    with pytest.raises(UserError, match="mine.npz is not a readable npz file of plain arrays: it is no zip archive$"):
        load_data("npz", name="mine", data_dir=str(tmp_path))


@pytest.mark.parametrize("kept", [0, 30, 1000])
def test_truncated_file(tmp_path, kept):
    np.savez(tmp_path / "mine.npz", **arrays())
    (tmp_path / "mine.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:kept])
    with pytest.raises(UserError, match="not a readable npz file"):
        load_data("npz", name="mine", data_dir=str(tmp_path))


def test_single_array_under_the_name_of_an_npz(tmp_path):
    with open(tmp_path / "mine.npz", "wb") as file:
        np.save(file, arrays()["x_train"])
    with pytest.raises(UserError, match="is a single .npy array, not an npz file"):
        load_data("npz", name="mine", data_dir=str(tmp_path))


@needs_data
def test_real_mnist():
    data = load_data("npz", name="mnist")
    assert (len(data.train), len(data.validation), len(data.test)) == (55000, 5000, 10000)
    assert data.fingerprint == "956edd868a66" and not data.notes
    assert data.shape == (28, 28, 1) and data.num_levels == 256 and data.num_classes == 10
    np.testing.assert_array_equal(
        np.bincount(data.test.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    whole = np.bincount(np.concatenate([data.train.labels, data.validation.labels]))
    np.testing.assert_array_equal(whole, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert np.abs(np.bincount(data.validation.labels) - whole / 12).max() < 2
    both = np.concatenate([data.train.levels, data.validation.levels])
    assert abs(both.mean() / 255 - 0.1306604) < 1e-6  # the published mean of the training images


@needs_data
def test_real_mnist_downsampled():
    small = load_data("npz", name="mnist", downsample=2, validation_size=1000)
    assert small.shape == (14, 14, 1) and len(small.validation) == 1000
    assert abs(small.train.levels.mean() / 255 - 0.1307) < 2e-3
