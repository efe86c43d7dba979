"""Which artifacts of nginx go: none that is wanted, in place, runs, that anything names, or that is not the role's."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    nginx_artifact,
    nginx_artifacts,
    nginx_package,
    uwsgi_homes,
)

DIGEST = "-0123456789ab"
OLDER, OLD, NEW, NEXT = [version + DIGEST for version in ("1.26.3", "1.28.3", "1.30.6", "1.31.0")]


class Host:
    """A folder of artifacts, a binary in place, places that may name them, and no process but those of the test."""

    def __init__(self, path):
        self.home, self.etc = str(path / "nginx"), path / "etc"
        self.root, self.dest = os.path.join(self.home, "artifacts"), str(path / "sbin-nginx")
        self.pids = []
        for folder in (self.home, self.root, os.path.join(self.home, "logs"), str(self.etc)):
            os.mkdir(folder)
            os.chmod(folder, 0o755)

    def path(self, name):
        return os.path.join(self.root, name)

    def artifact(self, name, age=9, placed=True, **told):
        """One of the role's, put in place after those before it; ``age`` in days."""
        os.mkdir(self.path(name))
        os.chmod(self.path(name), 0o755)
        binary, manifest = self.path(name) + "/nginx", self.path(name) + "/manifest.json"
        with open(binary, "w") as target:
            target.write(name)
        files = {"nginx": nginx_artifact.sha256(binary)}
        with open(manifest, "w") as target:
            json.dump(dict({"version": name.partition("-")[0], "files": files}, **told), target)
        os.utime(manifest, (time.time() - age * 86400,) * 2)
        open(os.path.join(self.home, "logs", name + ".log"), "w").close()
        if placed:
            self.put(name)

    def put(self, name):
        shutil.copy(self.path(name) + "/nginx", self.dest)
        nginx_package.remember(nginx_artifact.sha256(self.dest), self.home)

    def beyond(self, wanted=NEW, keep=2):
        return nginx_artifacts.beyond(self.path(wanted), keep, self.dest)

    def remove(self, names, wanted=NEW, check_mode=False):
        gone = nginx_artifacts.remove(self.path(wanted), names, self.dest, check_mode)
        return [os.path.basename(path) for path in gone]

    def names(self):
        return sorted(os.listdir(self.root))


@pytest.fixture
def host(tmp_path, monkeypatch):
    os.chmod(str(tmp_path), 0o755)
    made = Host(tmp_path)
    monkeypatch.setattr(uwsgi_homes, "PLACES", (str(made.etc),))
    monkeypatch.setattr(uwsgi_homes, "LINKS", (str(made.etc),))
    monkeypatch.setattr(uwsgi_homes, "processes", lambda: made.pids)
    monkeypatch.setattr(nginx_artifacts, "CONF_DIR", str(made.etc))
    for name in (OLDER, OLD, NEW):
        made.artifact(name)
    return made


def test_the_wanted_one_and_that_before_it_stay(host):
    assert host.beyond() == [OLDER]
    assert host.beyond(keep=3) == host.beyond(keep=0) == []
    assert host.beyond(keep=1) == [OLDER, OLD]


def test_one_that_is_to_be_built_counts_so_that_the_next_run_has_nothing_to_do(host):
    assert host.beyond(NEXT) == [OLDER, OLD]
    host.artifact(NEXT)
    assert host.remove([OLDER, OLD], NEXT) == [OLDER, OLD]
    assert host.names() == [NEW, NEXT] and host.beyond(NEXT) == []


def test_what_was_in_place_last_is_the_way_back_whatever_was_built_later(host):
    host.put(OLDER)
    assert host.beyond(NEXT) == [OLD, NEW]
    host.artifact(NEXT)
    assert host.beyond(NEXT) == [OLD, NEW]
    # Without a note, as of an earlier release of the collection: what was built last.
    os.unlink(os.path.join(host.home, nginx_package.INSTALLED))
    os.utime(host.path(OLD) + "/manifest.json", (time.time() - 7200,) * 2)
    assert host.beyond(NEXT) == [OLDER, NEW]


def test_removal_takes_the_artifact_and_the_log_of_its_build_and_says_the_same_beforehand(host):
    before = host.names()
    assert host.remove([OLDER], check_mode=True) == [OLDER] and host.names() == before
    assert host.remove([OLDER]) == [OLDER] and host.names() == [OLD, NEW]
    assert sorted(os.listdir(os.path.join(host.home, "logs"))) == [OLD + ".log", NEW + ".log"]
    assert host.beyond() == [] and host.remove([OLDER]) == []
    assert nginx_package.is_ours(host.dest, None, host.home, host.home)


def test_the_wanted_one_and_that_in_place_are_not_removed_whoever_asks(host):
    host.put(OLD)
    assert host.remove([NEW, OLD, OLDER]) == [OLDER]


def test_check_mode_says_that_goes_what_a_run_will_have_replaced(host):
    assert host.beyond(NEXT, keep=1) == [OLDER, OLD, NEW]
    assert host.remove([NEW], NEXT, check_mode=True) == [NEW]


