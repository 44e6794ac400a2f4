"""One table of several runs."""

import json

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.report.study import over_seeds, study_table


def workdir(folder, name, **values):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"name": name}))
    (folder / "evaluate.json").write_text(json.dumps(values))
    return folder


def test_runs_of_one_name_are_seeds_of_one_row(tmp_path):
    runs = [
        workdir(tmp_path / "a", "target", bound_nats=80.0, encoder_kl_nats=10.0, frechet={"distance": 0.5}),
        workdir(tmp_path / "b", "target", bound_nats=82.0, encoder_kl_nats=10.0, frechet={"distance": 0.7}),
        workdir(tmp_path / "c", "none", bound_nats=78.25, encoder_kl_nats=None, frechet={"distance": 0.25}),
    ]
    head, _, target, none = study_table(runs).splitlines()
    assert head == "| setting | seeds | D + R, nats | R, nats | Fréchet, w from prior |"
    assert target == "| target | 2 | 81.0 ± 1.0 | 10 | 0.60 ± 0.10 |"
    assert none == "| none | 1 | 78.25 | — | 0.25 |"


def test_standard_error_is_over_seeds():
    assert over_seeds([1.0, 2.0, 3.0]) == "2.00 ± 0.58"
    assert over_seeds([1.0, None]) == "—"


def test_a_run_that_was_not_evaluated_is_told(tmp_path):
    with pytest.raises(UserError, match="evaluate"):
        study_table([tmp_path])
