"""`tests/run`: which stages run beside which, and that each runs once whatever the others take."""

import importlib.util
import threading
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADER = SourceFileLoader("stages", str(ROOT / "tests/run"))


@pytest.fixture(scope="module")
def stages():
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("stages", LOADER))
    LOADER.exec_module(module)
    return module


def beside(stages, marked, lanes):
    """What ran, in the order in which it began, with all that ran at some time beside it."""
    began, there, lock = {}, set(), threading.Lock()

    def run(stage):
        with lock:
            began[stage] = set(there)
            for other in there:
                began[other].add(stage)
            there.add(stage)
        time.sleep(0.05)
        with lock:
            there.remove(stage)
        return stage.upper()

    told = stages.run_all(marked.split(), lanes, run)
    assert told == {name.rstrip("+!"): name.rstrip("+!").upper() for name in marked.split()}
    return began


def test_three_at_a_time_in_their_order(stages):
    began = beside(stages, "a b c d e f", 3)
    assert set(list(began)[:3]) == {"a", "b", "c"}
    assert any(began.values())


def test_what_measures_has_one_other_beside_it(stages):
    began = beside(stages, "a+ b c+ d e f", 3)
    assert list(began)[0] == "a" and "c" not in began["a"]
    at_once = [stage for stage in "ac" if len(began[stage]) > 2]
    # One after another has been beside it, two never at the same time: each lane is as long as the stage.
    assert not at_once, began


def test_alone_is_after_all_others_and_beside_none(stages):
    began = beside(stages, "x! a b+ y! c", 3)
    assert set(list(began)[-2:]) == {"x", "y"}
    assert began["x"] == began["y"] == set()


@pytest.mark.parametrize("lanes", [1, 2])
def test_fewer_lanes_run_them_all_as_well(stages, lanes):
    began = beside(stages, "a+ b c! d", lanes)
    assert list(began)[-1] == "c" and began["c"] == set()
    if lanes == 1:
        assert not any(began.values())


def test_every_scenario_is_a_stage_of_make_test():
    makefile = (ROOT / "Makefile").read_text()
    ran = next(line for line in makefile.splitlines() if "@tests/run" in line).replace("'", "").split()[1:]
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    wanted = {"molecule" if name == "default" else name for name in scenarios} | {"unit", "lint", "consumer"}
    assert {name.rstrip("+!") for name in ran} == wanted


def test_the_halves_of_the_scenario_life_take_every_file_once(monkeypatch):
    spec = importlib.util.spec_from_file_location("halves", ROOT / "molecule/life/tests/conftest.py")
    halves = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(ROOT / "molecule/shared"))
    spec.loader.exec_module(halves)
    monkeypatch.delenv("TRIAL_HOST", raising=False)
    files = sorted((ROOT / "molecule/life/tests").glob("test_*.py"))
    taken = {}
    for scenario in ("life", "ways"):
        monkeypatch.setattr(halves, "SCENARIO", scenario)
        taken[scenario] = [file for file in files if halves.taken(file)]
    assert taken["life"] and taken["ways"] and sorted(taken["life"] + taken["ways"]) == files