def test_what_was_built_for_other_hosts_and_is_about_to_be_fetched_stays(host):
    host.artifact(NEXT, age=0, placed=False)
    assert host.beyond(keep=1) == [OLDER, OLD]
    os.utime(host.path(NEXT) + "/manifest.json", (time.time() - 7200,) * 2)
    assert host.beyond(keep=1) == [OLDER, OLD, NEXT]
    # What was here in place once is a way back before it.
    assert host.beyond() == [OLDER, NEXT]


def test_what_runs_stays_and_comes_before_what_does_not(host):
    program = host.path(OLDER) + "/nginx"
    shutil.copy("/bin/sleep", program)
    running = subprocess.Popen([program, "60"])
    try:
        host.pids.append(running.pid)
        assert host.beyond() == host.beyond(keep=1) == [OLD]
        assert host.remove([OLDER]) == []
    finally:
        running.kill()
        running.wait()
    assert host.remove([OLDER]) == [OLDER]


@pytest.mark.parametrize("text, used", [("ExecStart=%s/nginx -g x", True), ("x=%s0/nginx", False)])
def test_a_file_that_names_an_artifact_keeps_it(host, text, used):
    (host.etc / "other.service").write_text(u"%s\n" % text.replace("%s", host.path(OLDER)))
    assert host.beyond(keep=1) == ([OLD] if used else [OLDER, OLD])
    assert host.remove([OLDER]) == ([] if used else [OLDER])


def test_a_link_that_leads_into_an_artifact_keeps_it(host):
    (host.etc / "nginx-old").symlink_to(host.path(OLDER) + "/nginx")
    assert host.beyond() == [OLD] and host.remove([OLDER]) == []


def test_what_the_role_has_not_made_is_nobodys_to_remove(host):
    mine = ["1.20.%d%s" % (number, "-mine" if number == 3 else DIGEST) for number in range(6)]
    for name in mine[:4]:
        host.artifact(name, placed=False)
    os.unlink(host.path(mine[0]) + "/manifest.json")
    for name, text in ((mine[1], "no JSON"), (mine[2], '{"version": "1", "files": {"nginx": "0"}}')):
        with open(host.path(name) + "/manifest.json", "w") as target:
            target.write(text)
    shutil.copytree(host.path(OLD), host.home + "/copy")
    os.symlink(host.home + "/copy", host.path(mine[4]))
    host.artifact(mine[5], placed=False)
    os.unlink(host.path(mine[5]) + "/manifest.json")
    os.symlink(host.path(OLD) + "/manifest.json", host.path(mine[5]) + "/manifest.json")
    assert host.beyond(keep=1) == [OLDER, OLD]
    assert host.remove(mine) == [] and set(mine) < set(host.names())


def test_nothing_goes_from_a_folder_that_others_can_write(host):
    os.chmod(host.root, 0o777)
    assert host.beyond() == [] and host.remove([OLDER]) == [] and OLDER in host.names()
    os.chmod(host.root, 0o755)
    os.chmod(host.path(OLDER), 0o777)
    assert host.remove([OLDER]) == []


def test_no_link_in_an_artifact_is_followed(host, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text(u"x")
    os.symlink(str(tmp_path / "precious"), host.path(OLDER) + "/lib")
    assert host.remove([OLDER]) == [OLDER]
    assert (tmp_path / "precious" / "file").exists()


def test_what_was_broken_off_goes_with_the_next_run(host):
    gone = nginx_artifacts.GONE + OLDER
    os.rename(host.path(OLDER), host.path(gone))
    stages = [".%s.a1b2" % OLD, ".%s.c3d4" % OLD, ".mine"]
    for name in stages:
        os.mkdir(host.path(name))
    os.utime(host.path(stages[0]), (1, 1))
    os.utime(host.path(stages[2]), (1, 1))
    left = sorted([gone, stages[0]])
    assert sorted(host.beyond()) == left
    assert sorted(host.remove(left + stages)) == left
    assert host.beyond() == [] and set(stages[1:]) < set(host.names())


def test_a_host_without_any_has_none_to_remove(host):
    shutil.rmtree(host.root)
    assert host.beyond() == [] and host.remove([OLD]) == []


def test_two_plays_that_remove_the_same_do_not_stumble_over_each_other(host, monkeypatch):
    """Hosts of several kinds have one builder, on which their removals run at once."""
    real = nginx_artifacts.left

    def other_first(root):
        monkeypatch.setattr(nginx_artifacts, "left", real)
        assert host.remove([OLDER, OLD]) == [OLDER, OLD]
        return real(root)

    monkeypatch.setattr(nginx_artifacts, "left", other_first)
    assert host.remove([OLDER, OLD]) == [] and host.names() == [NEW]


def test_a_link_called_current_is_somebodys_and_keeps_an_artifact(host):
    os.symlink(OLDER, os.path.join(host.root, "current"))
    assert host.beyond() == [OLD] and host.remove([OLDER]) == []
