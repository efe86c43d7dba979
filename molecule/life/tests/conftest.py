"""Each test runs from the checkout, where its plays are; what the tests share is in molecule/shared/one_host.py.

The scenario `ways` takes these files, on a host of its own, and `life` all others, so that both end at about the same
time; without a scenario all are taken.
"""

import os
from pathlib import Path

import publishing
import pytest

WAYS = ["test_adopt.py", "test_groups.py", "test_import.py", "test_status.py", "test_trial.py", "test_workers.py"]
SCENARIO = os.environ.get("MOLECULE_SCENARIO_NAME")


def pytest_ignore_collect(collection_path):
    if SCENARIO not in ("life", "ways") or "TRIAL_HOST" in os.environ or not collection_path.name.startswith("test_"):
        return None
    return True if (collection_path.name in WAYS) != (SCENARIO == "ways") else None


@pytest.fixture(autouse=True)
def _checkout(monkeypatch):
    monkeypatch.chdir(Path(publishing.CHECKOUT))
