"""Commands of an application's own: what their unit runs, what is new, what is owed, what a failure says."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import app_commands as code
from ansible_collections.graceful.wsgi.plugins.module_utils.trial_unit import Trial

WANTED = {
    "name": "shop",
    "group": "wsgi-shop",
    "code": "/srv/wsgi/shop/current",
    "folder": "/srv/wsgi/shop/current/web",
    "virtualenv": "/srv/wsgi/shop/current/.venv",
    "pythonpath": ["/srv/wsgi/shop/current"],
    "before_live": [{"name": "migrate", "words": ["python", "manage.py"], "once": False, "timeout": 5}],
    "after_live": [],
    "writable": [],
}
APP = {
    "unit": None,
    "files": {"/etc/uwsgi/shop.env": 'TOKEN="canary \\$4"\n'},
    "environment": {"TOKEN": "canary $4"},
    "user": "nobody",
    "group": "nogroup",
}
REPLACE = {
    "/srv/wsgi/shop/current": "/srv/wsgi/shop/releases/new",
    "/srv/wsgi/shop/current/.venv": "/srv/wsgi/.venvs/0123",
}


def test_a_command_runs_in_the_new_release_with_its_virtualenv(tmpdir):
    lines = code.script(WANTED, ["python", "manage.py"], REPLACE).splitlines()
    assert lines[0] == "cd -P -- '/srv/wsgi/shop/releases/new/web' || exit 126"
    assert lines[1].startswith("PATH='/srv/wsgi/.venvs/0123/bin':$")
    assert lines[3].startswith("PYTHONPATH='/srv/wsgi/shop/releases/new'$")
    assert lines[-1] == "exec 'python' 'manage.py'"


def test_no_word_means_anything_to_the_shell(tmpdir):
    wanted = dict(WANTED, folder=str(tmpdir), virtualenv=str(tmpdir))
    words = ["printf", "%s|", "a b", "$HOME", "`id`", "it's", "", "*", ";"]
    text = code.script(wanted, words, {})
    said = subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE).communicate()[0].decode("utf-8")
    assert said == "a b|$HOME|`id`|it's||*|;|"


def test_a_release_or_a_virtualenv_that_is_not_the_live_one_is_new(tmpdir):
    for name in ("old", "new", "venv"):
        tmpdir.mkdir(name)
    live = str(tmpdir / "current")
    replace = {live: str(tmpdir / "new")}
    assert code.is_new(replace)
    os.symlink("old", live)
    assert code.is_new(replace)
    os.unlink(live)
    os.symlink("new", live)
    assert not code.is_new(replace)
    # The same release with other requirements.
    assert code.is_new(dict(replace, **{live + "/.venv": str(tmpdir / "venv")}))
    assert not code.is_new({})


def test_what_is_owed_is_owed_once_it_is_live_and_until_it_is_settled(tmpdir, monkeypatch):
    monkeypatch.setattr(code.layout, "OWED_DIR", str(tmpdir / "owed"))
    tmpdir.mkdir("new")
    live = str(tmpdir / "current")
    assert not code.is_owed("shop")
    code.owe("shop", {live: str(tmpdir / "new")})
    # It went back, or was killed before the switch.
    assert not code.is_owed("shop")
    os.symlink("new", live)
    assert code.is_owed("shop")
    # Another run has brought another release meanwhile, whose commands are still to run.
    code.settle("shop", {live: str(tmpdir / "other")})
    assert code.is_owed("shop")
    for _again in range(2):
        code.settle("shop", {live: str(tmpdir / "new")})
        assert not code.is_owed("shop")


class Unit(object):
    """A unit of a command that ended so."""

    def __init__(self, status, said):
        self.replace = {}
        self.status, self.text, self.told = status, said, []

    def begin(self, text):
        self.told.append(text)

    def finished(self):
        return self.status

    def said(self):
        return self.text

    def end(self):
        self.told.append("end")


def ran(status, said, **more):
    found = code.Application(APP, dict(WANTED, **more), {}, "before_live")
    unit = Unit(status, said)
    found.trials = [(command, unit) for command in found.commands]
    found.run()
    return found, unit


def test_a_command_that_ends_well_is_told_without_secrets():
    found, unit = ran(0, "Applying shop.0001\nwith canary $4\n")
    assert found.failed is None and unit.told[-1] == "end"
    assert found.ran[0]["said"] == ["Applying shop.0001", "with (hidden)"] and found.ran[0]["status"] == 0


@pytest.mark.parametrize("status, told", [(3, "(status 3)"), ("signal 15", "(signal 15)")])
def test_a_command_that_fails_tells_its_status_and_the_end_of_what_it_said(status, told):
    said = "".join("line %d\n" % number for number in range(100)) + "token canary $4\n"
    found, unit = ran(status, said)
    head, _newline, body = found.failed.partition("\n")
    assert head == "before_live: migrate failed %s:" % told
    assert "line 99\ntoken (hidden)" in body and "line 50" not in body and unit.told[-1] == "end"


def test_after_a_command_that_fails_no_other_runs():
    commands = [dict(WANTED["before_live"][0], name=name) for name in ("one", "two")]
    found, _unit = ran(1, "", before_live=commands)
    assert [one["name"] for one in found.ran] == ["one"]
    assert found.failed == "before_live: one failed (status 1), and said nothing"


def test_a_command_whose_time_is_up_is_ended_and_said_to_be():
    commands = [dict(WANTED["before_live"][0], timeout=0)]
    found, unit = ran(None, "waiting\n", before_live=commands)
    assert "was ended after its time limit of 0 s, with all that it had started:\nwaiting" in found.failed
    assert unit.told[-1] == "end" and found.ran[0]["status"] == "timeout"


def test_without_a_systemd_nothing_runs_as_root():
    found = code.Application(APP, WANTED, {}, "before_live")
    found.prepare(None)
    found.run()
    assert "no systemd" in found.failed and found.ran == []


@pytest.mark.parametrize(
    "told, status",
    [
        ("ActiveState=active\nSubState=running\n", None),
        ("ActiveState=active\nSubState=exited\nExecMainCode=1\nExecMainStatus=0\n", 0),
        ("ActiveState=failed\nSubState=failed\nExecMainCode=1\nExecMainStatus=3\n", 3),
        # For systemd an end by SIGTERM is a good one.
        ("ActiveState=active\nSubState=exited\nResult=success\nExecMainCode=2\nExecMainStatus=15\n", "signal 15"),
        ("ActiveState=failed\nResult=resources\nExecMainCode=0\nExecMainStatus=0\n", "systemd says resources"),
    ],
)
def test_how_a_unit_ended(told, status):
    trial = Trial.__new__(Trial)
    trial.pid, trial.refused, trial.unit = 0, "", "x.service"
    trial.run = lambda *_words: (0, told)
    assert trial.finished() == status


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands folders to another account")
def test_a_release_whose_folder_cannot_be_taken_back_is_made_anew(tmpdir, monkeypatch):
    release = tmpdir.mkdir("releases").mkdir("new")
    wanted = dict(WANTED, group="root", writable=["static"], code=str(tmpdir.join("current")))

    def left(*_words):
        raise code.tree.TreeError("static/pipe: is neither file, folder nor link")

    monkeypatch.setattr(code.writable, "give", lambda *words: None)
    monkeypatch.setattr(code.writable, "take_back", left)
    monkeypatch.setattr(code.safe_path, "account", lambda *words: {})
    one = code.Application(APP, wanted, {wanted["code"]: str(release)}, "before_live")
    one.trials = [(None, None)]
    monkeypatch.setattr(one, "_run_all", lambda: None)
    one.run()
    assert "static/pipe" in one.failed and not release.check()


def test_what_a_unit_hands_over_is_read_of_regular_files_only(tmpdir):
    os.mkfifo(str(tmpdir.join("fifo")))
    tmpdir.join("env").write("TOKEN=canary-canary\n")
    tmpdir.join("shop.service").write("[Service]\nEnvironmentFile=-%s\nEnvironmentFile=%s\n" % (
        tmpdir.join("fifo"), tmpdir.join("env")))
    assert code.secret_values.of_units([str(tmpdir.join("shop.service"))]) == ["canary-canary"]
