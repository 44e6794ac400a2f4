import pytest
from launching import ROOT


@pytest.fixture
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)
