"""The folder of compiled programs: where it is, what it must not do, and how large it becomes."""

import os

import jax
import pytest

from vdm_jax.base.files import cache_folder
from vdm_jax.launch.compiled import FOLDER, keep_compiled_programs, limit_size


@pytest.fixture
def without_a_folder(monkeypatch, tmp_path):
    """JAX as at a user's start, whose cache folder is `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", given)


def test_programs_are_kept_in_the_folder_of_the_user(without_a_folder):
    folder = keep_compiled_programs()
    assert folder == without_a_folder / "vdm_jax" / FOLDER and jax.config.jax_compilation_cache_dir == str(folder)
    assert folder.stat().st_mode & 0o077 == 0  # what is in it is run


def test_a_given_folder_stays(without_a_folder):
    jax.config.update("jax_compilation_cache_dir", "/given")
    assert keep_compiled_programs() is None and jax.config.jax_compilation_cache_dir == "/given"
    assert not list(without_a_folder.iterdir())


def test_a_folder_that_cannot_be_made_is_no_failure(without_a_folder):
    (without_a_folder / "vdm_jax").write_text("a file")
    assert keep_compiled_programs() is None and jax.config.jax_compilation_cache_dir is None


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_without_an_absolute_folder_it_is_in_the_home(monkeypatch, tmp_path, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert cache_folder() == tmp_path / ".cache" / "vdm_jax"


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    (tmp_path / "folder").mkdir()  # as XLA makes one on a GPU
    for age, name in enumerate(("new", "folder/old", "oldest")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    limit_size(tmp_path, 30)
    assert len(list(tmp_path.rglob("*"))) == 4
    limit_size(tmp_path, 15)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new"]
