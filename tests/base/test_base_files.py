"""Files that are there whole or not at all."""

import errno
import json
import os
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from vdm_jax.base.ending import OneSentence
from vdm_jax.base.files import write_file, write_json, write_npz, write_text
from vdm_jax.train.metrics import MetricsLog


@contextmanager
def limited(most_bytes: int):
    """Files cannot become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_file_and_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "D + R ≥ H\n")
    assert path.read_bytes() == "D + R ≥ H\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["note.txt"]


def test_a_name_that_the_locale_cannot_decode(tmp_path):
    """Under LC_ALL=C an é is two escaped bytes of Python's text: in the file they are the é again."""
    write_text(tmp_path / "note.txt", "run " + "é".encode().decode("ascii", "surrogateescape"))
    assert (tmp_path / "note.txt").read_text(encoding="utf-8") == "run é"


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new, and ")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"longer")

    write_file(path, write)
    assert path.read_bytes() == b"new, and longer"


@pytest.mark.parametrize("mistake", [RuntimeError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path, mistake):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise mistake("on the way")

    with pytest.raises(mistake, match="on the way"):
        write_file(path, write)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.parametrize("write", [write_text, lambda path, text: MetricsLog(path).write({"step": 1, "text": text})])
def test_a_full_disk_is_named_with_the_file(tmp_path, write, capsys):
    """The system names no file where it is the content that finds no room."""
    path = tmp_path / "file"
    with pytest.raises(OSError) as told, limited(1_000):
        write(path, "too much" * 1_000)
    assert told.value.errno == errno.EFBIG and told.value.filename == str(path)
    with OneSentence("vdm-jax"):
        raise told.value
    assert f"vdm-jax: {path}: File too large; raise the limit" in capsys.readouterr().err


def test_a_replacement_that_fails_leaves_no_draft(tmp_path, monkeypatch):
    def replace(*_):
        raise OSError("the disk went away")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="went away"):
        write_text(tmp_path / "file", "new")
    assert not list(tmp_path.iterdir())


def test_json_keeps_the_order_of_its_keys(tmp_path):
    value = {"z": [1, 2.5, None], "a": {"nested": "é"}}
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and list(json.loads(text)) == ["z", "a"] and text.endswith("}\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "value.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"bad": object()})
    assert json.loads((tmp_path / "value.json").read_text()) == 1


def test_npz_keeps_names_types_and_values(tmp_path):
    arrays = {
        "levels": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "mu": np.float32(0.1),
        "names": np.array(["0", "é"]),
    }
    write_npz(tmp_path / "arrays.npz", arrays)
    with np.load(tmp_path / "arrays.npz") as there:
        assert set(there.files) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(there[name], array)
            assert there[name].dtype == np.asarray(array).dtype
