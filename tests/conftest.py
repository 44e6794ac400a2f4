"""Strict by default: no key used twice, no silent rank promotion; shapes are checked by jaxtyping and beartype."""

import gc
import os
from importlib.metadata import version

# Two devices, so that sharding shards. Tests compile more than they compute: unoptimised code halves their time, so do
# loops made without the fusion emitters, and a module that is not split saves a fifth of what is left. XLA offers the
# latter two until jaxlib 0.11 (it stops at unknown flags).
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * version("jaxlib").startswith("0.10."),
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes that tests start find what the first of them has compiled

import jax
import matplotlib
import pytest

# Tracing makes objects by the million, few of them garbage: collections that are as frequent as Python's find little.
gc.set_threshold(100_000, 50, 100)
LOADED = []  # the seconds of each program that was compiled, or read from its folder, and is in memory
MOST_PROGRAMS = 400
matplotlib.use("Agg")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: LOADED.append(seconds) if event.endswith("/backend_compile_duration") else None
)


def pytest_sessionstart(session):
    """How long all tests take is said before the first; `-q` would hide `pytest_report_header`."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not session.config.option.file_or_dir:
        reporter.write_line("all tests: about 12 minutes on two cores; pytest -m 'not slow': under 3")


# Fixtures that start the program, or run the jobs of an experiment: their tests are slow.
RUNS = {"start", "whole"}


def is_slow(item) -> bool:
    """Whether a test is left out by `-m "not slow"`: marked, or with a run of its own."""
    of_jobs = "workdir" in item.fixturenames and item.path.parent.name == "experiments"
    return of_jobs or bool(RUNS & set(item.fixturenames))


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """Where several processes share the tests, those of a file stay together, and those that look at the same run.

    The latter are few and slow: they begin, for at the end one process would be alone with them.
    """
    items.sort(key=lambda item: "whole" not in item.fixturenames)
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.xdist_group("whole" if "whole" in item.fixturenames else item.path.name))


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory, request):
    """What takes long to compile is kept for the other tests, and for the other processes that share them."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if hasattr(request.config, "workerinput") else folder
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_collection_finish():
    """What is imported and collected stays until the end: collections of garbage need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def few_programs_in_memory():
    """The small programs of a file are those of the next, the large ones are not. A program takes a megabyte or two."""
    yield
    if len(LOADED) > MOST_PROGRAMS:
        LOADED.clear()
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def start():
    """`Launched`, of which none outlives the tests."""
    from launching import Launched  # here, so that the process that only shares out the tests loads no vdm_jax

    processes = []

    def start(*arguments) -> Launched:
        processes.append(Launched(*arguments))
        return processes[-1]

    yield start
    for launched in processes:
        launched.process.kill()


@pytest.fixture(scope="session")
def whole(tmp_path_factory, start):
    """A workdir after all four jobs, and what was printed."""
    from launching import arguments

    workdir = tmp_path_factory.mktemp("runs") / "whole"
    code, out, err = start(*arguments(workdir)).finish()
    assert code == 0, err
    return workdir, out
