"""Configuration and provenance."""

import json

from vdm_jax.report.page import Section
from vdm_jax.report.primitives.markup import Gallery, details, folded, missing, table
from vdm_jax.report.primitives.measured import measured, row_name
from vdm_jax.report.primitives.workdir import Workdir, leaves


def config_section(workdir: Workdir, gallery: Gallery) -> str:
    """The configuration, and the settings of the evaluation, which may have other settings of the jobs; both folded."""
    if not workdir.config:
        return missing("There is no readable config.json yet", "train")
    html = details(f"config.json: {workdir.config.get('name', 'unnamed')}", json.dumps(workdir.config, indent=2))
    if settings := workdir.evaluate.get("settings"):
        html += details("evaluate.json: the settings behind the numbers", json.dumps(settings, indent=2))
    return html


def provenance_section(workdir: Workdir, gallery: Gallery) -> str:
    """Commit, device, versions and time of the numbers."""
    found = leaves(workdir.provenance)
    rows = [[row_name(workdir, place, value, {}), measured(value)] for place, value in found.items()]
    if not rows:
        return missing("No provenance is recorded yet", "evaluate")
    return folded("Commit, device, versions and time of the numbers", table(["", ""], rows))


CONFIG = Section("config", "Configuration", config_section)
PROVENANCE = Section("provenance", "Provenance", provenance_section)
