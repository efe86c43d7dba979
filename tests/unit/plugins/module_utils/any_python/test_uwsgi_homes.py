"""Which of uWSGI's homes go: none that is wanted, that runs, that anything names, or that the role has not made."""

from __future__ import absolute_import, division, print_function

import json
import os
import shutil
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, uwsgi_home, uwsgi_homes

OLD, OLDER, NEW = "2.0.28-python3.11", "2.0.26-python3.11", "2.0.31-python3.11"


def started(words, **more):
    """A process, once it runs that program: before, the kernel tells no command line of it."""
    # What outlives it, as a shell's child does, must not hold the output of the tests under Python 2.7.
    running = subprocess.Popen(words, close_fds=True, **more)
    while not procfs.words(running.pid):
        assert running.poll() is None
    return running


class Host(object):
    """A folder of homes, places that may name them, and no process but those of the test."""

    def __init__(self, path):
        self.root, self.etc = str(path / "opt"), path / "etc"
        self.pids = []
        for folder in (self.root, str(self.etc), os.path.join(self.root, "log")):
            os.mkdir(folder)

    def home(self, name, when, stamp='{"sha256": "0"}'):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.join(path, "bin"))
        if stamp is not None:
            file = os.path.join(path, uwsgi_home.STAMP)
            with open(file, "w") as stream:
                stream.write(stamp)
            os.utime(file, (when, when))
        open(os.path.join(self.root, "log", name + ".log"), "w").close()
        return path

    def beyond(self, *wanted, **more):
        paths = [os.path.join(self.root, name) for name in wanted or (NEW,)]
        return uwsgi_homes.beyond(self.root, more.get("keep", 2), paths, str(self.etc))

    def remove(self, names, check_mode=False):
        wanted = [os.path.join(self.root, NEW)]
        gone = uwsgi_homes.remove(self.root, names, wanted, str(self.etc), check_mode)
        return [os.path.basename(path) for path in gone]

    def names(self):
        return sorted(os.listdir(self.root))


@pytest.fixture
def host(tmp_path, monkeypatch):
    os.chmod(str(tmp_path), 0o755)
    made = Host(tmp_path)
    monkeypatch.setattr(uwsgi_homes, "PLACES", ())
    monkeypatch.setattr(uwsgi_homes, "LINKS", ())
    monkeypatch.setattr(uwsgi_homes, "processes", lambda: made.pids)
    for when, name in enumerate((OLDER, OLD, NEW)):
        made.home(name, 1000 + when)
    os.symlink(NEW, os.path.join(made.root, "current"))
    return made


def test_the_wanted_one_and_the_newest_of_the_others_stay(host):
    assert host.beyond() == [OLDER]
    assert host.beyond(keep=3) == host.beyond(keep=0) == []
    assert host.beyond(keep=1) == [OLDER, OLD]
    # Which Pythons applications name makes several of them wanted.
    assert host.beyond(NEW, OLDER) == []
    assert host.beyond(NEW, OLDER, keep=1) == [OLD]


def test_one_that_is_to_be_built_counts_so_that_the_next_run_has_nothing_to_do(host):
    assert host.beyond("2.0.32-python3.11") == [OLDER, OLD]
    assert host.remove([OLDER, OLD]) == [OLDER, OLD]
    host.home("2.0.32-python3.11", 2000)
    assert host.beyond("2.0.32-python3.11") == []


def test_what_was_current_so_far_stays_before_a_newer_one(host):
    os.unlink(os.path.join(host.root, "current"))
    os.symlink(OLDER, os.path.join(host.root, "current"))
    assert host.beyond("2.0.32-python3.11") == [OLD, NEW]


def test_removal_takes_the_home_and_the_log_of_its_build_and_says_the_same_beforehand(host):
    before = host.names()
    assert host.remove([OLDER], check_mode=True) == [OLDER] and host.names() == before
    assert host.remove([OLDER]) == [OLDER]
    assert host.names() == sorted([NEW, OLD, "current", "log"])
    assert sorted(os.listdir(os.path.join(host.root, "log"))) == [OLD + ".log", NEW + ".log"]
    assert host.beyond() == [] and host.remove([OLDER]) == []


def test_the_wanted_and_the_current_one_are_not_removed_whoever_asks(host):
    os.unlink(os.path.join(host.root, "current"))
    os.symlink(OLD, os.path.join(host.root, "current"))
    assert host.remove([NEW, OLD, OLDER]) == [OLDER]


def test_what_runs_stays_and_comes_before_what_does_not(host):
    program = os.path.join(host.root, OLDER, "bin", "uwsgi")
    shutil.copy("/bin/sleep", program)
    running = started([program, "60"])
    try:
        host.pids.append(running.pid)
        assert host.beyond() == [OLD]
        assert host.beyond(keep=1) == [OLD]
        assert host.remove([OLDER]) == []
    finally:
        running.kill()
        running.wait()
    assert host.remove([OLDER]) == [OLDER]


