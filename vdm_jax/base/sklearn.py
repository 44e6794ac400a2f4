"""scikit-learn, imported where it is used: a training host may do without it."""

import importlib
from contextlib import AbstractContextManager
from types import ModuleType

from vdm_jax.base.errors import UserError


def import_sklearn(module: str, who: str) -> ModuleType:
    """`sklearn.MODULE`. Raises `UserError`, which says `who` needs it, where scikit-learn is missing."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise UserError(f"{who} needs scikit-learn; python -m pip install scikit-learn") from error


def one_thread() -> AbstractContextManager:
    """For fits so small that a second thread, waiting for its core, makes them ten or twenty times slower."""
    import threadpoolctl  # comes with scikit-learn

    return threadpoolctl.threadpool_limits(1)
