"""The module that applications get in the place of uWSGI's own: what is marked for after the fork runs in a worker."""

import importlib
import shutil
import sys
import types
from pathlib import Path

import pytest

OURS = Path(__file__).resolve().parents[2] / "roles/uwsgi/files/uwsgidecorators.py"
# As much as uWSGI's own has of it.
REAL = """
import uwsgi
postfork_chain = []
class postfork(object):
    def __init__(self, f):
        self.wid, self.f = (0, f) if callable(f) else (f, None)
        postfork_chain.append(self)
    def __call__(self, *args, **kwargs):
        if self.f:
            return self.f() if self.wid in (0, uwsgi.worker_id()) else None
        self.f = args[0]
timer = "uWSGI's own"
"""
CODE = """
from uwsgidecorators import postfork, postfork_chain, timer
log = []
@postfork
def first():
    log.append(WHERE)
import inner
@postfork(2)
def second():
    log.append("second worker")
@postfork(1)
def other():
    log.append("another worker")
@postfork
def broken():
    raise ValueError("told in the log")
early = list(log)
WHERE = "the end"
"""


@pytest.fixture(name="load")
def fixture_load(tmp_path, monkeypatch):
    modules, packages = tmp_path / "modules", "lib/python{}.{}/site-packages".format(*sys.version_info)
    (tmp_path / packages).mkdir(parents=True)
    (tmp_path / packages / "uwsgidecorators.py").write_text(REAL)
    modules.mkdir()
    shutil.copy(OURS, modules)
    inner = "from uwsgidecorators import postfork\nlog = []\npostfork(lambda: log.append(1))\n"
    (modules / "inner.py").write_text(inner)
    (modules / "outer.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(modules))

    def load(worker):
        known = types.ModuleType("uwsgi")
        known.worker_id = lambda: worker
        monkeypatch.setitem(sys.modules, "uwsgi", known)
        for name in ("uwsgidecorators", "inner", "outer"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module("outer")

    return load


def test_what_is_marked_runs_in_a_worker_once_its_module_is_loaded(load, capfd):
    outer = load(2)
    assert (outer.early, outer.log, outer.inner.log) == ([], ["the end", "second worker"], [1])
    assert "told in the log" in capfd.readouterr().err and sys.getprofile() is None
    assert outer.timer == "uWSGI's own"


def test_in_the_master_all_is_as_uwsgi_has_it(load):
    outer = load(0)
    assert outer.log == [] and len(outer.postfork_chain) == 5
