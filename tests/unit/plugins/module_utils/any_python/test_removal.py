# -*- coding: utf-8 -*-
"""What goes where applications or a set are to be removed, and which accounts (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import functools
import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    app_background,
    layout,
    left_notes,
    ownership,
    removal,
    removal_accounts,
    removal_programs,
    removal_steps,
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
    monkeypatch.setattr(left_notes, "NOTES", str(tmp_path / "dropped"))
    monkeypatch.setattr(removal_survey, "text_of", lambda path: files.get(path, ""))
    monkeypatch.setattr(removal_survey, "content_of", lambda path: files[path].encode() if path in files else None)
    monkeypatch.setattr(takeover_checks, "_text", lambda path: files.get(path, ""))
    monkeypatch.setattr(removal_survey, "linked", lambda unit: False)

    def glob(pattern):
        import fnmatch

        return [path for path in files if fnmatch.fnmatch(path, pattern)]

    monkeypatch.setattr(removal_survey.glob, "glob", glob)
    return files


def bundles(belongs_to=(), **more):
    """The manifests of a host, those of a version that did not note what files belong to unless that is said."""
    files = {"publish-main-apps": dict.fromkeys(APPS, "x"), "publish-main-sites": dict.fromkeys(SITES, "x")}
    files.update(more)
    return dict(
        (name, ownership.Recorded({"files": files[name], "belongs_to": dict(belongs_to)})) for name in sorted(files)
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


def test_what_the_manifest_says_of_a_file_goes_before_its_name(host):
    odd, mine = "/etc/uwsgi/settings.conf", BLOCK % "10-first"
    host[odd], host[mine] = "", "# Ansible managed\nserver {\n    uwsgi_pass unix:/run/wsgi/shop.sock;\n}\n"
    more = {
        "publish-main-apps": dict.fromkeys(APPS + [odd], "x"),
        "publish-main-sites": dict.fromkeys(SITES + [mine], "x"),
    }
    noted = {odd: "shop", "/etc/uwsgi/blog.env": "shop", mine: "shop.test"}
    going = Going(main_set(belongs_to=noted, **more), ["shop"])
    gone = [path for path in APPS if "shop" in path] + [odd, "/etc/uwsgi/blog.env"]
    assert sorted(going.files("apps")[0]) == sorted(gone)
    assert going.sites == ["shop.test", "shop.test"]
    # Its name alone tells nothing.
    assert odd not in Going(main_set(**more), ["shop"]).files("apps")[0]


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


def test_a_site_that_leads_elsewhere_as_well_is_refused(host):
    host[BLOCK % "shop.test"] += "server { location /n/ { proxy_pass http://127.0.0.1:9000/; } }"
    with pytest.raises(RemovalError) as refused:
        Going(main_set(), ["shop"])
    assert "leads to shop, which goes, and to http://127.0.0.1:9000/, which stays" in str(refused.value)
    # The whole set goes with wherever it leads, and what only nginx knows counts for nothing.
    assert "shop.test" in Going(main_set()).sites
    host[BLOCK % "shop.test"] = (
        "# proxy_pass http://127.0.0.1:1;\n"
        "server { uwsgi_pass unix:/run/wsgi/shop.sock; location /x { proxy_pass $y; } }"
    )
    assert Going(main_set(), ["shop"]).sites == ["shop.test"]


@pytest.mark.parametrize("listens", ["0.0.0.0:5051", ":5051", "[::]:5051", "127.0.0.1:5051"])
@pytest.mark.parametrize("folder", ["/etc/uwsgi", "/etc/elsewhere"])
def test_the_site_of_an_application_on_a_port_is_found(host, listens, folder):
    del host["/etc/uwsgi/shop.ini"]
    host[folder + "/shop.ini"] = "[uwsgi]\nsocket = %s\n" % listens
    host[BLOCK % "shop.test"] = "server {\n    uwsgi_pass 127.0.0.1:5051;\n}\n"
    apps = [path for path in APPS if path != "/etc/uwsgi/shop.ini"] + [folder + "/shop.ini"]
    going = Going(main_set(**{"publish-main-apps": dict.fromkeys(apps, "x")}), ["shop"])
    assert going.sites == ["shop.test"]


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


def test_units_of_workers_are_found_by_what_they_say_of_whose_they_are(host):
    unit = "/etc/systemd/system/wsgi-%s@.service"
    text = "# Written by Ansible (graceful.wsgi.publish) for the application %s.\n"
    host[unit % "shop-jobs"] = text % "shop"
    # Of an application whose name begins like that of one of the set.
    host[unit % "shop-x-jobs"] = text % "shop-x"
    host[unit % "shop-mine"] = "[Unit]\n"
    found = removal_survey.orphans("/etc/uwsgi", set())
    assert [path for path in sorted(found["publish-main-apps"]) if "/wsgi-" in path] == [unit % "shop-jobs"]


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
    # Another role's, which nothing but its name has in common with a set's.
    host["/etc/nginx/conf.d/publish-theirs.conf"] = "# Ansible managed\nserver { return 204; }"
    host["/etc/nginx/default.d/publish-theirs.conf"] = "# Ansible managed\nserver { return 204; }"
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
        # Debian's own, as www-data is, whose home may be where applications are.
        (Entry("/srv/wsgi", uid=33), False),
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
        (".brought-x7", True),
        ("3.2-1.1", False),
        ("virtualenvs", False),
        ("mine", False),
        ("python3", False),
        ("logs", False),
    ],
)
def test_what_the_role_uwsgi_makes_in_its_home(name, ours):
    assert bool(removal_programs._OF_UWSGI.match(name)) == ours


class Work(removal.Removal):
    """A removal of which a test takes single steps."""

    def __init__(self, tmp_path, going=(), **wanted):
        self.roots = [str(tmp_path / name) for name in ("code", "logs")]
        self.wanted = dict({"apps": [], "set": "", "all": False, "data": False}, **wanted)
        self.going = list(going)
        self.sets = dict((one.set.name, one.set) for one in going)
        self.places = {"uwsgi_home": str(tmp_path / "uwsgi"), "homes": "/srv/wsgi"}
        self.own_accounts, self.made, self.nginx_user = {}, {}, "nginx"
        self.adopted, self.check_mode, self.nginx_goes = {}, False, False
        self.gone, self.removed, self.kept, self.diffs = [], [], [], []
        self.users, self.reload_systemd = set(), False
        self.labelled = []
        self.relabel = lambda path, like: self.labelled.append(like)
        self.run = lambda *_words, **_more: (0, "", "")


@pytest.mark.parametrize("check_mode", [True, False])
def test_workers_are_ended_with_their_application(tmp_path, monkeypatch, check_mode):
    monkeypatch.setattr(layout, "BACKGROUND_DIR", str(tmp_path / "background"))
    for app in ("shop", "blog"):
        unit = "wsgi-%s-jobs@1" % app
        item = {"name": unit, "app": app, "said": "the worker jobs", "unit": unit + ".service", "job": None}
        app_background.note(app, [dict(item, unit_files=[], links=[])])
    work, told = Work(tmp_path), []
    work.check_mode = check_mode
    work.run = lambda words, **_more: (told.append(words[2:]), (0, "", ""))[1]
    work._end_background(["shop"])
    assert work.gone[0] == "wsgi-shop-jobs@1.service, stopped and disabled" and work.reload_systemd
    assert (["stop", "wsgi-shop-jobs@1.service"] in told) == (not check_mode)
    assert app_background.apps_noted() == (["blog", "shop"] if check_mode else ["blog"])
    work._end_background(["blog"])
    assert (layout.BACKGROUND_DIR in work.removed) and os.path.isdir(layout.BACKGROUND_DIR) == check_mode


def write(path, text=u""):
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())
    return str(path)


def test_in_a_folder_for_uwsgi_what_others_have_there_stays(tmp_path):
    home = tmp_path / "uwsgi"
    ours = ["log/2.0.31-python2.7.log", "tools/virtualenv-16.7.12/virtualenv.py", "2.0.31-python2.7/bin/uwsgi"]
    theirs = ["log/mine.log", "virtualenvs/a", "tools/mine", "current/index.html"]
    for name in ours + theirs:
        write(home / name)
    work = Work(tmp_path)
    work._versions(str(home))
    assert [name for name in ours + theirs if (home / name).exists()] == theirs
    assert len(work.kept) == 4
    for name in theirs:
        (home / name).unlink()
    work = Work(tmp_path)
    (home / "current").rmdir()
    (home / "current").symlink_to("2.0.31-python2.7")
    (home / "virtualenvs").rmdir()
    work._versions(str(home))
    assert os.listdir(str(home)) == []


@pytest.mark.parametrize("name", ["shop.env", "shop.secrets"])
def test_no_diff_tells_a_secret_of_a_set_whose_manifest_is_lost(tmp_path, monkeypatch, name):
    path = write(tmp_path / name, u"KEY=S3CRET\n")
    monkeypatch.setattr(ownership, "STATE_DIR", str(tmp_path / "bundles"))
    monkeypatch.setattr(removal_steps.bundle, "untrusted_folder", lambda path: None)
    known = removal_steps.Known(
        "publish-main-apps", [], [], [], None, None, prune=True, check_mode=True, state_dir=str(tmp_path / "bundles")
    )
    known.adopted = {path: removal_steps.bundle.sha256(b"KEY=S3CRET\n")}
    known._survey()
    (shown,) = known.diff()
    assert shown["before"] == "KEY=(hidden)\n"


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_went_is_not_kept_to_be_put_back(tmp_path, monkeypatch, check_mode):
    paths = [write(tmp_path / "conf" / name, u"KEY=S3CRET\n") for name in ("shop.env", "blog.env")]
    home = tmp_path / "bundles/publish-main-apps"
    recorded = dict((path, removal_steps.bundle.sha256(b"KEY=S3CRET\n")) for path in paths)
    write(home / "manifest.json", json.dumps({"files": recorded, "secret": paths, "run": "1"}))
    write(home / "previous.json", u'{"run": "1", "files": []}')
    monkeypatch.setattr(ownership, "STATE_DIR", str(tmp_path / "bundles"))
    monkeypatch.setattr(removal_steps.bundle, "STATE_DIR", str(tmp_path / "bundles"))
    monkeypatch.setattr(removal_steps.bundle, "untrusted_folder", lambda path: None)
    known = functools.partial(removal_steps.Known, state_dir=str(tmp_path / "bundles"))
    monkeypatch.setattr(removal_steps, "Known", known)
    work = Work(tmp_path)
    work.check_mode = check_mode
    work._bundle("publish-main-apps", [paths[0]])
    assert os.path.exists(paths[1]) and os.path.exists(paths[0]) == check_mode
    assert (home / "previous.json").exists() == check_mode
    assert (home / "manifest.json").exists()


OWN = "[uwsgi]\nspooler-chdir = /tmp/x\nchdir = /srv/wsgi/shop\n"


@pytest.mark.parametrize(
    ("config", "told", "folders"),
    [
        ("[uwsgi]\nchdir = /srv/shop/web\n", ["/srv/shop/web"], ["/srv/wsgi/shop", "/var/log/uwsgi/shop"]),
        (OWN, ["/srv/wsgi/shop"], ["/var/log/uwsgi/shop"]),
        ('{"uwsgi": {"chdir": "/srv/wsgi/shop/code"}}', ["/srv/wsgi/shop/code"], ["/var/log/uwsgi/shop"]),
        (
            "[uwsgi]\nchdir = /\nhook-post-fork = call:chdir /srv/wsgi/shop/current\nchdir2 = /srv/wsgi/shop/current\n",
            [],
            ["/srv/wsgi/shop", "/var/log/uwsgi/shop"],
        ),
        ("[uwsgi]\nchdir = /srv/wsgi/shop/current/web\n", [], ["/srv/wsgi/shop", "/var/log/uwsgi/shop"]),
    ],
)
def test_code_that_was_not_made_here_is_told_and_never_noted_for_removal(
    host, monkeypatch, tmp_path, config, told, folders
):
    host["/etc/uwsgi/shop.ini"] = config
    monkeypatch.setattr(removal, "text_of", lambda path: host.get(path, ""))
    going = Going(main_set(), ["shop"])
    work = Work(tmp_path, [going], data=True)
    work.roots = ["/srv/wsgi", "/var/log/uwsgi"]
    work._files(going)
    assert [path for path, _why in work.kept] == told
    assert work._folders("shop", going) == folders


def test_logs_of_others_stay(host, monkeypatch, tmp_path):
    logs = tmp_path / "logs"
    names = ["web", "web.1.gz", "web-20261128", "web-2/server.log", "web-3", "web.log", "webs"]
    for name in names:
        write(logs / name)
    going = Going(main_set(), ["shop"])
    going.logs, going.made = [str(logs / "web")], set()
    host["/etc/logrotate.d/publish-main-apps"] += ROTATED % (logs / "web-3", "uwsgi@blog-1.service")
    work = Work(tmp_path, [going], data=True)
    monkeypatch.setattr(work, "_logs_of_others", lambda going: [])
    work._log(str(logs / "web"), going)
    assert [name for name in names if (logs / name).exists()] == ["web-2/server.log", "web-3", "web.log", "webs"]
    work._log("/dev/null", going)
    assert work.kept == []


@pytest.mark.parametrize("root", ["", "own"])
def test_in_everybodys_folder_only_what_was_made_for_the_application_goes(tmp_path, root):
    home = tmp_path / "code" / "git"
    for name in ("releases/1/app.py", "shared/upload", "venvs/x/bin/python", ".new-x/y", "mine.git/HEAD"):
        write(home / name)
    (home / "current").symlink_to("releases/1")
    work = Work(tmp_path, data=True)
    work.places["root"] = root
    work._datum(str(home), "code")
    if root:
        assert not home.exists()
        return
    assert os.listdir(str(home)) == ["mine.git"]
    assert work.kept == [(str(home / "mine.git"), "was not made here")]
    (home / "mine.git" / "HEAD").unlink()
    (home / "mine.git").rmdir()
    work._datum(str(home), "code")
    assert not home.exists()


@pytest.mark.parametrize("check_mode", [True, False])
def test_shared_virtualenvs_go_with_the_last_application_that_uses_one(tmp_path, check_mode):
    root = tmp_path / "code"
    write(root / ".venvs" / ("a" * 32) / "bin" / "python")
    for name in ("shop", "blog"):
        write(root / name / "releases" / "1" / "app.py")
        (root / name / "releases" / "1" / ".venv").symlink_to(str(root / ".venvs" / ("a" * 32)))
    work = Work(tmp_path, data=True)
    for name, left in (("shop", True), ("blog", False)):
        # In check mode it stays for everybody but this run.
        if not check_mode:
            safe_path.remove_tree(str(root / name))
        work.removed.append(str(root / name))
        work.check_mode = check_mode
        work._common_venvs()
        assert (str(root / ".venvs") not in work.removed) == left
        assert (root / ".venvs").exists() == (left or check_mode)


def test_what_was_taken_over_is_given_back_across_file_systems(tmp_path, monkeypatch):
    state = tmp_path / "state"
    place = tmp_path / "etc"
    place.mkdir()
    copy = write(tmp_path / "taken" / str(place)[1:] / "nginx.conf", u"theirs\n")
    os.chmod(copy, 0o640)
    monkeypatch.setattr(removal_programs, "TAKEN", str(tmp_path / "taken"))
    monkeypatch.setattr(safe_path, "untrusted", lambda path: None)
    rename = os.rename

    def renamed(before, after):
        if os.path.dirname(before) != os.path.dirname(after):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), before)
        rename(before, after)

    monkeypatch.setattr(removal.os, "rename", renamed)
    work = Work(state)
    work._given_back()
    assert (place / "nginx.conf").read_bytes() == b"theirs\n"
    assert oct((place / "nginx.conf").stat().st_mode)[-3:] == "640"
    assert not os.path.exists(copy)
    # Its own label, not that of the copy.
    assert work.labelled == [str(place / "nginx.conf")]


def test_nothing_is_given_back_to_an_nginx_that_stays(tmp_path, monkeypatch):
    """It was never tested with what nginx serves by now."""
    copy = write(tmp_path / "taken" / "etc" / "nginx" / "conf.d" / "default.conf")
    monkeypatch.setattr(removal_programs, "TAKEN", str(tmp_path / "taken"))
    isdir = os.path.isdir
    monkeypatch.setattr(removal.os.path, "isdir", lambda path: path == "/etc/nginx/conf.d" or isdir(path))
    monkeypatch.setattr(safe_path, "untrusted", lambda path: None)
    given = []
    monkeypatch.setattr(Work, "_give_back", lambda self, copy, path: given.append(path))
    work = Work(tmp_path)
    work._given_back()
    assert [path for path, _why in work.kept] == [copy] and given == []
    work = Work(tmp_path)
    work.nginx_goes = True
    work._given_back()
    assert given == ["/etc/nginx/conf.d/default.conf"]


@pytest.mark.parametrize("keys", [False, True])
def test_clones_go_with_the_data_only(tmp_path, monkeypatch, keys):
    home = tmp_path / "git"
    monkeypatch.setattr(removal_programs.git_checkout, "HOME", str(home))
    clone = write(home / "repos" / "shop" / "HEAD")
    other = write(home / ".graceful-wsgi" / "x" / "askpass")
    if keys:
        write(home / ".ssh" / "id")
    work = Work(tmp_path)
    work._keep(str(home / "repos" / "shop"), "code")
    work._git()
    assert os.path.exists(clone)
    assert not os.path.exists(other)
    assert (home / ".ssh").exists() == keys
    work = Work(tmp_path, data=True)
    work._git()
    assert not home.exists()


def test_the_account_of_an_nginx_that_is_there_stays(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(removal, "NGINX", write(tmp_path / "nginx"))
    monkeypatch.setattr(removal_accounts, "at_home", lambda homes: [])
    monkeypatch.setattr(removal_accounts, "made", lambda names, places, homes: asked.append(sorted(names)) or {})
    for removed in (False, True):
        work = Work(tmp_path, all=True)
        work.nginx_goes, work.made = True, {"nginx": "/var/cache/nginx", "wsgi-git": "/x"}
        work.removed = [removal.NGINX] if removed else []
        work._accounts()
    assert asked == [["wsgi-git"], ["nginx", "wsgi-git"]]


def test_a_folder_that_an_overlay_does_not_move_is_removed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "doomed" / "a" / "b").mkdir(parents=True)
    (tmp_path / "doomed" / "a" / "b" / "file").write_bytes(b"")

    def rename(before, after):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), before)

    monkeypatch.setattr(safe_path.os, "rename", rename)
    safe_path.remove_tree(str(tmp_path / "doomed"))
    assert not (tmp_path / "doomed").exists()


def test_what_is_mounted_in_a_folder_stays_though_it_is_of_the_same_file_system(tmp_path, monkeypatch):
    """mount --bind: the device is the same, and a rename out of it fails as across file systems."""
    upload = write(tmp_path / "doomed" / "shared" / "deep" / "upload")
    also = write(tmp_path / "doomed" / "shared" / "also")
    monkeypatch.setattr(safe_path, "_mounts", lambda: set([str(tmp_path / "doomed" / "shared")]))
    with pytest.raises(OSError) as refused:
        safe_path.remove_tree(str(tmp_path / "doomed"))
    assert refused.value.errno == errno.EXDEV
    assert os.path.exists(upload) and os.path.exists(also)


def test_where_something_is_mounted_is_known():
    assert "/" in safe_path._mounts() and "/proc" in safe_path._mounts()
    assert safe_path._byte(0o40) == b" "
