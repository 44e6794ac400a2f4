"""The prepare command: exit codes, one sentence for each failure, and a build that the source reads."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tfds_builds import NAMES, arrays, png

from vdm_jax.data import prepare
from vdm_jax.data.sources import load_data

CONTENT = arrays((4, 4, 1))


class VdmJaxStripes(tfds.core.GeneratorBasedBuilder):
    """A data set that tfds knows by name, with nothing to download: `vdm_jax_stripes`, configurations even and odd."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="even"), tfds.core.BuilderConfig(name="odd")]

    def _info(self):
        features = {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(names=NAMES)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(*pair) for split, pair in CONTENT.items()}

    def _generate_examples(self, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": png(image), "label": int(label)}


class VdmJaxOffline(VdmJaxStripes):
    """A data set whose host does not answer."""

    BUILDER_CONFIGS = []

    def _split_generators(self, dl_manager):
        raise ConnectionError("no route to host;\nfailed to resolve 'images.example'")


class VdmJaxAnySize(VdmJaxOffline):
    """Images of any size."""

    def _info(self):
        features = {"image": tfds.features.Image()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, the last line of stdout, and the sentence on stderr with tfds's bars taken off."""
    capsys.readouterr()
    code = prepare.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if line.startswith("prepare: ")]
    assert len(told) == (code != 0)
    return code, out.splitlines()[-1] if out else "", told[0] if told else ""


@pytest.fixture
def with_tensorflow(monkeypatch):
    """As if TensorFlow were there: these builders do without."""
    monkeypatch.setattr(prepare, "find_spec", lambda name: name)


def test_what_is_prepared_is_read(capsys, tmp_path, with_tensorflow):
    for name, read_as in (("vdm_jax_stripes", "vdm_jax_stripes/even"), ("vdm_jax_stripes/odd:1.0.0", None)):
        read_as = read_as or name.partition(":")[0]
        for _ in range(2):  # the second time it is there already
            code, said, _ = run(capsys, name, f"--dir={tmp_path}")
            assert code == 0 and str(tmp_path / read_as / "1.0.0") in said
            assert said.endswith(f"--config.data.source=tfds --config.data.name={read_as} --config.data.dir={tmp_path}")
        data = load_data("tfds", name=read_as, data_dir=str(tmp_path))
        np.testing.assert_array_equal(np.sort(data.test.levels.ravel()), np.sort(CONTENT["test"][0].ravel()))


def test_the_folder_of_the_environment(capsys, tmp_path, with_tensorflow, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    code, said, _ = run(capsys, "vdm_jax_stripes/even")
    assert code == 0 and said.endswith("--config.data.name=vdm_jax_stripes/even")
    assert load_data("tfds", name="vdm_jax_stripes/even").shape == (4, 4, 1)


def test_without_tensorflow(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    code, _, told = run(capsys, "mnist", f"--dir={tmp_path}")
    assert code == 2 and "needs TensorFlow: python -m pip install 'vdm-jax[prepare]'" in told
    assert not list(tmp_path.iterdir())


def test_a_failed_download(capsys, tmp_path, with_tensorflow):
    code, _, told = run(capsys, "vdm_jax_offline", f"--dir={tmp_path}")
    assert code == 1
    assert "'vdm_jax_offline' could not be downloaded and built: ConnectionError: no route to host; failed to" in told


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["vdm_jax_strips"], "TFDS has no data set called 'vdm_jax_strips'; did you mean 'vdm_jax_stripes'?"),
        (["vdm_jax_stripes:9.9.9"], "TFDS cannot build 'vdm_jax_stripes:9.9.9': AssertionError: "),
        (["vdm_jax_stripes/prime"], "TFDS cannot build 'vdm_jax_stripes/prime': ValueError: "),
        (["vdm_jax_any_size"], "'vdm_jax_any_size' holds images of uint8[any, any, 3]; expected uint8"),
        (["two words"], "name='two words'; expected a TFDS name such as 'cifar10'"),
        ([], "required: NAME; expected NAME [--dir=FOLDER]"),
        (["mnist", "--dri=here"], "unrecognized arguments: --dri=here; expected NAME"),
    ],
)
def test_mistakes(capsys, tmp_path, monkeypatch, with_tensorflow, arguments, sentence):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    code, _, told = run(capsys, *arguments)
    assert code == 2 and sentence in told
    assert not list(tmp_path.iterdir())


def test_a_build_in_another_format(capsys, tmp_path, with_tensorflow):
    assert run(capsys, "vdm_jax_stripes", f"--dir={tmp_path}")[0] == 0
    info = tmp_path / "vdm_jax_stripes" / "even" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    code, _, told = run(capsys, "vdm_jax_stripes", f"--dir={tmp_path}")
    assert code == 2 and "is stored as ['tfrecord']" in told and "--dir=FOLDER" in told
