# -*- coding: utf-8 -*-
"""What a removal knows of a stack that was moved over, and of first runs that failed (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    adopting,
    git_checkout,
    layout,
    left_notes,
    ownership,
    removal,
    removal_programs,
    removal_survey,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import RemovalError

SITE = "/etc/nginx/sites-enabled/old"
# Python 2.7 reads names of JSON as another kind of text.
LED = "# f\xc3\xbcr alle\nserver { location / { uwsgi_pass unix:/run/wsgi/shop.sock; } }\n"


class Of:
    """A set with these applications and nothing else."""

    def __init__(self, *apps):
        self.name, self.apps, self.blocks, self.sites = "main", dict((app, [app]) for app in apps), [], []


class Goes:
    """All of a set."""

    def __init__(self, of, apps, dropped=()):
        self.set, self.apps, self.dropped = of, list(apps), list(dropped)
        self.sites, self.anything, self.whole = [], bool(apps), False


class Work(removal.Removal):
    """A removal that tells what of it was reached."""

    def __init__(self, tmp_path, going=(), of=None, **wanted):
        self.wanted = dict({"apps": [], "set": "", "all": False, "data": False}, **wanted)
        self.going, self.sets = list(going), {"main": of or Of("shop", "blog")}
        self.places = {"root": "", "homes": "/srv/wsgi", "uwsgi_home": "", "conf_dir": ""}
        self.roots = [str(tmp_path / "code"), str(tmp_path / "logs")]
        self.check_mode, self.nginx_goes = False, False
        self.gone, self.removed, self.kept, self.told, self.reached = [], [], [], [], []

    def _decide(self):
        self.reached.append("decide")
        raise IOError("far enough")

    def _apps(self):
        self.reached.append("apps")
        raise IOError("far enough")


@pytest.fixture
def moved(monkeypatch, tmp_path):
    """A host whose nginx was moved over to shop; {path: text} of its files."""
    files = {SITE: LED}
    monkeypatch.setattr(adopting, "HOME", str(tmp_path / "state" / "adopt"))
    monkeypatch.setattr(removal_survey, "text_of", lambda path: files.get(path, ""))
    apps = [{"name": "shop", "lead": "unix:/run/wsgi/shop.sock"}]
    adopting.State().write(phase=adopting.MOVED, apps=apps, edits=[{"path": SITE}], masters=[], stopped=True)
    return files


@pytest.mark.parametrize("phase", [adopting.MOVING, adopting.MOVED])
@pytest.mark.parametrize("wanted", [{"apps": ["shop"]}, {"set": "main"}, {"all": True}])
def test_what_the_nginx_that_is_there_leads_to_does_not_go(moved, tmp_path, wanted, phase):
    adopting.State().write(phase=phase)
    work = Work(tmp_path, [Goes(Of("shop", "blog"), ["shop"])], **wanted)
    with pytest.raises(RemovalError) as caught:
        work.do()
    assert work.reached == [] and work.gone == []
    said = str(caught.value)
    assert said.startswith("remove_%s: " % list(wanted)[0])
    assert "shop (%s)" % SITE in said and "adopt_state=back" in said


@pytest.mark.parametrize("why", ["another application", "led elsewhere by hand", "led back"])
def test_what_it_does_not_lead_to_goes(moved, tmp_path, why):
    app = "blog" if why == "another application" else "shop"
    if why == "led elsewhere by hand":
        moved[SITE] = "server { return 404; }\n"
    elif why == "led back":
        adopting.State().forget()
    work = Work(tmp_path, [Goes(Of("shop", "blog"), [app])], apps=[app])
    with pytest.raises(IOError):
        work.do()
    assert work.reached == ["apps"]


@pytest.mark.parametrize("led_back", [True, False])
def test_with_all_goes_what_is_known_of_a_move_that_was_taken_back(moved, monkeypatch, tmp_path, led_back):
    state = tmp_path / "state"
    for module, name, path in (
        (removal_programs, "STATE", state),
        (removal_programs, "TAKEN", state / "taken-over"),
        (removal_programs, "HOMES", str(state / "homes")),
        (git_checkout, "HOME", state / "git"),
        (ownership, "STATE_DIR", state / "bundles"),
        (left_notes, "NOTES", state / "dropped"),
        (layout, "OWED_DIR", state / "owed"),
        (layout, "NEVER_LIVE_DIR", state / "never-live"),
    ):
        monkeypatch.setattr(module, name, str(path))
    (state / "never-live").mkdir()
    (state / "never-live" / "shop.json").write_bytes(b"{}")
    if led_back:
        adopting.State().forget()
    Work(tmp_path, all=True)._state()
    assert os.path.isdir(str(state)) == (not led_back)
    assert not (state / "never-live").exists()
    # As long as it is moved it tells the way back.
    assert (state / "adopt" / "state.json").exists() == (not led_back)


@pytest.mark.parametrize("check_mode", [False, True])
def test_why_a_first_run_failed_goes_with_the_application(monkeypatch, tmp_path, check_mode):
    monkeypatch.setattr(layout, "NEVER_LIVE_DIR", str(tmp_path / "never-live"))
    (tmp_path / "never-live").mkdir()

    def left():
        return sorted(path.name for path in tmp_path.glob("never-live/*"))

    for name in ("shop", "blog", "dropped", "never", "other"):
        (tmp_path / "never-live" / (name + ".json")).write_bytes(b"{}")
    of = Of("shop", "blog")
    work = Work(tmp_path, [Goes(of, ["shop"], ["dropped"])], of, apps=["shop", "dropped", "never"])
    work.check_mode = check_mode
    work._failed_first_runs()
    names = ["dropped", "never", "shop"]
    assert work.gone == [layout.NEVER_LIVE_DIR + "/%s.json" % name for name in names]
    assert left() == sorted(["blog.json", "other.json"] + ["%s.json" % name for name in (names if check_mode else [])])


def test_an_application_that_was_never_live_is_not_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "NEVER_LIVE_DIR", str(tmp_path))
    (tmp_path / "never.json").write_bytes(b"{}")
    work = Work(tmp_path, apps=["never"])
    work.sets = {}
    assert (work._going(), work.told) == ([], [])
    (tmp_path / "never.json").unlink()
    assert work._going() == [] and "there is no application never" in work.told[0]
