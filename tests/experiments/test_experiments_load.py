"""`vdm_jax.load`: the functions of a trained run give what the jobs give, from any folder, and refuse what is wrong."""

import json
import re
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import launching
import numpy as np
import pytest
from ml_collections import ConfigDict
from vdm_jax.configs.digits import get_config

import vdm_jax
from vdm_jax.__main__ import main
from vdm_jax.base.errors import UserError
from vdm_jax.diffusion.gaussian import noised
from vdm_jax.diffusion.schedules import ddpm_linear
from vdm_jax.experiments.common.build import load as load_data
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch.kind import Job, Kind, Need

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def run(whole):
    return vdm_jax.load(whole[0])


def test_the_documented_example_runs_from_any_folder(whole, tmp_path, monkeypatch, capsys):
    readme = (launching.ROOT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert 8 <= example.count("\n") <= 12
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / "digits-target").symlink_to(whole[0])
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert "(16, 8, 8, 1) (8, 8, 8, 1) (9, 8, 8, 1)" in capsys.readouterr().out


def test_levels_and_pixels_are_told_apart_by_their_dtype(run):
    levels = run.data.test.levels[:5]
    mean, logvar = run.encode(levels)
    assert mean.shape == logvar.shape == (5, 16)
    np.testing.assert_array_equal(mean, run.encode(run.data.pixel_values[levels])[0])
    terms = run.bound(KEY, levels, passes=2)
    assert [term.shape for term in terms] == [(5,)] * 4 and (terms.encoder_kl > 0).all()
    np.testing.assert_allclose(terms, run.bound(KEY, run.data.pixel_values[levels], passes=2), rtol=1e-6)


def test_little_noise_is_taken_back_and_codes_are_joined_at_their_ends(run):
    x = run.data.test.levels[:4]
    assert abs(run.reconstruct(KEY, x, t=0.02, num_steps=50).astype(int) - x).mean() < 0.5
    assert abs(run.reconstruct(KEY, x, t=1.0, num_steps=5).astype(int) - x).mean() > 0.5
    ends = run.interpolate(x[0], x[1], 3)[[0, 2]]
    np.testing.assert_array_equal(ends, run.interpolate(x[0], x[1], 2))
    assert run.sample(KEY, 3, w=run.encode(x)[0][0], sampler="ddim").shape == (3, 8, 8, 1)


def test_denoise_gives_x_and_eps_of_one_z(run):
    x = run.data.pixel_values[run.data.test.levels[:2]]
    found = run.denoise(x, 0.5, run.encode(x)[0])
    gamma = jnp.float32(-8 * 0.5 + 5 * 0.5)
    np.testing.assert_allclose(noised(found.x, found.eps, gamma), x, atol=1e-4)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda run, x: run.encode(x[0]), r"x has shape \[8, 8, 1\]; expected \[B, 8, 8, 1\]"),
        (lambda run, x: run.encode(x + 20), r"x holds integers 2\d … 3\d; expected levels 0 … 16"),
        (lambda run, x: run.encode(x * 1.0), r"floating-point numbers 0 … 16; expected the model's pixels -0\.94"),
        (lambda run, x: run.sample(KEY, 2, w=np.zeros(3)), r"w has shape \[3\]; expected \[16\] or \[2, 16\]"),
        (lambda run, x: run.sample(KEY, 0), "n=0; expected a whole number, at least 1"),
        (lambda run, x: run.sample(KEY, 1, num_steps=0), "num_steps=0; expected a whole number"),
        (lambda run, x: run.sample(KEY, 1, w=np.full(16, np.nan)), "w holds values that are not finite"),
        (lambda run, x: run.denoise(np.zeros((2, 8, 8, 1)), 2.0), r"t=2\.0; expected a time in \[0, 1\]"),
        (lambda run, x: run.interpolate(x[0], x[:1], 2), r"x has shape \[1, 1, 8, 8, 1\]; expected"),
        (lambda run, x: run.reconstruct(KEY, x, t=0.0), "t=0\\.0; expected a time above 0 and at most 1"),
        (lambda run, x: run.denoise(x[:, :, 0], 0.5), r"z has shape \[3, 8, 1\]; expected \[B, 8, 8, 1\]"),
        (lambda run, x: vdm_jax.load(run.workdir, checkpoint=7), "checkpoint='7' is not in"),
        (lambda run, x: vdm_jax.load(run.workdir, weights="best"), "evaluate.weights='best'; expected one of"),
        (lambda run, x: vdm_jax.load(run.workdir / "samples"), "holds no run: there is no config.json"),
    ],
)
def test_mistakes_are_one_sentence(run, what, message):
    with pytest.raises(UserError, match=message):
        what(run, run.data.test.levels[:3])


