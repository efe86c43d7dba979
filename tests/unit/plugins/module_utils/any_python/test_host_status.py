# -*- coding: utf-8 -*-
"""What is told of a host: out of server blocks, logs, folders and certificates; and the page that is made of it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import subprocess
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    host_status,
    nginx_artifact,
    ownership,
    status_disk,
    status_logs,
    status_page,
)

BLOCK = u"""
map $x $y { default 1; }
server { listen 80; server_name a.test; return 301 https://a.test$request_uri; }
server {
    listen 80;
    listen 443 ssl;
    server_name a.test b.test;
    ssl_certificate "/etc/ssl/a b.pem";
    access_log /var/log/nginx/a.access.log combined;
    location / {
        if ($denied) { return 403; }
        uwsgi_pass unix:/run/wsgi/shop.sock;
    }
    location = /static { return 301 /static/; }
    location /static/ { alias /srv/static/; }
    location /up/ { proxy_pass http://127.0.0.1:8000; }
    location = /.graceful-maintenance/shop/page { return 503 $page; }
}
"""
LINE = u'10.0.0.1 - - [28/Nov/2026:%s:00 +0100] "GET / HTTP/1.1" %d 5 "-" "curl"\n'
# 28 November 2026, 12:00 in UTC.
NOON = 1795867200


def run(words):
    ran = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    out, err = ran.communicate()
    return ran.returncode, out, err


def test_a_server_block_says_where_it_leads():
    block = host_status._Block(BLOCK)
    assert block.names == ["a.test", "b.test"] and block.listen == ["80", "443 ssl"]
    assert block.certificates == ["/etc/ssl/a b.pem"] and block.logs == ["/var/log/nginx/a.access.log"]
    links = {"unix:/run/wsgi/shop.sock": "shop"}
    assert [(path, host_status._target(words, links)) for path, words in block.leads] == [
        ("/", "application shop"),
        ("= /static", "answer 301 /static/"),
        ("/static/", "folder /srv/static/"),
        ("/up/", "http://127.0.0.1:8000"),
    ]


def test_answers_of_the_last_hour_are_counted_by_their_own_zone(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(LINE % ("11:30", 500) + LINE % ("12:30", 502) + LINE % ("12:40", 200))
    # One hour before noon in UTC is 12:00 in the log's zone.
    assert status_logs.answers([str(log)], NOON - 3600) == {"requests": 2, "errors": 1, "whole": True}
    (tmp_path / "a.log.1").write_text(LINE % ("12:10", 503))
    assert status_logs.answers([str(log)], NOON - 3600) == {"requests": 3, "errors": 2, "whole": True}


def test_a_log_of_another_format_and_none_at_all_tell_nothing(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(u'{"status": 500}\n')
    assert status_logs.answers([str(log)], 0) is None
    assert status_logs.answers([str(tmp_path / "none")], 0) is None


def test_a_log_that_is_too_long_says_that_it_is_at_least(tmp_path, monkeypatch):
    log = tmp_path / "a.log"
    log.write_text((LINE % ("12:30", 500)) * 10)
    monkeypatch.setattr(status_logs, "MOST", 300)
    told = status_logs.answers([str(log)], NOON - 3600)
    assert told["whole"] is False and 0 < told["requests"] < 10
    assert "at least" in status_page._answers(told)


def test_tracebacks_count_by_the_last_time_that_was_told(tmp_path):
    log, old, new = tmp_path / "s.log", time.localtime(NOON - 9000), time.localtime(NOON - 60)
    trace = u"Traceback (most recent call last):\n  File x\nValueError\n"
    start = u"*** Starting uWSGI 2.0.31 (64bit) on [%s] ***\n"
    when = [start % time.strftime("%a %b %d %H:%M:%S %Y", one) for one in (old, new)]
    log.write_text(when[0] + trace + when[1] + trace * 2)
    assert status_logs.tracebacks(str(log), NOON - 3600) == 2
    log.write_text(when[0] + trace)
    # Written lately, behind an old time: nobody knows.
    assert status_logs.tracebacks(str(log), NOON - 3600) is None
    os.utime(str(log), (NOON - 9000, NOON - 9000))
    assert status_logs.tracebacks(str(log), NOON - 3600) == 0
    assert status_logs.tracebacks(str(tmp_path / "none"), 0) is None


def test_a_folder_of_an_application_is_counted_without_its_links(tmp_path):
    (tmp_path / "app" / "a").mkdir(parents=True)
    (tmp_path / "app" / "a" / "f").write_text(u"x" * 50000)
    os.link(str(tmp_path / "app" / "a" / "f"), str(tmp_path / "app" / "again"))
    os.symlink("/usr", str(tmp_path / "app" / "usr"))
    path = str(tmp_path / "app")
    assert status_disk.counted(path) == status_disk.taken(path, run) > 50000
    os.symlink(path, str(tmp_path / "link"))
    assert status_disk.taken(str(tmp_path / "link"), run) is None
    assert status_disk.counted(str(tmp_path / "none")) is None


def test_a_folder_without_an_end_is_given_up(tmp_path):
    (tmp_path / "/".join(["d"] * 80)).mkdir(parents=True)
    assert status_disk.counted(str(tmp_path)) is None


def test_a_certificate_tells_how_long_it_holds(tmp_path):
    path = str(tmp_path / "a.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=a.test"]
    status, _out, err = run(words + ["-keyout", str(tmp_path / "a.key"), "-out", path])
    if status:
        pytest.skip("no openssl here: " + err)
    told = host_status.certificate(path)
    assert told["days_left"] in (9, 10) and told["names"] == ["a.test"] and told["wrong"] is None
    assert host_status.certificate(path, told["until"] + 86400 * 2)["days_left"] == -2
    (tmp_path / "a.pem").write_text(u"none")
    assert host_status.certificate(path)["wrong"].startswith("cannot be read")
    assert host_status.certificate(str(tmp_path / "none"))["wrong"].startswith("cannot be read")


def test_files_that_are_not_as_they_were_left_are_told(tmp_path, monkeypatch):
    files = {}
    for name in ("same", "edited", "missing"):
        (tmp_path / name).write_text(u"text")
        files[str(tmp_path / name)] = hashlib.sha256(b"text").hexdigest()
    (tmp_path / "state" / "publish-main-apps").mkdir(parents=True)
    (tmp_path / "state" / "publish-main-apps" / "manifest.json").write_text(u"%s" % json.dumps({"files": files}))
    monkeypatch.setattr(ownership, "STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "edited").write_text(u"other")
    (tmp_path / "missing").unlink()
    told = dict((os.path.basename(item["path"]), item["state"]) for item in host_status.touched())
    assert told == {"edited": "edited", "missing": "missing"}


def test_the_code_that_is_live_is_told_by_its_link(tmp_path):
    assert host_status.release(str(tmp_path / "none")) is None and host_status.release(str(tmp_path)) is None
    os.symlink("releases/abc", str(tmp_path / "current"))
    told = host_status.release(str(tmp_path))
    assert told["id"] == "abc" and abs(told["since"] - time.time()) < 60


@pytest.mark.parametrize(("days", "said"), [(-1, "ended 1 day ago"), (1, "ends in 1 day"), (30, "ends in 30 days")])
def test_days_are_told_in_words(days, said):
    assert host_status.left(days) == said


def test_units_are_told_apart():
    told = "Id=uwsgi@a.service\nLoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=2\n"
    told += "ActiveEnterTimestampMonotonic=1000000\n\nId=uwsgi@b.service\nLoadState=not-found\nActiveState=inactive\n"
    found = host_status.Units(lambda words: (0, told, "")).show(["uwsgi@a.service", "uwsgi@b.service"])
    assert found["uwsgi@a.service"]["restarts"] == 2 and found["uwsgi@a.service"]["since"] < time.time()
    # systemd 219 counts no restarts.
    assert found["uwsgi@b.service"]["restarts"] is None and found["uwsgi@b.service"]["since"] is None


def found(**more):
    one = {
        "unit": "uwsgi@shop.service", "state": "active", "since": 1.0, "why": None, "workers": 2, "busy": None,
        "requests": 1, "exceptions": None, "memory": None, "restarts": None, "respawns": 0, "tracebacks": None,
    }
    disk = {"releases": 5, "releases_kept": 1, "virtualenvs": None, "shared": None, "logs": 2048}
    app = {"name": "shop", "set": "main", "release": None, "maintenance": 5.0, "instances": [one], "background": []}
    app["disk"] = disk
    bad = {"path": "/c.pem", "wrong": None, "days_left": 3, "until": 9.0}
    site = {
        "name": "a.test", "set": "main", "server_names": ["a.test"], "listen": ["80"], "maintenance": ["shop"],
        "leads": [{"path": "/", "to": "application shop"}], "certificates": [bad], "last_hour": None,
    }
    told = {
        "host": "h", "time": 1.0, "sites": [site], "applications": [app],
        "touched": [{"path": "/x", "state": "edited"}],
        "nginx": {"running": False, "since": None, "workers": 0, "unread": ["/y"], "version": None, "wrong": None,
                  "drained": []},
        "disk": {
            "uwsgi_home": "/opt/uwsgi", "uwsgi_homes": 3 << 20, "nginx_artifacts": None, "shared_virtualenvs": None,
            "uwsgi_versions": [{"name": "2.0.31-python3.11", "bytes": 1 << 20, "current": True}],
            "nginx_versions": [{"name": "1.28.3-0123456789ab", "bytes": 2 << 20, "current": False}],
            "file_systems": [{"mount": "/", "size": 100, "free": 5}],
        },
    }
    return dict(told, **more)


def test_what_needs_a_look_is_said_first():
    told = found()
    told["attention"] = host_status.attention(told)
    assert told["attention"] == [
        "nginx does not run",
        "/y is not as the running nginx has read it",
        "application shop is in maintenance",
        "site a.test: certificate /c.pem ends in 3 days",
        "/x was edited by hand",
        "the file system / has 5 % left",
    ]
    page = status_page.page(told)
    assert page[1] == "  LOOK: nginx does not run" and "    / -> application shop (MAINTENANCE, answers 503)" in page
    assert "  uWSGI in /opt/uwsgi: 3.0 MB" in page
    assert "    2.0.31-python3.11: 1.0 MB (current)" in page
    assert "    1.28.3-0123456789ab: 2.0 MB" in page
    assert "      2 workers, ? busy; 1 request, ? exceptions; memory -" in page
    assert status_page.page(dict(found(sites=[], applications=[]), attention=[]))[1] == "  nothing needs a look"


def test_the_time_to_count_is_one_for_all_and_for_each_name(tmp_path):
    for name in ("shared", "logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(u"x")
    found = status_disk.application(str(tmp_path), run, time.time() - 1)
    assert found["shared"] is None and found["logs"] is None
    assert status_disk.application(str(tmp_path), run, time.time() + 20)["shared"] > 0


def test_a_folder_of_more_names_than_memory_holds_is_listed_one_by_one(tmp_path, monkeypatch):
    path = tmp_path / "many"
    path.mkdir()
    for number in range(20):
        (path / str(number)).write_text(u"x")
    looked = []
    monkeypatch.setattr(status_disk.time, "time", lambda: looked.append(1) or len(looked))

    def names(folder):
        raise AssertionError("all names at once")

    if hasattr(os, "scandir"):
        monkeypatch.setattr(status_disk.safe_path.Folder, "names", names)
    else:
        monkeypatch.setattr(status_disk, "LARGEST", 1)
    assert status_disk.counted(str(path), 3) is None
    # It gave up within the folder.
    assert len(looked) < 10
    monkeypatch.undo()
    assert status_disk.counted(str(path)) == status_disk.taken(str(path), run)


def test_links_of_one_file_are_not_remembered_without_an_end(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / ("f%d" % number)).write_text(u"x")
        os.link(str(tmp_path / ("f%d" % number)), str(tmp_path / ("g%d" % number)))
    monkeypatch.setattr(status_disk, "REMEMBERED", 3)
    assert status_disk.counted(str(tmp_path)) is None


def test_each_nginx_is_told_with_what_it_takes_and_which_is_in_place(tmp_path, monkeypatch):
    os.chmod(str(tmp_path), 0o755)
    for name, text in (("1.28.3-0123456789ab", u"old"), ("1.30.6-0123456789ab", u"new"), ("mine", u"x")):
        folder = tmp_path / name
        folder.mkdir(0o755)
        (folder / "nginx").write_text(text)
        told = {"version": name[:6], "files": {"nginx": nginx_artifact.sha256(str(folder / "nginx"))}}
        (folder / "manifest.json").write_text(u"%s" % json.dumps(told))
    monkeypatch.setattr(status_disk, "ARTIFACTS", str(tmp_path))
    monkeypatch.setattr(status_disk.layout, "NGINX_BINARY", str(tmp_path / "1.28.3-0123456789ab" / "nginx"))
    told = dict((one["name"], one) for one in status_disk.host(str(tmp_path), str(tmp_path), run)["nginx_versions"])
    assert sorted(told) == ["1.28.3-0123456789ab", "1.30.6-0123456789ab"]
    assert [told[name]["current"] for name in sorted(told)] == [True, False]
    assert all(one["bytes"] > 0 for one in told.values())
