"""One self-contained HTML page from the files of a workdir alone."""

from collections.abc import Callable
from html import escape
from pathlib import Path

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_text
from vdm_jax.report import ddpm, numbers, pictures
from vdm_jax.report.chain_probes import chain_probes_section
from vdm_jax.report.chains import chains_section
from vdm_jax.report.frechet import frechet_section
from vdm_jax.report.markup import Gallery, facts, section
from vdm_jax.report.probing import exact_section, probe_section
from vdm_jax.report.stylesheet import STYLE
from vdm_jax.report.timeline import timeline_section
from vdm_jax.report.workdir import Workdir, is_number

NUMBER_SECTIONS: dict[str, tuple[str, Callable[[Workdir], str]]] = {
    "other": ("All other numbers", numbers.other_numbers),
    "config": ("Configuration", numbers.config_section),
    "provenance": ("Provenance", numbers.provenance_section),
}
PICTURE_SECTIONS: dict[str, tuple[str, Callable[[Workdir, Gallery], str]]] = {
    "training": ("Training", pictures.training_section),
    "rate-distortion": ("Rate and distortion", pictures.rate_distortion_section),
    "logsnr": ("The bound by log SNR", pictures.logsnr_section),
    "samples": ("Samples", pictures.samples_section),
    "guided": ("Guided generation", pictures.guided_section),
    "chain": ("Reconstruction along the chain", pictures.chain_section),
    "frechet": ("Fréchet distance against N", frechet_section),
    "code": ("The code", pictures.embedding_section),
    "probes": ("Probes of the code", pictures.probe_section),
}
DDPM_SECTIONS: dict[str, tuple[str, Callable[[Workdir, Gallery], str]]] = {
    "training": ("Training", ddpm.loss_section),
    "samples": ("Samples", pictures.samples_section),
    "path": ("From noise to image", ddpm.path_section),
    "coverage": ("Mode coverage", ddpm.coverage_section),
    "frechet": ("Fréchet distance against N", frechet_section),
}
PROBE_SECTIONS: dict[str, tuple[str, Callable[[Workdir, Gallery], str]]] = {
    "timeline": ("The chain at a glance", timeline_section),
    "exact": ("When features are destroyed", exact_section),
    "probe": ("Trained probes beside the exact answer", probe_section),
    "chains": ("When features are decided", chains_section),
    "chain_probes": ("Probes trained on chains", chain_probes_section),
}


CURVES = {"exact": ("timeline", "exact"), "probes": tuple(PROBE_SECTIONS)}  # by kind, which of these sections it has


def write_report(workdir: str | Path) -> Path:
    """Writes WORKDIR/report/index.html, and its figures as PNG beside it; returns the page's path.

    Reads config.json, metrics.jsonl, evaluate.json, evaluate_curves.npz, embeddings.npz and samples/*.npz, of a run of
    probes exact.json, probe.json, chains.json and chain_probes.json; a section whose file is missing says which job
    makes it. Everything is inlined: the page can be sent as one file. Raises `UserError` where there is no such folder.
    """
    path = Path(workdir)
    if not path.is_dir():
        raise UserError(f"workdir={str(path)!r} is not a folder; --jobs=train makes it")
    run, gallery = Workdir(path), Gallery(path / "report")
    if (kind := run.config.get("kind")) in CURVES:
        sections = {name: PROBE_SECTIONS[name] for name in CURVES[kind]}
        parts = {name: (title, draw(run, gallery)) for name, (title, draw) in sections.items()}
        parts |= {name: (title, write(run)) for name, (title, write) in NUMBER_SECTIONS.items() if name != "other"}
    else:
        parts = {"numbers": ("The numbers", numbers.headline(run))}
        sections = DDPM_SECTIONS if run.config.get("kind") == "ddpm" else PICTURE_SECTIONS
        parts |= {name: (title, draw(run, gallery)) for name, (title, draw) in sections.items()}
        parts |= {name: (title, write(run)) for name, (title, write) in NUMBER_SECTIONS.items()}
    gallery.drop_stale()
    index = path / "report" / "index.html"
    write_text(index, _page(run, parts))
    return index


def _page(run: Workdir, parts: dict[str, tuple[str, str]]) -> str:
    title = escape(str(run.config.get("name") or run.path.resolve().name))
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, (heading, _) in parts.items())
    body = "\n".join(section(name, heading, html) for name, (heading, html) in parts.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>{title}</h1>{facts(_header_facts(run))}<nav aria-label="Sections">{links}</nav></header>
{body}
</main>
</body>
</html>
"""


def _header_facts(run: Workdir) -> list[tuple[str, str]]:
    """What the page is about: step and weights evaluated, commit, device; what nobody recorded is said to be so."""
    origin = run.provenance
    step = run.evaluate.get("checkpoint_step")
    if is_number(step):
        evaluated = f"{step:,} ({run.evaluate.get('weights', 'unknown')} weights)"
    else:
        evaluated = "not evaluated yet"
    data = run.config.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    pairs = [("data", str(name or "not recorded"))]
    if run.config.get("kind") not in CURVES:
        trained = f"{run.metrics[-1]['step']:,.0f} steps" if run.metrics else "not yet"
        pairs += [("evaluated at step", evaluated), ("trained", trained)]
    pairs += [
        ("commit", str(origin.get("commit", "not recorded"))),
        ("device", str(origin.get("device", "not recorded"))),
    ]
    return pairs + ([("time", str(origin["time"]))] if "time" in origin else [])
