"""`--dry_run` for one run: what was understood of settings and data, its size and what remains; nothing is written."""

import jax
import launching
import pytest
from launching import arguments
from ml_collections import ConfigDict

import launch
from vdm_jax.base.errors import UserError
from vdm_jax.base.pytrees import num_parameters
from vdm_jax.experiments.common.training import count_flops, in_units
from vdm_jax.experiments.kinds import KINDS
from vdm_jax.launch import flags
from vdm_jax.launch.dry_run import describe_run
from vdm_jax.launch.kind import Job, Kind, Need, jobs_of
from vdm_jax.launch.run import run


def lines_of(capsys, *typed) -> list[str]:
    capsys.readouterr()
    assert launch.main(["launch.py", *map(str, typed), "--dry_run"]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("config", ["configs/digits.py", "configs/ddpm.py:sparse-linear"])
def test_a_training_is_described(capsys, tmp_path, config):
    typed = [f"--config={launching.ROOT / config}", f"--workdir={tmp_path / 'run'}"]
    lines = lines_of(capsys, *typed)
    found = flags.parse(["launch.py", *typed], KINDS).config
    built = KINDS[found.kind].build(found)
    params = jax.eval_shape(built.model.init, jax.random.key(0))
    sizes = f"{len(built.data.train):,} train, {len(built.data.validation):,} validation, {len(built.data.test):,} test"
    (data,) = [line for line in lines if line.startswith("data: ")]
    assert sizes in data and " x ".join(map(str, built.data.shape)) in data
    assert f"parameters: {num_parameters(params):,} (" in "\n".join(lines)
    assert [line for line in lines if line.startswith("memory of the training")]
    assert f"FLOP a step of {found.train.batch_size} images" in "\n".join(lines)
    assert [line for line in lines if line.startswith("job ")] == [
        f"job {name}: {'nothing to do under this config' if job.is_idle(found) else 'to do'}"
        for name, job in jobs_of(KINDS[found.kind]).items()
    ]
    assert {"train", "evaluate", "sample", "report"} <= set(jobs_of(KINDS[found.kind]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("config", ["configs/probes.py:sparse-linear-forward", "configs/exact.py:digits-linear"])
def test_probes_and_exact_curves_are_described(capsys, tmp_path, config):
    lines = lines_of(capsys, f"--config={launching.ROOT / config}", f"--workdir={tmp_path / 'run'}")
    assert any(line.startswith("data: ") for line in lines) and any(" timesteps of 0 … 1000" in line for line in lines)
    assert not (tmp_path / "run").exists()


def test_what_remains_and_what_is_refused(capsys, whole):
    """Of a run that is complete; the same checks as of the run itself."""
    lines = lines_of(capsys, *arguments(whole[0]))
    assert [line for line in lines if line.startswith("job ")] == [
        f"job {name}: done" for name in ("train", "evaluate", "sample", "report")
    ]
    assert launch.main(["launch.py", *arguments(whole[0], train__batch_size=4), "--dry_run"]) == 2
    assert "train.batch_size is 8 there and 4 here" in capsys.readouterr().err


def test_settings_that_change_no_number_do_not_bind_a_folder(capsys, whole):
    same = {"train__log_every": 7, "train__eval_every": 9, "train__keep_latest": 5, "train__max_skipped_in_a_row": 3}
    lines = lines_of(capsys, *arguments(whole[0], **same))
    assert "job train: done" in lines and "job evaluate: done" in lines
    assert launch.main(["launch.py", *arguments(whole[0], train__checkpoint_every=5), "--dry_run"]) == 2
    assert "train.checkpoint_every" in capsys.readouterr().err


def test_the_operations_of_a_product():
    shapes = [jax.ShapeDtypeStruct((8, 16), "float32"), jax.ShapeDtypeStruct((16, 4), "float32")]
    assert count_flops(lambda a, b: a @ b, *shapes) == 2 * 8 * 16 * 4
    assert [in_units(number) for number in (4.5e9, 1_234, 12)] == ["4.5 G", "1.23 k", "12 "]


def test_a_run_that_needs_another_names_it_and_is_checked_before(tmp_path):
    """Settings that can be judged without the files of the run that is needed are judged before that run starts."""
    started = []

    def check(config):
        if config.show.digits < 0:
            raise UserError(f"config.show.digits={config.show.digits}; expected at least 0")

    first = ConfigDict(dict(kind="first", name="sums", count=dict(stop=3)))
    job = Job(lambda built, workdir, options: started.append(workdir) or "done", reads=("count",), writes="sum.json")
    needy = Kind(
        lambda config: config,
        {"show": Job(lambda *_: "done", reads=("show",))},
        needs=lambda config: {"sums": Need(first)},
        check=check,
    )
    kinds = {"first": Kind(lambda config: config, {"add": job}), "needy": needy}
    config = ConfigDict(dict(kind="needy", name="mine", show=dict(digits=2)))
    lines = list(describe_run(kinds, config, tmp_path / "run", ["show"]))
    assert f"needs: sums in {tmp_path / 'run' / 'needs' / 'sums'}: add to do" in lines and "job show: to do" in lines
    config.show.digits = -1
    for start in (run, lambda *given: list(describe_run(*given))):
        with pytest.raises(UserError, match="config.show.digits=-1"):
            start(kinds, config, tmp_path / "run", ["show"])
    assert not started and not (tmp_path / "run").exists()
