"""One small run of all jobs, shared by the tests that look at what it left."""

import pytest
from launching import Launched, arguments


@pytest.fixture(scope="session")
def start():
    """`Launched`, of which none outlives the tests."""
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
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    code, out, err = start(*arguments(workdir)).finish()
    assert code == 0, err
    return workdir, out
