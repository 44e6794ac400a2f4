"""The published pages, by the name of their folder under results/."""

from vdm_jax.report.published import benchmarks, collapse, ddpm, digits, mnist, probes

ALL = (digits.PAGE, collapse.PAGE, mnist.PAGE, ddpm.PAGE, probes.PAGE, benchmarks.PAGE)
PAGES = {page.folder: page for page in ALL}
