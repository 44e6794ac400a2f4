"""What launch must know of a kind of experiment: how it is built, its jobs, and what each job depends on.

Claims, locks, refusals of another run's folder, remaining jobs, `--dry_run`, archives and sweeps derive from these
declarations. A new kind is one folder with a `Kind`, and one line in `experiments/kinds.py`.
"""

import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ml_collections import ConfigDict

from vdm_jax.base.errors import choose
from vdm_jax.launch.choices import Choice

Built = Any  # what `Kind.build` returns and its jobs take
Path = pathlib.Path
Status = Literal["done", "stopped"]
REPORT = "report"
PAGE = "report/index.html"
MEMBERS = "members"  # folder of the members of an ensemble


class RunOptions(NamedTuple):
    """What the command line asks of jobs, beyond the config.

    Attributes:
        stop_after: seconds after which a job that can stop is saved and stopped; None: never.
        archive: folder from which a run is restored and into which it is packed, in files of limited size; None: no
            archive.
    """

    stop_after: float | None = None
    archive: Path | None = None


NO_OPTIONS = RunOptions()


class Job(NamedTuple):
    """One job of a kind. A setting is dotted, such as "train.num_steps"; a section's name stands for all its settings.

    Attributes:
        run: `run(built, workdir, options)` -> "done" or "stopped".
        reads: settings that the result depends on. A job that reads none needs nothing built.
        ignores: settings among them that change no number, such as a folder or a limit on memory.
        judges: settings among them that change a verdict in the record but no stored file; only the record is
            rewritten.
        extends: settings among them that may change from launch to launch because what is kept stays valid; or a
            function of the plain config that returns them.
        after: jobs whose files it uses. It remains to be done while one of them remains.
        requires: those of `after` without whose record it cannot start.
        keeps: files and folders that the job adds to as it goes. They bind the folder to the settings. Drafts, those
            in a folder that it leaves, are gone when it is done, and bind this job alone.
        writes: the record, a JSON file written last. It states "settings" and says that the job is done.
        leaves: further files that the job writes with its record.
        memory_hint: what to lower where memory is too small.
        run_members: `run_members([(built, workdir), …], options)` does the job for all members of an ensemble at once;
            None: `run` does it for one after the other.
        is_done: `is_done(config, workdir)`, what the record alone does not say.
        idle: `idle(config)`, whether this config asks nothing of the job. It is then complete and claims nothing.
        check: `check(built, workdir)` before any job starts. Raises `UserError` where what is kept cannot be used.
        ready: `ready(config)` before anything is built or trained. Raises `UserError` where the job cannot run, such as
            on a machine that lacks a package.
        stated: `stated(workdir)`, the settings that an older version stated in what it kept; None: config.json.
        summary: `summary(record)`, the text that a launch with this job ends with.
        remade: whether archives lack its files and its record, which are large and quickly made again.
        can_stop: whether it honours `RunOptions.stop_after`. Its checkpoints are what an archive carries.
        lock: the file that is locked while it runs. Default: a job that keeps files has one of its own.
    """

    run: Callable[[Built, Path, RunOptions], Status]
    reads: tuple[str, ...]
    ignores: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    writes: str = ""
    memory_hint: str = ""
    judges: tuple[str, ...] = ()
    is_done: Callable[[ConfigDict, Path], bool] | None = None
    idle: Callable[[ConfigDict], bool] | None = None
    keeps: tuple[str, ...] = ()
    extends: tuple[str, ...] | Callable[[dict[str, Any]], tuple[str, ...]] = ()
    requires: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    check: Callable[[Built, Path], None] | None = None
    ready: Callable[[ConfigDict], None] | None = None
    stated: Callable[[Path], Mapping[str, Any] | None] | None = None
    summary: Callable[[dict[str, Any]], str] | None = None
    remade: bool = False
    can_stop: bool = False
    lock: str = ""
    run_members: Callable[[Sequence[tuple[Built, Path]], RunOptions], Status] | None = None

    def extended(self, settings: dict[str, Any]) -> tuple[str, ...]:
        """The settings that may change while what is kept stays valid, under these `settings`."""
        return self.extends(settings) if callable(self.extends) else self.extends

    def is_idle(self, config: ConfigDict) -> bool:
        """Whether this config asks nothing of the job."""
        return self.idle is not None and self.idle(config)

    def check_ready(self, config: ConfigDict) -> None:
        """Raises `UserError` where the job cannot run."""
        if self.ready is not None:
            self.ready(config)

    @property
    def keeps_drafts(self) -> bool:
        """Whether what the job keeps are drafts."""
        return any(name.startswith(f"{folder}/") for name in self.keeps for folder in self.leaves)

    def has_kept(self, workdir: Path) -> bool:
        """Whether the folder holds anything that the job keeps. An empty folder holds nothing."""
        paths = [workdir / name for name in self.keeps]
        return any(any(path.iterdir()) if path.is_dir() else path.exists() for path in paths)


class Need(NamedTuple):
    """A run of another kind that is completed first, in WORKDIR/needs/NAME.

    Attributes:
        config: a config file, FILE.py[:VARIANT], or what its `get_config` returns.
        overrides: flat settings, laid over it.
        jobs: the jobs to complete; none named: the config's own, or all.
        setting: the setting of the run that needs it which holds its folder while that run is built. Jobs that read its
            section list it in `ignores`.
        uses: settings of this need, each with the name of an earlier need, whose folder the setting holds. The jobs
            that read such a setting list it in `ignores`.
        stated: what states it, for the sentence on a mistake in it, such as "config.variants.drl='…'"; "": needs/NAME.
        check: `check(config, folder, is_complete)` before any need starts, with the config and the folder of this one.
            Raises `UserError` where what is read of it is not there, or will not be.
    """

    config: str | ConfigDict
    overrides: Mapping[str, Any] = {}
    jobs: tuple[str, ...] = ()
    setting: str = ""
    uses: Mapping[str, str] = {}
    stated: str = ""
    check: Callable[[ConfigDict, Path, bool], None] | None = None


