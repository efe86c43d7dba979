# -*- coding: utf-8 -*-
"""What goes where applications or a set are to be removed, and which accounts (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    left_data,
    ownership,
    removal,
    removal_accounts,
    removal_survey,
    safe_path,
    takeover_checks,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import Going, RemovalError, Set

BLOCK = "/etc/nginx/conf.d/%s.conf"
DROPIN = "/etc/systemd/system/uwsgi@%s.service.d/10-publish%s.conf"
ROTATED = """%s {
    daily
    postrotate
        /bin/systemctl kill --signal=URG %s >/dev/null 2>&1 || true
    endscript
}
"""
LINES = "d /run/wsgi/%s.d 0710 wsgi nginx -\n"
FILES = {
    "/etc/tmpfiles.d/publish-main-apps.conf": "d /run/wsgi 0755 root root -\n"
    + LINES % "shop"
    + LINES % "blog-1"
    + LINES % "blog-2"
    + "L /run/wsgi/shop.sock - - - - /run/wsgi/shop.d/sock\n"
    + "L /run/wsgi/blog-1.sock - - - - /run/wsgi/blog-1.d/sock\n",
    "/etc/logrotate.d/publish-main-apps": "# Ansible managed\n"
    + ROTATED % ("/var/log/uwsgi/shop/server.log", "uwsgi@shop.service")
    + ROTATED % ("/var/log/blog/1.log", "uwsgi@blog-1.service"),
    "/etc/logrotate.d/publish-main-sites": "# Ansible managed\n"
    + ROTATED % ("/var/log/blog.test/a.log", "nginx.service"),
    "/etc/nginx/conf.d/publish-main.conf": "# Ansible managed\n"
    "upstream instances-main-blog {\n    server unix:/run/wsgi/blog-1.sock;\n}\n",
    BLOCK % "shop.test": "# Ansible managed\nserver {\n    uwsgi_pass unix:/run/wsgi/shop.sock;\n}\n",
    BLOCK % "blog.test": "# Ansible managed\nserver {\n    access_log /var/log/blog.test/a.log;\n"
    "    uwsgi_pass instances-main-blog;\n}\n",
    BLOCK % "files.test": "# Ansible managed\nserver {\n    alias /srv/wsgi/blog/current/static/;\n}\n",
    DROPIN % ("shop", ""): "# Ansible managed\n[Service]\nUser=wsgi-shop\n",
    DROPIN % ("blog-1", "-blog"): "# Ansible managed\n[Service]\nUser=wsgi-blog\n",
    DROPIN % ("blog-2", "-blog"): "# Ansible managed\n[Service]\nUser=wsgi-blog\n",
    "/etc/uwsgi/shop.ini": "# Ansible managed\n[uwsgi]\n",
    "/etc/uwsgi/shop.env": "A=1\n",
    "/etc/uwsgi/blog-1.ini": "# Ansible managed\n[uwsgi]\n",
    "/etc/uwsgi/blog-2.ini": "# Ansible managed\n[uwsgi]\n",
    "/etc/uwsgi/blog.env": "A=1\n",
}
SITES = [path for path in sorted(FILES) if "/nginx/" in path or path.endswith("-sites")]
APPS = [path for path in sorted(FILES) if path not in SITES]


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host of these files, whatever this machine has; tests may change them."""
    files = dict(FILES)
    monkeypatch.setattr(ownership, "STATE_DIR", str(tmp_path / "bundles"))
    monkeypatch.setattr(left_data, "NOTES", str(tmp_path / "dropped"))
    monkeypatch.setattr(removal_survey, "text_of", lambda path: files.get(path, ""))
    monkeypatch.setattr(removal_survey, "content_of", lambda path: files[path].encode() if path in files else None)
    monkeypatch.setattr(takeover_checks, "_text", lambda path: files.get(path, ""))
    monkeypatch.setattr(removal_survey, "linked", lambda unit: False)

    def glob(pattern):
        import fnmatch

        return [path for path in files if fnmatch.fnmatch(path, pattern)]

    monkeypatch.setattr(removal_survey.glob, "glob", glob)
    return files


def bundles(**more):
    return dict(
        {"publish-main-apps": dict.fromkeys(APPS, "x"), "publish-main-sites": dict.fromkeys(SITES, "x")}, **more
    )


def main_set(**more):
    return Set("main", bundles(**more), ["/srv/wsgi", "/var/log/uwsgi"])


