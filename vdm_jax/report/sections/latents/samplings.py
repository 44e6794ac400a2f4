"""Ways to sample a latent diffusion model: samplers, numbers of steps, their times, starts of the chain."""

from html import escape

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, figure, missing, panel, table
from vdm_jax.report.primitives.samplings import CODES, COLUMNS, DASH, read_samplings, samplings_figure, score_cells
from vdm_jax.report.primitives.workdir import Workdir

DRAWN = {"not_a_sprite": "no sprite, share of samples", "frechet": "Fréchet distance"}
NONE = missing("There is no readable quality.json; config.quality.samplers names ways to sample", "quality")


def samplings_section(workdir: Workdir, gallery: Gallery) -> str:
    """Scores against network evaluations, and a table of all ways."""
    record = workdir.quality
    try:
        found = read_samplings(record)
        if not found:
            return NONE
        rows = [
            [escape(one.name), str(one.num_steps), f"{one.scores['first_timestep']:.0f}",
             str(one.scores["evaluations"]), *score_cells(one.scores)]
            for one in found
        ]  # fmt: skip
        rows.append([CODES, DASH, DASH, DASH, *score_cells(record["codes"])])
        drawn = {
            key: samplings_figure(found, key, label)
            for key, label in DRAWN.items()
            if any(key in one.scores for one in found)
        }
        sizes = f"{record['num_images']:,} samples of each, {record['num_seeds']} evaluation seeds"
        edge = record["edge"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return NONE
    panels = [panel(gallery.save(f"samplings_{key}", each), alt=DRAWN[key]) for key, each in drawn.items()]
    caption = f"{sizes}; ± one standard error over these seeds, which share the trained model."
    if edge:
        caption += (
            f" The edge of the features is timestep {edge['timestep']:.0f}, log SNR {edge['logsnr']:.2f}: no feature"
            " has more than 5% of its information there."
        )
    head = ("sampling", "steps", "first timestep", "network evaluations", *COLUMNS)
    return figure(panels, caption) + table(head, rows, numbers=range(1, len(head)))


SAMPLINGS = Section("samplings", "Ways to sample", samplings_section)
