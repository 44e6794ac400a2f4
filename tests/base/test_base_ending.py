"""Every end of a program: the exit code and one sentence, whatever was raised and wherever it happened."""

import errno
import io
import os
import pathlib
import sys
from types import SimpleNamespace

import pytest

from vdm_jax.base import ending
from vdm_jax.base.ending import OneSentence, escape_output
from vdm_jax.base.errors import RunFailed, UserError
from vdm_jax.base.mesh import check_devices, no_device
from vdm_jax.base.signals import Stopped


def interrupted_import() -> ImportError:
    error = ImportError("numpy could not be imported")
    error.__cause__ = KeyboardInterrupt()
    return error


ENDS = [  # what is raised, the exit code, what the sentence says
    (UserError("no such job"), 2, "no such job"),
    (RunFailed("a save failed"), 1, "a save failed"),
    (KeyboardInterrupt(), 130, "the same command continues"),
    (interrupted_import(), 130, "the same command continues"),
    (Stopped(), 0, "stopped by SIGTERM; the same command goes on"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/runs/a"), 1, "/runs/a: Not a directory; something else"),
    (ModuleNotFoundError("No module named 'optax'", name="optax.losses"), 1, "package 'optax' is not installed in "),
    (ImportError("libfoo.so: no such file", name="jaxlib"), 1, "'jaxlib' cannot be imported (libfoo.so"),
    (ImportError("cannot import name 'x'", name="vdm_jax.base"), 1, "the installation is incomplete"),
    (OSError(errno.ENOSPC, "No space left on device", "/runs/a"), 1, "/runs/a: No space left on device; free some"),
    (PermissionError(errno.EACCES, "Permission denied", "/runs/a"), 1, "/runs/a: Permission denied; change its perm"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), 1, "/x: No such file or directory"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory"), 1, "prog: No such file or directory"),
    (
        DeprecationWarning("old"),
        2,
        "a warning is an error, as PYTHONWARNINGS or -W asks (DeprecationWarning: old); unset",
    ),
    (ValueError("Invalid value for JAX flag jax_of_a_test"), 2, "JAX_OF_A_TEST=x: Invalid value for JAX flag"),
    (ValueError("Invalid value for JAX flag jax_of_none"), 1, "this is a fault of the program: ValueError: Invalid"),
    (
        FileExistsError(errno.EEXIST, "File exists", "/x"),
        1,
        "/x: File exists; something else has a name that is needed: move it away, or choose another folder",
    ),
    (MemoryError(), 1, "too little memory (of the host)"),
    (RuntimeError("RESOURCE_EXHAUSTED: 5 GiB\nat …"), 1, "too little memory (RESOURCE_EXHAUSTED: 5 GiB)"),
]


@pytest.mark.parametrize(("error", "code", "told"), ENDS, ids=lambda value: repr(value)[:40])
def test_one_sentence(error, code, told, capsys, monkeypatch):
    monkeypatch.setenv("JAX_OF_A_TEST", "x")
    with OneSentence("prog") as end:
        raise error
    lines = capsys.readouterr().err.splitlines()
    assert end.code == code and len(lines) == 1 and lines[0].startswith("prog: ") and told in lines[0], lines


def test_a_current_folder_that_is_gone(tmp_path, capsys, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with OneSentence("prog") as end:
        os.getcwd()
    assert end.code == 1 and capsys.readouterr().err == "prog: the current folder is gone; change to another one\n"


def test_a_file_that_hides_a_package_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, "optax", SimpleNamespace(__file__=str(tmp_path / "optax.py")))
    with OneSentence("prog") as end:
        raise ImportError("cannot import name 'x'", name="chex")
    assert end.code == 1 and f"{tmp_path / 'optax.py'} hides the package of its name; rename" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw_leaves_its_traceback_in_a_file(tmp_path, capsys, monkeypatch):
    """In the run's folder where there is one, else in that for temporary files; else the variable is named."""

    def told(folder) -> str:
        with OneSentence("prog", folder) as end:
            {}["scores"]
        assert end.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("prog: this is a fault of the program: KeyError: 'scores'; ")
        return line

    for folder, path in ((tmp_path, tmp_path / "error.txt"), (tmp_path / "new", tmp_path / "prog-error.txt")):
        monkeypatch.setattr(ending.tempfile, "gettempdir", lambda: str(tmp_path))
        assert told(folder).endswith(f"its traceback is in {path}")
        assert "Traceback" in path.read_text() and "test_base_ending.py" in path.read_text()
        assert not (tmp_path / "new").exists()
    monkeypatch.setattr(ending.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    assert told(None).endswith("VDM_JAX_TRACEBACK=1 in the environment shows its traceback")


def test_the_traceback_of_any_error_can_be_shown(capsys, monkeypatch):
    monkeypatch.setenv("VDM_JAX_TRACEBACK", "1")
    with OneSentence("prog"):
        raise UserError("no such job")
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith("\nprog: no such job\n")


def test_what_ends_a_program_by_itself_passes():
    with pytest.raises(SystemExit), OneSentence("prog"):
        sys.exit(3)


def test_a_reader_that_has_gone_is_no_news(capsys, monkeypatch):
    """`| head`: whether the pipe breaks in a print or in the last flush."""
    for flush in (True, False):
        read, write = os.pipe()
        monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w"))
        os.close(read)
        with OneSentence("prog") as end:
            print("a line", flush=flush)
        assert end.code == 141
        sys.stdout.close()  # writes what it still holds, without an error
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_output_to_a_full_disk(capsys, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with OneSentence("prog") as end:
            print("a line")
    assert end.code == 1
    assert capsys.readouterr().err.startswith("prog: standard output: No space left on device; free some space")
    monkeypatch.setattr(sys, "stdout", None)  # closed before the start
    with OneSentence("prog") as end:
        print("a line")
    assert end.code == 0


def test_characters_that_the_terminal_lacks_are_escaped(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", None)
    escape_output()
    assert not sys.stderr.isatty(), "what is closed can be asked and written"
    print("1 … 2, é, \udce9", file=sys.stderr)
    print("1 … 2, é, \udce9")
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == rb"1 \u2026 2, \xe9, \udce9" + b"\n"


NO_DEVICE = RuntimeError("Unable to initialize backend 'rocm': not there (set JAX_PLATFORMS='' to choose)\nmore")


@pytest.mark.parametrize(
    ("platforms", "error", "told"),
    [
        (
            "gpu",
            NO_DEVICE,
            "JAX_PLATFORMS=gpu: there is no such device (Unable to initialize backend 'rocm': not there);",
        ),
        ("cuda", AssertionError(), "or install its driver and python -m pip install 'vdm-jax[cuda]'"),
        ("tpu", NO_DEVICE, "or install its driver and python -m pip install 'vdm-jax[tpu]'"),
        ("cpu,gpu", NO_DEVICE, "; there is 2 cpu: unset JAX_PLATFORMS, or install its driver"),
        ("nonsense", NO_DEVICE, "; there is 2 cpu: unset JAX_PLATFORMS"),
        ("", NO_DEVICE, "JAX_PLATFORMS=cpu uses the CPU"),
    ],
)
def test_a_device_that_is_not_there(platforms, error, told):
    sentence = no_device(platforms and f"JAX_PLATFORMS={platforms}", error, "2 cpu")
    assert told in sentence and "\n" not in sentence and ("install" in sentence) == (platforms not in ("nonsense", ""))


def test_devices_that_are_there_are_no_news():
    check_devices()