def test_the_whole_set_goes_with_all_of_its_files(host):
    going = Going(main_set())
    assert going.whole
    assert (going.apps, going.instances) == (["blog", "shop"], ["blog-1", "blog-2", "shop"])
    assert going.sites == ["blog.test", "files.test", "shop.test"]
    assert going.files("sites") == (SITES, {})
    assert going.files("apps") == (APPS, {})


def test_one_application_goes_with_the_sites_that_lead_to_it_alone(host):
    going = Going(main_set(), ["blog"])
    assert not going.whole
    # Through an upstream of the set's, and as files of its code.
    assert going.sites == ["blog.test", "files.test"]
    gone, changed = going.files("sites")
    assert sorted(gone) == ["/etc/logrotate.d/publish-main-sites", BLOCK % "blog.test", BLOCK % "files.test"]
    assert changed == {}
    gone, changed = going.files("apps")
    assert sorted(gone) == [path for path in APPS if "blog" in path]
    assert changed["/etc/tmpfiles.d/publish-main-apps.conf"] == (
        "d /run/wsgi 0755 root root -\n" + LINES % "shop" + "L /run/wsgi/shop.sock - - - - /run/wsgi/shop.d/sock\n"
    )
    assert changed["/etc/logrotate.d/publish-main-apps"] == "# Ansible managed\n" + ROTATED % (
        "/var/log/uwsgi/shop/server.log",
        "uwsgi@shop.service",
    )


def test_the_last_application_and_site_are_the_set(host):
    assert Going(main_set(), ["blog", "shop"]).whole
    # A site that leads to none of them stays, and what all sites share with it.
    host[BLOCK % "old.test"] = "server { return 301 https://new.test; }"
    more = dict.fromkeys(SITES + [BLOCK % "old.test"], "x")
    going = Going(main_set(**{"publish-main-sites": more}), ["blog", "shop"])
    assert not going.whole
    gone, _changed = going.files("sites")
    assert "/etc/nginx/conf.d/publish-main.conf" not in gone
    assert BLOCK % "old.test" not in gone
    assert going.files("apps") == (APPS, {})


def test_a_site_that_leads_to_what_stays_as_well_is_refused(host):
    host[BLOCK % "shop.test"] += "server { location /b/ { uwsgi_pass instances-main-blog; } }"
    with pytest.raises(RemovalError) as refused:
        Going(main_set(), ["shop"])
    assert "the site shop.test of publish_set main leads to shop, which goes, and to blog, which stays" in str(
        refused.value
    )


def test_what_another_set_has_by_now_stays(host):
    of = main_set(**{"publish-other-apps": {DROPIN % ("shop", ""): "x", "/etc/uwsgi/shop.ini": "x"}})
    going = Going(of)
    assert going.apps == ["blog"]
    assert DROPIN % ("shop", "") not in going.files("apps")[0]


def test_logs_of_what_goes(host):
    assert removal_survey.app_logs(Going(main_set(), ["blog"])) == ["/var/log/blog/1.log"]
    assert removal_survey.logs_of(BLOCK % "blog.test") == ["/var/log/blog.test/a.log"]


# -- manifests that are lost -----------------------------------------------------------------------------------------


def test_all_of_a_set_is_found_without_its_manifests(host):
    found = removal_survey.orphans("/etc/uwsgi", set())
    assert sorted(found) == ["publish-main-apps", "publish-main-sites"]
    # A second drop-in of an application and its files are known by the first one's set.
    assert sorted(found["publish-main-apps"]) == APPS
    # Of those that nothing of it leads to nobody can tell whose they are.
    assert sorted(found["publish-main-sites"]) == [path for path in SITES if "files.test" not in path]
    assert removal_survey.orphans("/etc/uwsgi", set(FILES)) == {}


def test_what_a_removal_left_since_somebody_had_edited_it_is_not_found(host):
    for path in FILES:
        if path not in (DROPIN % ("shop", ""), "/etc/uwsgi/shop.ini", BLOCK % "shop.test"):
            del host[path]
    assert removal_survey.orphans("/etc/uwsgi", set()) == {}


def test_an_application_whose_unit_is_enabled_is_found(host, monkeypatch):
    for path in FILES:
        if "shop" not in path or path.endswith(".conf") and "tmpfiles" in path:
            del host[path]
    monkeypatch.setattr(removal_survey, "linked", lambda unit: unit == "uwsgi@shop.service")
    found = removal_survey.orphans("/etc/uwsgi", set())
    assert DROPIN % ("shop", "") in found["publish-main-apps"]
    assert "/etc/uwsgi/shop.env" in found["publish-main-apps"]
    assert found["publish-main-sites"] == {BLOCK % "shop.test": found["publish-main-sites"][BLOCK % "shop.test"]}


