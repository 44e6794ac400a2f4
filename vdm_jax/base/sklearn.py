"""scikit-learn is imported where it is used, because a training host may lack it."""

import importlib
import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

from vdm_jax.base.errors import UserError


def import_sklearn(module: str, who: str) -> ModuleType:
    """`sklearn.MODULE`. Raises `UserError` that names `who` needs it if scikit-learn is missing."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise UserError(f"{who} needs scikit-learn; python -m pip install scikit-learn") from error


def packaged_file(name: str) -> Path | None:
    """The path of a file of `sklearn.datasets.data`, found without the second that an import of scikit-learn takes;
    None where it is not there."""
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / name if spec and spec.origin else None
    return path if path and path.is_file() else None


def one_thread() -> AbstractContextManager:
    """Limits BLAS and OpenMP to one thread. A second thread that waits for its core makes small fits ten or twenty
    times slower."""
    import threadpoolctl  # comes with scikit-learn

    return threadpoolctl.threadpool_limits(1)
