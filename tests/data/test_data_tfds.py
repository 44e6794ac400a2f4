"""TFDS builds: what is read is what was written, and every fault is told in one sentence."""

import os
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tfds_builds import NAMES, arrays, png, write_build

from vdm_jax.base.errors import UserError
from vdm_jax.data.sources import load_data

RECORDS = "tiny_images-train.array_record-00000-of-00001"


def load(folder, name="tiny_images", **settings):
    return load_data("tfds", name=name, data_dir=str(folder), **settings)


def pairs(*splits):
    return sorted((x.tobytes(), int(y)) for images, labels in splits for x, y in zip(images, labels, strict=True))


def of(split):
    return split.levels, split.labels


@pytest.fixture(scope="module")
def content():
    return arrays()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("tfds")
    write_build(folder, content)
    return folder


@pytest.fixture
def broken(folder, tmp_path):
    """A copy of the build, to be broken."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "tiny_images" / "1.2.3"


def test_what_was_written_is_read(folder, content):
    data = load(folder)
    assert data.shape == (6, 5, 3) and data.num_levels == 256 and data.label_names == tuple(NAMES)
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 20)
    assert data.train.levels.dtype == np.uint8 and data.train.labels.dtype == np.int32
    assert pairs(of(data.train), of(data.validation)) == pairs(content["train"])
    assert pairs(of(data.test)) == pairs(content["test"])
    np.testing.assert_array_equal(np.bincount(data.validation.labels), [2, 2, 2])
    assert "tensorflow" not in sys.modules


def test_the_same_in_every_run(folder):
    first = load(folder)
    assert first.fingerprint == load(folder).fingerprint != load(folder, validation_size=9).fingerprint


def test_order_and_validation_set_are_those_of_an_npz_file_in_the_order_of_the_records(folder, tmp_path):
    source = tfds.builder_from_directory(folder / "tiny_images" / "1.2.3").as_data_source()
    file = {}
    for split, records in source.items():
        file |= {f"x_{split}": [record["image"] for record in records], f"y_{split}": [r["label"] for r in records]}
    np.savez(tmp_path / "same.npz", **file)
    same = load_data("npz", name="same", data_dir=str(tmp_path))
    assert load(folder).fingerprint == same.fingerprint


def test_grey_images_without_labels_and_with_a_validation_split(tmp_path):
    content = arrays((4, 7, 1), (("train", 30), ("validation", 8), ("test", 12), ("extra", 5)))
    features = {"image": tfds.features.Image(shape=(4, 7, 1)), "weight": tfds.features.Scalar(np.float32)}
    write_build(tmp_path, content, features=features)
    data = load(tmp_path)
    assert data.train.labels is None and data.label_names == ()
    for split in ("train", "validation", "test"):
        given = sorted(image.tobytes() for image in content[split][0])
        assert sorted(image.tobytes() for image in getattr(data, split).levels) == given
    with pytest.raises(UserError, match="brings its own validation images"):
        load(tmp_path, validation_size=3)


def test_labels_without_names_and_labels_that_are_no_classes(tmp_path):
    image = tfds.features.Image(shape=(6, 5, 3))
    write_build(tmp_path, arrays(), features={"image": image, "label": tfds.features.Scalar(np.int64)}, builder="plain")
    assert load(tmp_path, "plain").label_names == ("0", "1", "2")
    write_build(
        tmp_path, arrays(), features={"image": image, "label": tfds.features.Scalar(np.float32)}, builder="real"
    )
    assert load(tmp_path, "real").train.labels is None


def test_many_records_are_read_in_batches(tmp_path, monkeypatch, folder):
    whole = load(folder).fingerprint
    monkeypatch.setattr("vdm_jax.data.tfds.BATCH_SIZE", 7)
    assert load(folder).fingerprint == whole


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Versions 1.2.3, 1.10.0 and 2.0.0 with 30, 40 and 50 training images, and a configuration."""
    folder = tmp_path_factory.mktemp("several")
    for version, n in (("1.2.3", 30), ("1.10.0", 40), ("2.0.0", 50)):
        write_build(folder, arrays(sizes=(("train", n), ("test", 10))), version=version)
    write_build(folder / "letters", arrays(), builder="capital")
    (folder / "tiny_images" / "incomplete.XYZ_3.0.0").mkdir()
    return folder


