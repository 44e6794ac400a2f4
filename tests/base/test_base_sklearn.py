"""scikit-learn may be missing: who needs it says so."""

import sys

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.sklearn import import_sklearn
from vdm_jax.data.sources import load_digits


def test_it_is_there():
    assert import_sklearn("manifold", "t-SNE").TSNE.__name__ == "TSNE"


def test_who_needs_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match="^the data source 'digits' needs scikit-learn; python -m pip install"):
        load_digits()
