"""Each test runs from the checkout, where its plays are; what the tests share is in molecule/shared/one_host.py."""

from pathlib import Path

import publishing
import pytest


@pytest.fixture(autouse=True)
def _checkout(monkeypatch):
    monkeypatch.chdir(Path(publishing.CHECKOUT))