@pytest.mark.parametrize(
    "name, num_train",
    [
        ("tiny_images", 50),
        ("tiny_images:1.2.3", 30),
        ("tiny_images:1.*.*", 40),
        ("tiny_images:*.2.*", 30),
        ("letters/capital", 60),
        ("letters/capital:1.2.3", 60),
    ],
)
def test_names_with_configuration_and_version(several, name, num_train):
    data = load(several, name)
    assert len(data.train) + len(data.validation) == num_train and data.name == name


def test_the_folder_is_that_of_tfds(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    assert load_data("tfds", name="tiny_images").shape == (6, 5, 3)
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"{tmp_path}/tensorflow_datasets'.*does not exist.*vdm_jax.data.prepare tiny"):
        load_data("tfds", name="tiny_images")
    shutil.copytree(folder, tmp_path / "tensorflow_datasets")
    assert load_data("tfds", name="tiny_images").shape == (6, 5, 3)


@pytest.mark.parametrize(
    "name, sentence",
    [
        (
            "tiny_imagse",
            r"no TFDS build of 'tiny_imagse' in .*'letters/capital:1.2.3', 'tiny_images:1.10.0'.*did you mean",
        ),
        ("tiny_images:3.0.0", r"no TFDS build of 'tiny_images:3.0.0' in .*'tiny_images:2.0.0'"),
        ("letters", r"no TFDS build of 'letters' in .*'letters/capital:1.2.3'"),
        ("tiny_images:1.2", "name='tiny_images:1.2'; expected a TFDS name such as"),
        ("../secret", "expected a TFDS name such as"),
    ],
)
def test_builds_that_are_not_there(several, name, sentence):
    with pytest.raises(UserError, match=sentence) as told:
        load(several, name)
    assert "\n" not in str(told.value)


def test_a_folder_without_builds(tmp_path):
    with pytest.raises(
        UserError, match=rf"it holds no builds; `python -m vdm_jax.data.prepare mnist --dir={tmp_path}` makes one"
    ):
        load(tmp_path, "mnist")


