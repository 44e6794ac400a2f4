"""The page: whole from a whole workdir, a sentence for every missing part, never a broken one."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.report.page import write_report
from vdm_jax.report.primitives.measured import measured
from vdm_jax.report.primitives.workdir import Workdir, leaves
from vdm_jax.report.sections import VAE_VDM_PAGE

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags close in order; gathers ids, links, sources and the text of each section."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.images, self.tags = [], [], [], [], [], set()
        self.sections, self._section = {}, ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = attrs["id"]
        if tag == "img":
            self.images.append(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.sources += [attrs["src"]] if "src" in attrs else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.sections[self._section] = self.sections.get(self._section, "") + data


def report(workdir):
    path = write_report(workdir, VAE_VDM_PAGE)
    assert path == workdir / "report" / "index.html"
    return Page(path.read_text())


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def bare(workdir):
    """The workdir without images and curves, for tests of words."""
    for name in ("evaluate_curves.npz", "embeddings.npz", "metrics.jsonl"):
        (workdir / name).unlink()
    for path in (workdir / "samples").iterdir():
        path.unlink()
    rewrite(workdir / "evaluate.json", frechet_by_n=None)
    return workdir


@pytest.mark.slow
def test_whole_page_is_self_contained_with_every_figure_beside_it(workdir):
    page = report(workdir)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links) and len(page.links) >= 10
    assert not page.tags & {"script", "link", "iframe"}
    html = (workdir / "report" / "index.html").read_text()
    assert not re.search(r"url\(|@import|https?://", html)
    saved = {path.name for path in (workdir / "report").glob("*.png")}
    assert saved >= {
        "training_bound.png", "training_distortion.png", "training_rate.png", "rate_distortion.png",
        "bound_by_logsnr.png", "code_gain.png", "samples_real.png", "samples_prior.png", "samples_aggregate.png",
        "guided.png", "chain.png", "pca_untrained.png", "pca_trained.png", "tsne_untrained.png", "tsne_trained.png",
        "probes.png", "frechet_by_n.png", "fid_by_n.png",
    }  # fmt: skip
    assert len(page.images) == len(saved) and all(image["alt"] for image in page.images)
    assert not any("makes it" in text for text in page.sections.values())
    header = page.sections[""]
    for fact in ("digits-target", "922d38a0f5b1", "2 x cpu (cpu, x86_64)", "1,800 (ema weights)", "2,000 steps"):
        assert fact in header


def test_numbers_have_standard_errors_and_units(bare, images):
    np.savez(bare / "samples" / "real.npz", images=images)
    page = report(bare)
    numbers = page.sections["numbers"]
    for number in ("3.684 ± 0.012", "10.13 ± 0.11", "0.923 ± 0.015", "163.44 ± 0.55", "18.31", "153.3"):
        assert number in numbers  # nats: bpd x 64 ln 2
    assert "bits per dimension" in numbers and "nats per image" in numbers and "300 test images" in numbers
    assert "7.91" in numbers and "real against real: 1.21" in numbers and "not a bound" not in numbers
    samples, raw = page.sections["samples"], page.sections["other"]
    assert "0.2718 ± 0.0031" in samples and "network" not in samples and "—" not in samples
    assert "0a1b2c3d4e5f" in raw and "8x8 images are smaller than the 11x11 window" in raw and "—" not in raw
    assert "5.690 ± 0.020" in page.sections["code"] and "InfoNCE" in page.sections["code"]
    assert "0.10.2" in page.sections["provenance"]
    assert '"target_nats": 10.0' in page.sections["config"]


@pytest.mark.slow
def test_samples_say_how_they_were_drawn(workdir):
    about = {"checkpoint_step": 2400, "weights": "ema", "settings": {"sample": {"num_steps": 100, "sampler": "ddim"}}}
    (workdir / "samples" / "about.json").write_text(json.dumps(about))
    assert "of step 2,400 (ema weights) by 100 steps of ddim" in report(workdir).sections["samples"]


def test_distances_stand_beside_their_floor_and_what_n_adds_to_them(bare, frechet_by_n):
    rewrite(bare / "evaluate.json", frechet_by_n=frechet_by_n)
    page = report(bare)
    assert "41.27" in page.sections["numbers"] and "real against real: 12.06, N = 300" in page.sections["numbers"]
    table = page.sections["other"]
    assert "FID network: source sha256" in table and "6726825d0af5" in table and "there is no code" in table
    assert "fitted" not in table, "curves are drawn, not listed"
    caption = page.sections["frechet"]
    assert "5.72 ± 0.60 (generated)" in caption and "0.00 ± 0.20 (real, held out)" in caption
    assert "FID: not extrapolated, 2048 features need 8196 images" in caption and "distinguishable" not in caption
    negative = frechet_by_n["frechet"]["curves"]["real"] | {"extrapolated": -0.1}
    curves = {"frechet": frechet_by_n["frechet"] | {"curves": {"real": negative}}}
    rewrite(bare / "evaluate.json", frechet_by_n=curves)
    assert "(real, held out; negative: not distinguishable from 0)" in report(bare).sections["frechet"]


def test_no_distance_has_its_reason(bare):
    rewrite(bare / "evaluate.json", frechet_by_n=None, fid=None, reasons={"frechet_by_n": "nothing was generated"})
    page = report(bare)
    assert "Fréchet distance against N: There is none: nothing was generated." in page.sections["absent"]
    assert "real against real: 12.06" not in page.sections["numbers"]


def test_captions_say_the_areas(bare):
    logsnr = np.linspace(8, -2, 11)
    np.savez(bare / "evaluate_curves.npz", logsnr=logsnr, own=np.full(11, 2.0), shuffled=np.full(11, 2.5))
    text = report(bare).sections["logsnr"]
    assert "20.0 nats per image" in text and "are 5.0 nats (w of other images)" in text


def test_what_was_minimised_is_labelled_where_it_is_no_bound(bare):
    assert "not a bound" not in report(bare).sections["numbers"]
    rewrite(bare / "evaluate.json", objective="D alone, not a bound")
    numbers = report(bare).sections["numbers"]
    assert "the training objective is not a bound" in numbers and "Minimised: D alone, not a bound." in numbers


def test_what_was_never_made_is_not_shown_but_named_at_the_end_with_its_command(tmp_path):
    page = report(tmp_path)
    assert {name for name in page.sections if name} == {"absent"} and page.links == ["#absent"]
    told = page.sections["absent"]
    assert all(each.title in told for each in VAE_VDM_PAGE)
    assert f"python launch.py --workdir={tmp_path} --jobs=evaluate,train,sample,report makes it." in told
    assert not page.images and "not evaluated yet" in page.sections[""]


def test_unconditional_model_has_reasons_in_place_of_code_sections(bare):
    why = "an unconditional model has no encoder"
    keys = ("encoder_kl_nats", "encoder_kl_bpd", "linear_probe_accuracy", "mi_lower_nats")
    rewrite(bare / "evaluate.json", **dict.fromkeys(keys), reasons=dict.fromkeys(keys, why))
    np.savez(bare / "evaluate_curves.npz", logsnr=np.arange(3.0), own=np.ones(3), own_se=np.zeros(3))
    page = report(bare)
    assert why in page.sections["numbers"]
    assert not {"rate-distortion", "guided", "chain", "code", "probes"} & set(page.sections)
    told = page.sections["absent"]
    assert "Guided generation: This model has no code" in told and "Probes of the code: This model" in told
    assert "—" not in page.sections["numbers"]
    assert [image["alt"] for image in page.images] == ["bound by log SNR"]
    assert "another code" not in page.sections["logsnr"]


def test_config_without_encoder_is_unconditional_before_any_evaluation(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"name": "x", "model": {"encoder": "none"}}))
    assert "Guided generation: This model has no code" in report(tmp_path).sections["absent"]


def test_a_deterministic_code_has_no_rate_and_is_a_code(tmp_path):
    model = {"encoder": "te", "deterministic": True}
    (tmp_path / "config.json").write_text(json.dumps({"name": "x", "model": model}))
    reasons = {"encoder_kl_nats": "the code is deterministic: its rate is infinite"}
    settings = {"model": model | {"encoder_time": True}, "evaluate": {"code_time": 0.25}}
    numbers = {"linear_probe_accuracy": 0.75, "score_loss": 7.5, "score_loss_standard_error": 0.5}
    record = {"encoder_kl_nats": None, "reasons": reasons, "settings": settings} | numbers
    (tmp_path / "evaluate.json").write_text(json.dumps(record))
    sections = report(tmp_path).sections
    told = sections["absent"]
    assert "Rate and distortion: The code is deterministic" in told and "has no code" not in told
    assert "w is the code of t\u00a0=\u00a00.25." in sections["probes"]
    assert "J, error of the conditional score" in sections["numbers"] and "7.50" in sections["numbers"]
    rewrite(tmp_path / "config.json", model=(control := settings["model"] | {"encoder": "control"}))
    rewrite(tmp_path / "evaluate.json", settings=settings | {"model": control})
    assert not Workdir(tmp_path).is_deterministic and not Workdir(tmp_path).code_time, "a control has no encoder"


def test_everything_is_escaped(bare):
    evil = "<script>alert('&')</script>"
    rewrite(bare / "config.json", name=evil, note=evil)
    rewrite(
        bare / "evaluate.json", weights=evil, reasons={"ssim": evil}, provenance={"commit": evil, evil: evil}, odd=evil
    )
    page = report(bare)
    assert "script" not in page.tags
    for name in ("", "config", "other", "provenance"):
        assert evil in page.sections[name]


def test_nan_in_numbers_and_metrics(bare):
    rewrite(bare / "evaluate.json", bpd=float("nan"), encoder_kl_nats=float("inf"), bpd_se=float("nan"))
    rows = [{"step": s, "split": "train", "bound": float("nan"), "rate": float("inf")} for s in range(3)]
    (bare / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page = report(bare)
    assert "not finite" in page.sections["numbers"] and "nan" not in page.sections["numbers"].lower()
    assert len(page.images) == 3


def test_metrics_pass_over_torn_lines_and_keep_the_last_of_a_repeated_step(tmp_path):
    lines = [
        '{"step": 20, "split": "train", "bound": 3.0}',
        '{"step": 10, "split": "train", "bound": 9.0}',
        '{"step": 20, "split": "train", "bound": 2.0}',
        '{"step": 20, "split": "validation", "bound": 2.5, "rate": null}',
        '{"split": "train", "bound": 1.0}',
        "[1]",
        '{"step": 30, "split": "train", "bou',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    run = Workdir(tmp_path)
    np.testing.assert_array_equal(run.series("train", "bound"), ([10, 20], [9, 2]))
    np.testing.assert_array_equal(run.series("validation", "bound"), ([20], [2.5]))
    assert len(run.series("validation", "rate")[0]) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not an archive"])
def test_unreadable_files_are_as_good_as_missing(tmp_path, content):
    (tmp_path / "samples").mkdir()
    for name in ("evaluate_curves.npz", "embeddings.npz", "samples/guided.npz", "config.json", "evaluate.json"):
        (tmp_path / name).write_bytes(content)
    page = report(tmp_path)
    assert set(page.sections) == {"", "absent"} and "Guided generation" in page.sections["absent"]


def test_npz_without_its_keys_is_as_good_as_missing(tmp_path):
    np.savez(tmp_path / "evaluate_curves.npz", other=np.zeros(3))
    assert "logsnr" not in report(tmp_path).sections


@pytest.mark.slow
def test_rerunning_gives_the_same_page_and_drops_pictures_whose_data_went(bare, images):
    np.savez(bare / "samples" / "real.npz", images=images)
    np.savez(bare / "embeddings.npz", labels=np.zeros(3, np.int32), pca_trained=np.eye(3)[:, :2])
    first = write_report(bare, VAE_VDM_PAGE).read_bytes()
    assert write_report(bare, VAE_VDM_PAGE).read_bytes() == first
    assert {path.name for path in (bare / "report").iterdir()} >= {"pca_trained.png", "samples_real.png"}
    (bare / "embeddings.npz").unlink()
    write_report(bare, VAE_VDM_PAGE)
    left = {path.name for path in (bare / "report").iterdir()}
    assert left >= {"index.html", "samples_real.png"} and "pca_trained.png" not in left


def test_a_workdir_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="--jobs=train"):
        write_report(tmp_path / "nowhere", VAE_VDM_PAGE)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.68421, 0.01234, "3.684 ± 0.012"),
        (163.4, 12.0, "163 ± 12"),
        (0.5, 0.0, "0.5"),
        (12345.6, None, "12,346"),
        (2000, None, "2,000"),
        (None, None, "—"),
        (float("inf"), 1.0, "not finite"),
        ("a<b", None, "a&lt;b"),
        (True, None, "true"),
    ],
)
def test_measured(value, error, text):
    assert re.sub("</?span[^>]*>", "", measured(value, error)) == text


def test_leaves():
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None}
    assert leaves(tree) == {("a", "b"): 1, ("a", "c", "d"): [2], ("e",): None}


@pytest.mark.slow
def test_the_origin_is_that_of_the_record_there_is(tmp_path):
    (tmp_path / "sum.json").write_text(json.dumps({"provenance": {"commit": "abc"}}))
    (tmp_path / "config.json").write_text(json.dumps({"name": "toy"}))
    assert Workdir(tmp_path).provenance == {"commit": "abc"}
    (tmp_path / "exact.json").write_text(json.dumps({"provenance": {"commit": "def"}}))
    assert Workdir(tmp_path).provenance == {"commit": "def"}
