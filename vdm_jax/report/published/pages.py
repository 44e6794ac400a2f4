"""The published pages, by the name of their folder under results/."""

from vdm_jax.report.published import autoencoders, benchmarks, collapse, ddpm, digits, mnist, probes

ALL = (digits.PAGE, collapse.PAGE, mnist.PAGE, ddpm.PAGE, probes.PAGE, autoencoders.PAGE, benchmarks.PAGE)
PAGES = {page.folder: page for page in ALL}