def test_a_function_that_the_kind_lacks_is_named(run):
    with pytest.raises(AttributeError, match="kind 'vae_vdm' has no 'posterior'; it has .*'encode'"):
        run.posterior  # noqa: B018
    assert "encode" in dir(run) and "run.sample(key, n, *, sampler=" in repr(run)


@pytest.mark.slow
def test_probes_answer_as_the_exact_posterior_does(tmp_path):
    few = {"exact.num_timesteps": 3, "probe.num_updates": 2, "probe.updates_per_round": 1, "probe.warm_updates": 2}
    few |= {"probe.num_examples": 612, "probe.num_templates": 12, "probe.num_validation": 64, "probe.num_test": 64}
    flags = [f"--config.{name}={value}" for name, value in few.items()]
    config = launching.ROOT / "configs" / "probes.py"
    assert main(["launch.py", f"--config={config}:sparse-linear", f"--workdir={tmp_path}", "--jobs=train", *flags]) == 0
    run = vdm_jax.load(tmp_path)
    x = jnp.float32(2.0 * run.data.test.levels[:32] - 1)
    z = noised(x, jax.random.normal(KEY, x.shape), ddpm_linear().gamma(jnp.float32(0.5)))
    exact, trained = run.posterior(z, 0.5), run.predict(z, 0.5)
    assert exact["shape"].shape == (32, 3) and trained["shape"].shape == (1, 32, 3)
    assert abs(exact["shape"] - trained["shape"][0]).mean() < 0.1
    assert abs(trained["x"][0].sum() - (exact["x"] @ np.linspace(0, 1, 8)).sum()) < 1.5
    with pytest.raises(UserError, match=r"t=500\.0; expected a time in \[0, 1\]"):
        run.predict(z, 500.0)
    shutil.rmtree(tmp_path / "probe")
    with pytest.raises(UserError, match="no probes of timestep 500 are trained in this run; --jobs=train trains them"):
        vdm_jax.load(tmp_path).predict(z, 0.5)


def test_other_data_under_the_same_name_are_refused(whole, tmp_path):
    copy = shutil.copytree(whole[0], tmp_path / "copy", ignore=shutil.ignore_patterns("samples", "report"))
    path = copy / "claims" / "train.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": {"data": "0123"}}))
    with pytest.raises(UserError, match="holds results of data 0123, but the data now are "):
        vdm_jax.load(copy)


def test_a_run_is_loaded_with_the_runs_that_it_needs(tmp_path, monkeypatch):
    data = load_data(get_config().data)

    def get(first=""):
        return ConfigDict(dict(kind="needy", name="needy", part=dict(first=first)))

    needy = Kind(
        lambda config: SimpleNamespace(data=data, first=config.part.first),
        {"train": Job(lambda *_: "done", reads=("part",))},
        needs=lambda config: {"sums": Need(get(), setting="part.first")},
        restore=lambda built, folder: {},
        functions=lambda built, params: {"first": lambda: built.first},
    )
    (tmp_path / "configs").mkdir()
    lines = ["from ml_collections import ConfigDict", "def get_config(variant=''):"]
    lines += ["    return ConfigDict(dict(kind='needy', name='needy', part=dict(first='')))"]
    (tmp_path / "configs" / "needy.py").write_text("\n".join(lines))
    (tmp_path / "config.json").write_text(get().to_json())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(KINDS, "needy", needy)
    assert vdm_jax.load(tmp_path).first() == str(tmp_path / "needs" / "sums")