def test_files_of_a_person_are_not_found(host):
    host[BLOCK % "mine"] = "server { location / { uwsgi_pass unix:/run/wsgi/shop.sock; } }"
    host[BLOCK % "theirs"] = "# Ansible managed\nserver { return 204; }"
    host["/etc/logrotate.d/publish-mine-apps"] = "# by hand\n"
    found = removal_survey.orphans("/etc/uwsgi", set())
    paths = [path for files in found.values() for path in files]
    assert not [path for path in paths if "mine" in path or "theirs" in path]


# -- accounts --------------------------------------------------------------------------------------------------------


class Entry:
    def __init__(self, home, uid=990, shell="/usr/sbin/nologin"):
        self.pw_dir, self.pw_uid, self.pw_gid, self.pw_shell = home, uid, uid, shell


@pytest.mark.parametrize(
    ("entry", "made"),
    [
        (Entry("/srv/wsgi"), True),
        (Entry("/srv/wsgi/"), True),
        (Entry("/var/lib/graceful-wsgi/build/x"), True),
        (Entry("/var/cache/nginx"), True),
        (Entry("/home/x"), False),
        (Entry("/srv/wsgi", uid=1000), False),
        (Entry("/srv/wsgi", uid=0), False),
        (Entry("/srv/wsgi", shell="/bin/bash"), False),
    ],
)
def test_only_accounts_that_bear_the_mark_of_the_roles_go(monkeypatch, entry, made):
    monkeypatch.setattr(removal_accounts.pwd, "getpwnam", lambda name: entry)
    found = removal_accounts.made(["x"], {"x": "/var/cache/nginx"}, ["/srv/wsgi"])
    assert found == ({"x": (entry.pw_uid, entry.pw_uid)} if made else {})
    # Another account's home is no mark.
    if entry.pw_dir == "/var/cache/nginx":
        assert removal_accounts.made(["y"], {"x": "/var/cache/nginx"}, ["/srv/wsgi"]) == {}


def test_an_account_stays_as_long_as_something_of_it_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(removal_accounts, "_foreign_mounts", lambda: set())
    monkeypatch.setattr(removal_accounts, "SKIPPED", ())
    own = os.geteuid()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"")
    assert removal_accounts.left([(own, own)], [], str(tmp_path))[own].startswith(str(tmp_path))
    assert removal_accounts.left([(own, own)], [str(tmp_path / "a")], str(tmp_path)) == {}
    assert removal_accounts.left([(4242, 4242)], [], str(tmp_path)) == {}
    # What could not be looked at speaks for it.
    (tmp_path / "c").mkdir()
    assert removal_accounts.left([(4242, 4242)], [], str(tmp_path), limit=-1) == {4242: None}
    chosen = {"mine": (own, own), "used": (4242, 4242)}
    why = removal_accounts.why_kept(chosen, [], {"used"}, str(tmp_path))
    assert why["used"] == "what is published runs as it"
    assert why["mine"].endswith("is left of it")


def test_an_account_that_something_runs_as_is_not_removed(monkeypatch):
    monkeypatch.setattr(removal_accounts.pwd, "getpwnam", lambda name: Entry("/srv/wsgi"))
    monkeypatch.setattr(removal_accounts, "processes", lambda uid: [77])
    assert removal_accounts.remove("x", 990, None) == "process 77 runs as it"


# -- the way -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("2.0.31-python3.11", True),
        ("2.0.31-python2.7-0a1b2c", True),
        ("current", True),
        ("log", True),
        (".brought-x7", True),
        ("virtualenv-20.15.1", True),
        ("mine", False),
        ("python3", False),
        ("logs", False),
    ],
)
def test_what_the_role_uwsgi_makes_in_its_home(name, ours):
    assert bool(removal._OF_UWSGI.match(name)) == ours


def test_a_folder_that_an_overlay_does_not_move_is_removed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "doomed" / "a" / "b").mkdir(parents=True)
    (tmp_path / "doomed" / "a" / "b" / "file").write_bytes(b"")

    def rename(before, after):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), before)

    monkeypatch.setattr(safe_path.os, "rename", rename)
    safe_path.remove_tree(str(tmp_path / "doomed"))
    assert not (tmp_path / "doomed").exists()
