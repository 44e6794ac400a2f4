"""The three ways to launch, and where config files are found: in a checkout, and in an installed package."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from launching import ROOT, arguments

FIND = """
import sys
sys.path.insert(0, sys.argv[1])
from vdm_jax.launch.config_files import find, load_config
names = [load_config(f"configs/{name}").name for name in ("collapse.py:14-none", "own.py")]
print(find("configs/digits.py:none"), *names)
"""
OWN = "from vdm_jax.configs.digits import get_config as get_base\n\n\ndef get_config(variant=''):\n"
OWN += "    config = get_base()\n    config.name = 'own'\n    return config\n"


def python(*words, cwd: pathlib.Path) -> list[str]:
    """The lines that `python WORDS` prints in the folder `cwd`, with the packages of the checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_module_lists_commands_that_launch_by_it(tmp_path):
    """Also in a folder with files that have the names of a module of Python and of a package."""
    for name in ("random.py", "jax.py"):
        (tmp_path / name).write_text("raise RuntimeError('not the one that was meant')")
    lines = python("-m", "vdm_jax", "--sweep=none*", "--dry_run", cwd=tmp_path)
    assert len(lines) == 3
    start = f"{sys.executable} -m vdm_jax --config={ROOT}/configs/digits.py:none --workdir=results/runs/digits-sweep/"
    assert all(line.startswith(start) for line in lines)


def test_configs_of_a_checkout_and_of_an_installed_package(tmp_path):
    """Installed, the configs are inside the package. A file in the current folder comes before these."""
    here, site = tmp_path / "here", tmp_path / "site"
    (here / "configs").mkdir(parents=True)
    (here / "configs" / "own.py").write_text(OWN)
    package = site / "vdm_jax"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "vdm_jax" / "__init__.py", package)
    for name in ("launch", "base"):
        (package / name).symlink_to(ROOT / "vdm_jax" / name)
    (package / "configs").symlink_to(ROOT / "configs")
    for path, configs in ((ROOT, ROOT / "configs"), (site, package / "configs")):
        assert python("-c", FIND, str(path), cwd=here) == [f"{configs}/digits.py:none collapse-14-none own"]


def test_help_names_every_flag(capsys):
    from vdm_jax.__main__ import main
    from vdm_jax.experiments.kinds import KINDS
    from vdm_jax.launch.flags import OF_A_RUN
    from vdm_jax.launch.kind import jobs_of

    assert main(["vdm-jax", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"--{flag}" in out for flag in ("config", *OF_A_RUN))
    for name, kind in KINDS.items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [f"{name}:"]]
        assert line.split(maxsplit=1)[1].split(", ") == list(jobs_of(kind))


def test_sigterm_before_the_first_job_is_said(capsys, monkeypatch):
    """Importing takes seconds, in which a cluster may take the machine back."""
    from vdm_jax import __main__ as program

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(program, "launch", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert program.main(["launch.py"]) == 0
    assert capsys.readouterr().err == "launch.py: stopped by SIGTERM; the same command goes on from there\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_program_is_named_in_its_errors(capsys):
    from vdm_jax.__main__ import main

    for program, name in (
        ("/bin/vdm-jax", "vdm-jax"),
        ("launch.py", "launch.py"),
        ("/x/vdm_jax/__main__.py", "vdm-jax"),
    ):
        assert main([program, "--wrong"]) == 2
        assert capsys.readouterr().err.startswith(f"{name}: unknown flag 'wrong'")


def test_a_device_that_is_not_there_is_named_before_data_are_read(start, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "gpu")
    code, out, err = start(*arguments(tmp_path / "run", "configs/mnist.py", data__dir=tmp_path)).finish()
    assert code == 2 and len(out.splitlines()) == 2 and len(err.splitlines()) == 1, (out, err)  # what it starts
    assert err.startswith("launch.py: JAX_PLATFORMS=gpu: there is no such device") and "there is 2 cpu" in err
    assert "python -m pip install 'vdm-jax[cuda]'" in err and not (tmp_path / "run").exists()