def spoil(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FAULTS = {
    "no info": (lambda build: (build / "dataset_info.json").unlink(), "no readable TFDS build: .*dataset_info.json"),
    "half an info": (lambda build: (build / "dataset_info.json").write_text("{"), "no readable TFDS build: ParseError"),
    "no features": (lambda build: (build / "features.json").unlink(), "is no readable TFDS build: "),
    "no file": (lambda build: (build / RECORDS).unlink(), "split 'train' cannot be read: .*No such file"),
    "empty file": (lambda build: (build / RECORDS).write_bytes(b""), "split 'train' cannot be read: "),
    "half a file": (lambda build: os.truncate(build / RECORDS, 65_536), "split 'train' cannot be read: "),
    "too few": (lambda build: spoil(build / "dataset_info.json", '"60"', '"61"'), "split 'train' cannot be read: "),
    "other images": (
        lambda build: spoil(build / "features.json", '"6"', '"7"'),
        r"split 'train' cannot be read: .*image 0 is \[6, 5, 3\], not \[7, 5, 3\]",
    ),
    "tfrecord": (
        lambda build: spoil(build / "dataset_info.json", "array_record", "tfrecord"),
        r"is stored as \['tfrecord'\], which TensorFlow alone reads; .*prepare tiny_images --dir=FOLDER` writes",
    ),
    "no split": (
        lambda build: spoil(build / "dataset_info.json", '"test"', '"dev"'),
        r"has no split 'test', only \['dev', 'train'\]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_builds_are_named_in_one_sentence(broken, fault):
    spoil_build, sentence = FAULTS[fault]
    spoil_build(broken)
    with pytest.raises(UserError, match=sentence) as told:
        load(broken.parents[1])
    assert str(broken) in str(told.value) and "\n" not in str(told.value)


def test_a_damaged_record(broken):
    content = bytearray((broken / RECORDS).read_bytes())
    content[3_000] ^= 0xFF
    (broken / RECORDS).write_bytes(content)
    with pytest.raises(UserError, match="split 'train' cannot be read: RuntimeError: Corrupted"):
        load(broken.parents[1])


IMAGE = tfds.features.Image
UNSUITABLE = {
    "of any size": ({"image": IMAGE()}, None, r"holds images of uint8\[any, any, 3\]; expected uint8 \[H, W, C\]"),
    "real": (
        {"image": tfds.features.Tensor(shape=(6, 5, 3), dtype=np.float32)},
        lambda image, label: {"image": image.astype(np.float32)},
        r"holds images of float32\[6, 5, 3\]; expected uint8",
    ),
    "no image": (
        {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=3)},
        lambda image, label: {"text": "a cat", "label": int(label)},
        r"has no feature 'image', only \['label', 'text'\]",
    ),
}


@pytest.mark.parametrize("kind", UNSUITABLE)
def test_unsuitable_images(tmp_path, kind):
    features, examples, sentence = UNSUITABLE[kind]
    write_build(tmp_path, arrays(), features=features, examples=examples)
    with pytest.raises(UserError, match=sentence):
        load(tmp_path)


def test_unlabelled_images_in_one_split(tmp_path):
    content = arrays()
    content["test"] = (content["test"][0], np.full(20, -1))
    write_build(tmp_path, content)
    with pytest.raises(UserError, match="the test labels are -1 … -1; expected 0 … 9999"):
        load(tmp_path)


def test_data_that_do_not_fit_are_refused_before_they_are_read(broken):
    (broken / RECORDS).unlink()
    spoil(broken / "dataset_info.json", '"60"', '"100000000"')
    with pytest.raises(UserError, match=r"takes 8\.38 GiB as uint8, more than max_gib=8: .*set data.max_gib higher"):
        load(broken.parents[1])
    with pytest.raises(UserError, match="split 'train' cannot be read"):
        load(broken.parents[1], max_gib=8.5)


@pytest.mark.parametrize("package", ["tensorflow_datasets", "array_record", "importlib_resources", "PIL"])
def test_a_missing_package_is_named_with_the_extra(folder, monkeypatch, package):
    for module in [name for name in sys.modules if name.partition(".")[0] == package] or [package]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"'tfds' needs packages .* \({package}.*\): .*'vdm-jax\[tfds\]'"):
        load(folder)


def test_settings_that_do_not_apply():
    with pytest.raises(UserError, match="max_gib=1.0: the data source 'npz' has no such choice"):
        load_data("npz", name="mnist", max_gib=1.0)
    with pytest.raises(UserError, match="the data source 'tfds' needs a name"):
        load_data("tfds")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A build like CelebA's: two attributes beside the image, no label, 6 x 8 pixels."""
    folder, content = tmp_path_factory.mktemp("faces"), arrays((6, 8, 3))
    image = tfds.features.Image(shape=(6, 8, 3))
    features = {"image": image, "attributes": {"Male": np.bool_, "Young": np.bool_}, "weight": np.float32}

    def example(image, label):
        attributes = {"Male": bool(label == 1), "Young": bool(label != 1)}
        return {"image": png(image), "attributes": attributes, "weight": 0.5}

    write_build(folder, content, builder="faces", features=features, examples=example)
    return folder, content


def test_an_attribute_is_the_label(faces):
    folder, content = faces
    data = load(folder, "faces", label="attributes/Male")
    assert data.label_names == ("not Male", "Male") and data.shape == (6, 8, 3)
    male = [(images, (labels == 1).astype(int)) for images, labels in content.values()]
    assert pairs(of(data.train), of(data.validation), of(data.test)) == pairs(*male)
    assert load(folder, "faces").train.labels is None
    for label in ("attributes/Mal", "attributes", "weight"):
        with pytest.raises(UserError, match=r"no such whole number or truth value.*'attributes/Male', 'attributes/You"):
            load(folder, "faces", label=label)


def test_images_are_cropped_and_resized(faces):
    folder, content = faces
    same = load(folder, "faces", size=6, label="attributes/Male")
    cropped = sorted(image[:, 1:7].tobytes() for image in content["test"][0])
    assert sorted(image.tobytes() for image in same.test.levels) == cropped
    half = load(folder, "faces", size=3)
    assert half.shape == (3, 3, 3) and half.train.labels is None
    np.testing.assert_allclose(half.train.levels.mean(), content["train"][0][:, :, 1:7].mean(), atol=4)
    with pytest.raises(UserError, match="data.size=0; expected a side of at least 1"):
        load(folder, "faces", size=0)
