"""The published pages, by the name of their folder under results/."""

from vdm_jax.report.published import benchmarks, ddpm, digits, mnist, probes
from vdm_jax.report.published.autoencoders import page as autoencoders
from vdm_jax.report.published.collapse import page as collapse
from vdm_jax.report.published.coursework import page as coursework
from vdm_jax.report.published.daes import page as dae
from vdm_jax.report.published.degradation import page as degradation
from vdm_jax.report.published.forward import page as forward
from vdm_jax.report.published.score import page as score
from vdm_jax.report.published.spaces import page as spaces

ALL = (
    digits.PAGE,
    collapse.PAGE,
    mnist.PAGE,
    ddpm.PAGE,
    probes.PAGE,
    autoencoders.PAGE,
    spaces.PAGE,
    score.PAGE,
    coursework.PAGE,
    benchmarks.PAGE,
    dae.PAGE,
    degradation.PAGE,
    forward.PAGE,
)
PAGES = {page.folder: page for page in ALL}
