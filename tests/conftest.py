"""Strict by default: no key used twice, no silent rank promotion; shapes are checked by jaxtyping and beartype."""

import os

# Two devices, so that sharding shards. Tests compile more than they compute: unoptimised code halves their time.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import matplotlib
import pytest

matplotlib.use("Agg")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """Where several processes share the tests, those of a file stay together, and those that look at the same run."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("whole" if "whole" in item.fixturenames else item.path.name))


@pytest.fixture
def key():
    return jax.random.key(0)