def test_a_process_that_works_in_a_home_or_names_it_keeps_it(host):
    named = ["sh", "-c", "sleep 60; : %s/%s/bin" % (host.root, OLDER)]
    for words, folder in ((["sleep", "60"], OLDER), (named, "log")):
        running = started(words, cwd=os.path.join(host.root, folder))
        try:
            host.pids[:] = [running.pid]
            assert host.remove([OLDER, OLD]) == [OLD]
        finally:
            running.kill()
            running.wait()
        host.home(OLD, 1001)


def test_a_process_of_uwsgi_that_may_not_be_looked_into_keeps_all(host, monkeypatch):
    def closed(_path):
        raise OSError(13, "Permission denied")

    running = started(["sh", "-c", "sleep 60; : uwsgi"])
    try:
        host.pids.append(running.pid)
        monkeypatch.setattr(uwsgi_homes.os, "readlink", closed)
        users = uwsgi_homes.Users(host.root, [OLD, OLDER], str(host.etc))
    finally:
        running.kill()
        running.wait()
    assert users.used == set([OLD, OLDER])


@pytest.mark.parametrize(
    "text, used",
    [
        ("ExecStart=%s/bin/uwsgi --ini /x", True),
        ("binary-path = %s", True),
        ("home = %s/lib", True),
        # Of another home, whose name begins the same.
        ("ExecStart=%s-0123abcd/bin/uwsgi", False),
        ("ExecStart=%s.1/bin/uwsgi", False),
        ("ExecStart=/opt/uwsgi/current/bin/uwsgi", False),
    ],
)
def test_a_file_that_names_a_home_keeps_it(host, text, used):
    (host.etc / "sub").mkdir()
    (host.etc / "sub" / "shop.conf").write_text(u"%s\n" % text.replace("%s", os.path.join(host.root, OLDER)))
    # What is used is among those that stay.
    assert host.beyond() == [OLD if used else OLDER]
    assert host.remove([OLDER]) == ([] if used else [OLDER])


def test_a_link_that_leads_into_a_home_keeps_it(host):
    os.symlink(OLDER, os.path.join(host.root, "stable"))
    assert host.beyond() == [OLD]
    os.unlink(os.path.join(host.root, "stable"))
    (host.etc / "uwsgi").symlink_to(os.path.join(host.root, OLDER, "bin", "uwsgi"))
    assert host.beyond() == [OLD]


def test_a_virtualenv_of_a_kept_release_keeps_its_home(host, tmp_path):
    app, venv = tmp_path / "shop", tmp_path / "venvs" / "1"
    (app / "releases" / "7").mkdir(parents=True)
    venv.mkdir(parents=True)
    (host.etc / "shop.ini").write_text(u"[uwsgi]\nvirtualenv = %s/current/.venv\n" % app)
    (app / "releases" / "7" / ".venv").symlink_to(str(venv))
    assert host.beyond() == [OLDER]
    (venv / "pyvenv.cfg").write_text(u"home = %s/bin\n" % os.path.join(host.root, OLDER))
    assert host.beyond() == [OLD]


def test_what_the_role_has_not_made_is_nobodys_to_remove(host):
    shutil.rmtree(os.path.join(host.root, OLDER))
    mine = ["2.0.20-python3.11", "2.0.21-python3.11", "mine", "2.0.22-python3.11"]
    host.home(mine[0], 1, stamp=None)
    host.home(mine[1], 1, stamp="[]")
    host.home(mine[2], 1)
    os.symlink(mine[2], os.path.join(host.root, mine[3]))
    assert host.beyond(keep=1) == [OLD]
    assert host.remove(mine) == []


def test_nothing_goes_from_a_folder_that_others_can_write(host):
    os.chmod(host.root, 0o777)
    assert host.beyond() == [] and host.remove([OLDER]) == [] and OLDER in host.names()
    os.chmod(host.root, 0o755)
    os.chmod(os.path.join(host.root, OLDER), 0o777)
    assert host.remove([OLDER]) == []


def test_no_link_in_a_home_is_followed(host, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text(u"x")
    os.symlink(str(tmp_path / "precious"), os.path.join(host.root, OLDER, "lib"))
    assert host.remove([OLDER]) == [OLDER]
    assert (tmp_path / "precious" / "file").exists()


def test_what_a_broken_off_removal_left_goes_with_the_next_run(host):
    left = uwsgi_homes.GONE + OLDER
    os.rename(os.path.join(host.root, OLDER), os.path.join(host.root, left))
    os.mkdir(os.path.join(host.root, uwsgi_homes.GONE + "mine"))
    assert host.beyond() == [left]
    assert host.remove([left, uwsgi_homes.GONE + "mine"]) == [left]
    assert host.beyond() == [] and uwsgi_homes.GONE + "mine" in host.names()


def test_a_stamp_is_read_as_the_role_writes_it(host):
    with open(os.path.join(host.root, OLDER, uwsgi_home.STAMP), "w") as stream:
        json.dump({"build": {}, "sha256": None}, stream)
    assert sorted(uwsgi_homes.stamped(host.root)) == [OLD, NEW]