def _nothing(_: Any) -> dict:
    return {}


class Kind(NamedTuple):
    """A kind of experiment.

    Attributes:
        build: `build(config)`, or with `find` `build(config, folder)`, -> what the jobs take. Checks every setting and
            loads the data; raises `UserError`.
        find: `find(config, before)` -> the folder of the data where the config names none, or "". before: the folder in
            which they were found before, or "".
        check: `check(config)` before the runs that this one needs, whose files `build` may read. Raises `UserError` for
            settings that can be judged without them.
        describe: `describe(built)` -> further lines of `--dry_run`: sizes, work.
        jobs: by name, in their order. A kind with `sections` has the job "report" besides, its last.
        inputs: `inputs(built)` -> fingerprints of what the results depend on besides settings: {"data": …}.
        understood: `understood(built)` -> a line that says which data were read, printed before the jobs.
        programs: by the names of compiled functions what is printed while they compile; others are called by their
            names.
        needs: `needs(config)` -> runs of other kinds that are completed first.
        members: `members(config)` -> the configs of the runs of this kind that a run of this config consists of, by
            name. They are complete runs in WORKDIR/members/NAME; a kind with members has no needs. {}: the run itself.
            Raises `UserError`.
        restore: `restore(built, workdir)` -> the trained parameters in a folder. Raises `UserError`.
        functions: `functions(built, params)` -> the functions that `vdm_jax.load` offers.
        sections: of the report page.
        compare: `compare(folder, runs, missing)` -> text. Writes the table that a sweep ends with.
        compared: the job without whose record a run is missing in that table.
        renamed: older names of settings, as older files state them, with the names of today; or for a setting the older
            names of its values with those of today.
        implied: what older files mean that lack a setting. A setting that is added later belongs here, with the value
            under which nothing changes; otherwise older claims and records are refused.
        folders: settings that name a folder, or sections of such settings. The command line makes their paths
            absolute.
        choices: what each choice reads. A setting that is set and that no choice in force reads is refused.
    """

    build: Callable[..., Built]
    jobs: Mapping[str, Job]
    find: Callable[[ConfigDict, str], str] | None = None
    inputs: Callable[[Built], dict[str, str]] = _nothing
    understood: Callable[[Built], str] = lambda _: ""
    check: Callable[[ConfigDict], Any] = _nothing
    describe: Callable[[Built], Iterable[str]] = _nothing
    programs: Mapping[str, str] = {}
    needs: Callable[[ConfigDict], dict[str, Need]] = _nothing
    members: Callable[[ConfigDict], dict[str, ConfigDict]] = _nothing
    restore: Callable[[Built, Path], Any] | None = None
    functions: Callable[[Built, Any], dict[str, Callable[..., Any]]] | None = None
    sections: Sequence[Any] = ()
    compare: Callable[[Path, Mapping[str, Path], Mapping[str, str]], str] | None = None
    compared: str = ""
    renamed: Mapping[str, str | Mapping[str, str]] = {}
    implied: Mapping[str, Any] = {}
    folders: tuple[str, ...] = ("data.dir",)
    choices: tuple[Choice, ...] = ()


Kinds = Mapping[str, Kind]


def kind_of(kinds: Kinds, config: ConfigDict) -> Kind:
    """The kind that `config.kind` names."""
    return choose("config.kind", config.kind, kinds)


def jobs_of(kind: Kind) -> dict[str, Job]:
    """All jobs of a kind by name, in their order, with the report as the last."""
    return dict(kind.jobs) | ({REPORT: _report_job(kind)} if kind.sections else {})


def chosen_jobs(kind: Kind, jobs: Sequence[str]) -> list[str]:
    """Those of `jobs` that the kind has, in its order."""
    return [job for job in jobs_of(kind) if job in jobs]


def lock_of(name: str, job: Job) -> str:
    """The name of the job's lock file; "" for a job that keeps nothing."""
    return job.lock or (f".{name}" if job.keeps else "")


def from_files(job: Callable[[Built, Path], Status]) -> Callable[[Built, Path, RunOptions], Status]:
    """`Job.run` of a job that takes no options."""
    return lambda built, workdir, _: job(built, workdir)


def _report_job(kind: Kind) -> Job:
    """Writes the page from the files of the workdir alone. It is done where it is younger than these."""

    def write(_: Built, workdir: Path, __: RunOptions) -> Status:
        from vdm_jax.report.page import write_report

        print(f"report: {write_report(workdir, kind.sections)}", flush=True)
        return "done"

    def is_done(_: ConfigDict, workdir: Path) -> bool:
        page, shown = workdir / PAGE, [name for job in kind.jobs.values() for name in (job.writes, *job.keeps) if name]
        files = [workdir / name for name in shown if (workdir / name).is_file()]
        return page.is_file() and all(page.stat().st_mtime_ns >= file.stat().st_mtime_ns for file in files)

    return Job(write, reads=(), after=tuple(kind.jobs), is_done=is_done)
