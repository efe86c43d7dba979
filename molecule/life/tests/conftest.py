"""Each test runs from the checkout, where its plays are; what the tests share is in molecule/shared/one_host.py.

The scenario `ways` takes these files, on a host of its own, and `life` all others, so that both end at about the same
time; without a scenario all are taken.
"""

import os
from pathlib import Path

import publishing
import pytest

WAYS = [
    "test_adopt.py",
    "test_groups.py",
    "test_homes.py",
    "test_import.py",
    "test_old_builds.py",
    "test_status.py",
    "test_tags.py",
    "test_trial.py",
    "test_workers.py",
]
SCENARIO = os.environ.get("MOLECULE_SCENARIO_NAME")


def taken(file):
    """Whether the scenario that runs takes the tests of this file."""
    if SCENARIO not in ("life", "ways") or "TRIAL_HOST" in os.environ:
        return True
    return (file.name in WAYS) == (SCENARIO == "ways")


def pytest_collection_modifyitems(config, items):
    # molecule names each file, and pytest ignores none that is named.
    left = [item for item in items if not taken(item.path)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if taken(item.path)]


@pytest.fixture(autouse=True)
def _checkout(monkeypatch):
    monkeypatch.chdir(Path(publishing.CHECKOUT))
