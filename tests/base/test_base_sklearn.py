"""scikit-learn may be missing: who needs it says so."""

import sys

import pytest

from vdm_jax.base.errors import UserError
from vdm_jax.base.sklearn import import_sklearn, packaged_file
from vdm_jax.data import sources
from vdm_jax.data.sources import load_digits


def test_it_is_there():
    assert import_sklearn("manifold", "t-SNE").TSNE.__name__ == "TSNE"


def test_who_needs_it_says_so(monkeypatch):
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    assert packaged_file("digits.csv.gz") is None
    with pytest.raises(UserError, match="^the data source 'digits' needs scikit-learn; python -m pip install"):
        load_digits()


def test_digits_are_the_same_where_their_file_has_moved(monkeypatch):
    assert packaged_file("digits.csv.gz").is_file() and packaged_file("nothing.csv") is None
    found = load_digits()
    monkeypatch.setattr(sources, "packaged_file", lambda name: None)
    assert load_digits().fingerprint == found.fingerprint
