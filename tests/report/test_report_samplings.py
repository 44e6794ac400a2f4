"""Ways to sample in the report have the numbers of quality.json."""

import json

import pytest

from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.samplings import read_samplings, samplings_figure
from vdm_jax.report.sections import LATENT_DIFFUSION_PAGE


def scored(value: float, evaluations: int, first: float = 1000.0) -> dict:
    of = {"value": value, "standard_error": 0.01}
    kinds = {"kind": {"kl_nats": {"value": 0.5, "standard_error": None}}}
    return {"not_a_sprite": of, "frechet": of, "modes": kinds, "evaluations": evaluations, "first_timestep": first}


@pytest.fixture
def record():
    samplings = {
        "ddim:10": scored(0.3, 10),
        "ddim:20": scored(0.2, 20),
        "ancestral:20:information": scored(0.25, 20),
        "ancestral:50:time:gaussian": scored(0.4, 27, 532.0),
    }
    edge = {"timestep": 532.0, "logsnr": -2.75}
    return {"samplings": samplings, "codes": scored(0.0, 0), "edge": edge, "num_images": 2000, "num_seeds": 3}


def test_names_and_lines(record):
    found = read_samplings(record)
    assert [one.name for one in found] == [
        "DDIM",
        "DDIM",
        "ancestral, equal information lost a step",
        "ancestral, from a Gaussian at the edge of the features",
    ]
    (axes,) = samplings_figure(found, "not_a_sprite", "no sprite").axes
    first = axes.containers[0].lines[0]
    assert first.get_xdata().tolist() == [10, 20] and first.get_ydata().tolist() == [0.3, 0.2]
    assert len(axes.containers) == 3


def test_the_section_has_the_table_and_the_edge(record, tmp_path):
    (tmp_path / "quality.json").write_text(json.dumps(record))
    page = write_report(tmp_path, LATENT_DIFFUSION_PAGE).read_text()
    for text in ("Ways to sample", "timestep 532, log SNR -2.75", "0.400 ± 0.010", "2,000 samples of each", "27"):
        assert text in page, text
    del record["codes"]
    (tmp_path / "quality.json").write_text(json.dumps(record))
    assert "0.400 ± 0.010" not in write_report(tmp_path, LATENT_DIFFUSION_PAGE).read_text()
