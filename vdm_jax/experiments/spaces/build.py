"""From a config of kind "spaces" to the records that its table is made of: a space, and probes in it at each scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError, choose
from vdm_jax.data.encoded import FOLDER, read_about
from vdm_jax.experiments.common.build import IMPLIED
from vdm_jax.experiments.common.checks import SEED, check_numbers
from vdm_jax.experiments.common.space.encoded import SCALES
from vdm_jax.experiments.common.space.load import kind_of_space
from vdm_jax.experiments.common.space.settings import check_variant, trained_by
from vdm_jax.launch.config_files import flat
from vdm_jax.launch.kind import Need
from vdm_jax.launch.settings import differences, plain, with_implied
from vdm_jax.report.primitives.workdir import Workdir

SPACE = "space"  # the need that trains the autoencoder; the scales are the names of the others
MEASURED = ("diffusion", "exact", "probe")  # sections that the probes take as they are


@dataclass(frozen=True)
class SpaceTable:
    """What the table of a space is made of: the files of other runs.

    space: the folder of the autoencoder, or of a first stage of diffusers. scales: of the probes, by scale.
    """

    config: ConfigDict
    space: Workdir
    scales: Mapping[str, Workdir]

    @property
    def inputs(self) -> dict[str, str]:
        """Fingerprints of the data and of the scaled spaces."""
        first = next(iter(self.scales.values()))
        spaces = " ".join(str(run.exact["space"]["fingerprint"]) for run in self.scales.values())
        return {"data": str(first.exact["provenance"]["data"]), "space": spaces}


def scales_of(config: ConfigDict) -> list[str]:
    """The scales of `config.table.scales`, in the order of `SCALES`. Raises `UserError`."""
    given = [name.strip() for name in config.table.scales.split(",") if name.strip()]
    for name in given:
        choose("scale of config.table.scales", name, SCALES)
    if not given or len(set(given)) < len(given):
        raise UserError(
            f"config.table.scales={config.table.scales!r}; expected one or more of {', '.join(SCALES)}, each once"
        )
    return [name for name in SCALES if name in given]


def check_spaces(config: ConfigDict) -> None:
    """`Kind.check`: what only this kind can judge before the space is trained. Raises `UserError`."""
    scales = scales_of(config)
    check_numbers(config, ((*SEED, "space.seed"),))
    if not (config.space.workdir or config.space.train):
        why = "config.space.workdir and config.space.train are empty: there is no space"
        raise UserError(f"{why}; name a run of kind 'autoencoder', or a variant of configs/autoencoder.py")
    check_variant(config.space)
    if config.space.workdir:
        kind_of_space(Path(config.space.workdir))
    named = {scale: Workdir(Path(config.runs[scale])) for scale in scales if config.runs[scale]}
    for scale, run in named.items():
        check_measured(scale, run, config)
    if named and not config.space.workdir:
        scale, run = next(iter(named.items()))
        why = f"config.runs.{scale}: {run.path} holds curves in a space that there is already"
        raise UserError(f"{why}; name it as well, --config.space.workdir={run.exact['space'].get('workdir') or 'DIR'}")
    if named:
        check_same_space(Workdir(Path(config.space.workdir)), named)


def needs_of_table(config: ConfigDict) -> dict[str, Need]:
    """The autoencoder, where no workdir is named, and the probes in its space at each scale."""
    data = {f"data.{name}": config.data[name] for name in flat(config.data)}
    found = {}
    if not config.space.workdir:
        found[SPACE] = Need(
            trained_by(config.space.train),
            data | {"train.seed": config.space.seed},
            jobs=("train", "encode", "evaluate"),
            setting="space.workdir",
        )
    own = {f"{section}.{name}": config[section][name] for section in MEASURED for name in flat(config[section])}
    where = {} if SPACE in found else {"space.workdir": config.space.workdir}
    for scale in scales_of(config):
        if not config.runs[scale]:
            found[scale] = Need(
                "configs/probes.py",
                data | own | where | {"space.scale": scale, "space.sampled": config.space.sampled},
                jobs=("exact", "train", "probe") if config.table.probes else ("exact",),
                setting=f"runs.{scale}",
                uses={"space.workdir": SPACE} if SPACE in found else {},
            )
    return found


def build_spaces(config: ConfigDict) -> SpaceTable:
    """Reads the records of the space and of the probes. Raises `UserError` where one is missing or of another space."""
    check_spaces(config)
    scales = {scale: Workdir(Path(config.runs[scale])) for scale in scales_of(config)}
    return SpaceTable(config, Workdir(Path(config.space.workdir)), scales)


def check_measured(scale: str, run: Workdir, config: ConfigDict) -> None:
    """Raises `UserError` where a folder lacks the records of a space at this scale, where they are of other data or
    another diffusion than the table, or of sampled codes where the table is of means, or the reverse."""
    probes, sampled = config.table.probes, config.space.sampled
    missing = [job for job, there in (("exact", run.exact), ("probe", run.probe or not probes)) if not there]
    if missing:
        why = f"config.runs.{scale}: {run.path} has no {missing[0]}.json"
        raise UserError(f"{why}; launch it with --jobs={','.join(missing)}")
    about = run.exact.get("space")
    if not about or about["scale"] != scale:
        there = f"of scale {about['scale']!r}" if about else "of pixels"
        raise UserError(f"config.runs.{scale}: {run.path} holds curves {there}; expected those of scale {scale!r}")
    wanted = plain(config)
    there = with_implied(run.exact.get("settings") or {}, IMPLIED, wanted)
    if told := differences(there, wanted, ("data", "diffusion"), ("data.dir",)):
        why = f"config.runs.{scale}: {run.path} is of other data or another diffusion than this table"
        raise UserError(f"{why}: {'; '.join(told[:3])}; name another run, or change this table")
    if not about.get("deterministic") and about["sampled"] != sampled:
        there = f"{run.path} has space.sampled={about['sampled']}"
        raise UserError(f"config.runs.{scale}: {there}, and this table {sampled}; measure it anew, or change this one")


def check_same_space(space: Workdir, scales: Mapping[str, Workdir]) -> None:
    """Raises `UserError` where curves are of other images or other weights than the encodings of the space, or than
    each other."""
    weights = {scale: run.exact["space"]["fingerprint"].partition("-")[0] for scale, run in scales.items()}
    data = {scale: run.exact["provenance"]["data"].rpartition(" ")[0] for scale, run in scales.items()}
    first, about = next(iter(scales)), read_about(space.path / FOLDER)
    encoded = weights[first] if about is None else about["fingerprint"]
    images = data[first] if about is None else about["provenance"]["data"]
    for scale, run in scales.items():
        why = f"config.runs.{scale}: {run.path} holds curves of"
        other = scales[first].path if about is None else space.path
        if data[scale] != images and images not in data[scale].split():
            told = f"the images {data[scale]!r}, and {other} of {images!r}"
            raise UserError(f"{why} {told}; name runs of the same data")
        if weights[scale] != encoded:
            told = f"the weights {weights[scale]!r}, and {space.path} has {encoded!r}"
            raise UserError(f"{why} {told}; remove it to measure them again")
