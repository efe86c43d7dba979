# -*- coding: utf-8 -*-
"""What one account leaves to the next: only what it owns, and never through a link."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import json
import os
import pwd

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import account_checks, accounts, left_notes

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")


def put(path, text, owner=None):
    path.write(text, ensure=True)
    if owner is not None:
        os.chown(str(path), owner, -1)
    return str(path)


@pytest.fixture
def item(tmpdir):
    log = tmpdir.join("log/server.log")
    put(log, "x")
    dropin = put(tmpdir.join("10-publish.conf"), "[Service]\nUser=nobody\nExecStart=/x\n")
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    return {"name": "a", "dropin": dropin, "user": "root", "group": group, "files": [str(log)], "folders": []}


def test_the_account_of_a_unit_is_read_from_its_dropin(tmpdir):
    assert accounts.user_of(str(tmpdir.join("none"))) is None
    assert accounts.user_of(put(tmpdir.join("a"), "[Service]\nUser=x\nGroup=y\nUser=z\n")) == "z"
    assert accounts.user_of(put(tmpdir.join("b"), "[Service]\n")) is None


def test_what_moved_is_told_with_its_former_account(item):
    assert accounts.owner_changes([item]) == [dict(item, before="nobody")]
    assert accounts.owner_changes([dict(item, user="nobody")]) == []
    put_back = open(item["dropin"], "w")
    put_back.write("User=no-such-account\n")
    put_back.close()
    assert accounts.owner_changes([item]) == []


@pytest.fixture
def dropped(item, tmpdir, monkeypatch):
    """The application was published before, as nobody: its unit is gone, and its folders are noted."""
    os.unlink(item["dropin"])
    folder = os.path.dirname(item["files"][0])
    monkeypatch.setattr(left_notes, "NOTES", str(tmpdir.join("dropped")))
    tmpdir.join("dropped/main.json").write(json.dumps({"a": [folder]}), ensure=True)
    for path in (folder, item["files"][0]):
        os.chown(path, NOBODY.pw_uid, -1)
    return folder


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_the_logs_of_what_was_dropped_move_with_the_account(item, dropped, tmpdir):
    log, state = item["files"][0], str(tmpdir.mkdir("state"))
    assert accounts.is_handed_over(log, item["dropin"], "root", state)
    (moved,) = accounts.owner_changes([item])
    assert moved == dict(item, before="nobody")
    assert sorted(accounts.change_owner(moved, state_dir=state)) == sorted([dropped, log])
    assert os.stat(dropped).st_uid == os.stat(log).st_uid == 0
    assert accounts.owner_changes([item]) == []


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_the_logs_of_what_was_dropped_lie_in_its_home_too(item, dropped, tmpdir):
    log = put(tmpdir.join("home/logs/a.log"), "x", NOBODY.pw_uid)
    os.chown(os.path.dirname(log), NOBODY.pw_uid, -1)
    tmpdir.join("dropped/main.json").write(json.dumps({"a": [str(tmpdir.join("home"))]}))
    assert accounts.owner_changes([dict(item, files=[log])]) == [dict(item, files=[log], before="nobody")]


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_a_folder_that_nobody_has_noted_moves_to_no_other_account(item, dropped, tmpdir):
    os.unlink(str(tmpdir.join("dropped/main.json")))
    assert accounts.owner_changes([item]) == []
    assert not accounts.is_handed_over(item["files"][0], item["dropin"], "root")


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_files_that_what_was_dropped_has_left_are_refused(item, dropped, tmpdir):
    data = put(tmpdir.join("project/db.sqlite"), "x", NOBODY.pw_uid)
    check = {"variable": "a", "user": "new", "group": "new", "dropins": [item["dropin"]], "logs": item["files"]}
    [(variable, message, _mend)] = account_checks.old_account([dict(check, paths=[str(tmpdir.join("project"))])], None)
    assert variable == "a" and data in message


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_only_what_the_former_account_owns_changes_hands(item, tmpdir):
    item = dict(item, before="nobody")
    log, folder = item["files"][0], os.path.dirname(item["files"][0])
    # Rotated, another's, two names of one file, a link and a fifo.
    rotated = put(tmpdir.join("log/server.log.1"), "x", NOBODY.pw_uid)
    others = put(tmpdir.join("log/server.log.2"), "x")
    twice = put(tmpdir.join("log/server.log.3"), "x", NOBODY.pw_uid)
    os.link(twice, os.path.join(folder, "another"))
    secret = put(tmpdir.join("secret"), "x", NOBODY.pw_uid)
    os.symlink(secret, os.path.join(folder, "server.log.4"))
    os.mkfifo(os.path.join(folder, "server.log.5"))
    beside = put(tmpdir.join("log/other.log"), "x", NOBODY.pw_uid)
    os.chown(log, NOBODY.pw_uid, -1)
    os.chown(folder, NOBODY.pw_uid, -1)
    state = tmpdir.mkdir("state")
    text = json.dumps({"set": {"folders": {folder: [493, "nobody", "x"]}}})
    state.join("bundle", "manifest.json").write(text, ensure=True)
    assert sorted(accounts.change_owner(item, state_dir=str(state))) == sorted([folder, log, rotated])
    for path in (log, rotated, folder, others):
        assert os.stat(path).st_uid == 0, path
    for path in (twice, secret, beside):
        assert os.stat(path).st_uid == NOBODY.pw_uid, path
    # And back, after a run that failed.
    assert log in accounts.change_owner(item, back=True, state_dir=str(state))
    assert os.stat(log).st_uid == NOBODY.pw_uid


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_a_folder_that_no_run_made_stays_its_owners(item, tmpdir):
    folder = os.path.dirname(item["files"][0])
    os.chown(item["files"][0], NOBODY.pw_uid, -1)
    os.chown(folder, NOBODY.pw_uid, -1)
    done = accounts.change_owner(dict(item, before="nobody"), state_dir=str(tmpdir.mkdir("state")))
    assert done == item["files"] and os.stat(folder).st_uid == NOBODY.pw_uid


def test_members_that_are_missing(tmpdir, monkeypatch):
    group = grp.getgrgid(pwd.getpwnam("root").pw_gid).gr_name
    nobody = {"user": "nobody", "group": group}
    root, none = {"user": "root", "group": group}, str(tmpdir.join("none"))
    assert accounts.missing_members([root, nobody], none) == [nobody]
    # nginx was not told yet: no worker of it has that group.
    pid = put(tmpdir.join("nginx.pid"), "77\n")
    monkeypatch.setattr(accounts, "children", lambda master: {77: [1, 2]}[master])
    monkeypatch.setattr(accounts, "_groups", lambda worker: set([4711]))
    assert accounts.missing_members([root], pid) == [root]
    monkeypatch.setattr(accounts, "_groups", lambda worker: set([4711] + [0] * (worker - 1)))
    assert accounts.missing_members([root], pid) == []
    assert accounts.missing_members([], pid) == []
    assert accounts.is_member("root", "no-such-group") is None


def test_an_account_in_nginxs_group_is_refused():
    group = grp.getgrgid(pwd.getpwnam("root").pw_gid).gr_name
    checks = [
        {"variable": "a", "user": "root", "group": "x", "nginx_group": group},
        {"variable": "b", "user": "nobody", "group": "x", "nginx_group": group},
    ]
    [(variable, _says, hint)] = account_checks.nginx_member(checks, None)
    assert variable == "a" and "gpasswd -d root" in hint


def test_the_number_of_nginxs_group_is_refused():
    own = grp.getgrall()[0]
    asked = {"variable": "a", "nginx_group": own.gr_name}
    [(variable, message, _hint)] = account_checks.nginx_number([dict(asked, numbers=[4711, own.gr_gid])], None)
    assert variable == "a" and repr(own.gr_name) in message
    assert account_checks.nginx_number([dict(asked, numbers=[4711])], None) == []
    assert account_checks.nginx_number([dict(asked, numbers=[own.gr_gid], nginx_group="no-such-group")], None) == []


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_files_of_the_former_account_are_refused(item, tmpdir):
    data = put(tmpdir.join("project/data/db.sqlite"), "x", NOBODY.pw_uid)
    check = {"variable": "a", "user": "new", "group": "new", "dropins": [item["dropin"]], "logs": item["files"]}
    [(variable, message, hint)] = account_checks.old_account([dict(check, paths=[str(tmpdir.join("project"))])], None)
    assert variable == "a" and data in message
    assert "user: nobody" in hint and "--from=nobody" in hint
    assert account_checks.old_account([dict(check, paths=[str(tmpdir.join("none"))])], None) == []
    assert account_checks.old_account([dict(check, user="nobody", paths=[data])], None) == []


@pytest.mark.parametrize(
    ("answers", "said"),
    [([0, 1], None), ([0, 0], "does not keep"), ([1, 1], "cannot be tried")],
)
def test_hosts_that_keep_nobody_out_are_refused(answers, said):
    asked = []

    class Tools:
        @staticmethod
        def run_command(words):
            asked.append(words)
            return answers[len(asked) - 1], "", ""

    found = account_checks.socket_clients([{"variable": "a"}], Tools)
    assert "IPAddressDeny=any" not in asked[0] and "IPAddressDeny=any" in asked[1]
    assert [said in problem[1] for problem in found] == ([True] if said else [])


@pytest.mark.skipif(not ROOT, reason="gives files to other accounts")
def test_a_log_that_is_handed_over_is_known_before(item, tmpdir):
    log, folder = item["files"][0], os.path.dirname(item["files"][0])
    os.chown(folder, NOBODY.pw_uid, -1)
    state = tmpdir.mkdir("state")
    assert not accounts.is_handed_over(log, item["dropin"], "root", str(state))
    text = json.dumps({"set": {"folders": {folder: [493, "nobody", "x"]}}})
    state.join("bundle", "manifest.json").write(text, ensure=True)
    assert accounts.is_handed_over(log, item["dropin"], "root", str(state))
    assert not accounts.is_handed_over(log, item["dropin"], "nobody", str(state))
    os.chown(folder, 0, -1)
    assert not accounts.is_handed_over(log, item["dropin"], "root", str(state))
