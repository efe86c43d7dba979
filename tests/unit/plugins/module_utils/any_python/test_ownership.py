# -*- coding: utf-8 -*-
"""Whose files of a host are, and what becomes of those of somebody else (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import stat

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import bundle as bundle_code
from ansible_collections.graceful.wsgi.plugins.module_utils import (
    host_checks,
    layout,
    manifests,
    ownership,
    takeover_checks,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle, BundleError, File


def put(path, text):
    path = str(path)
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))
    return path


def text(path):
    with open(str(path), "rb") as source:
        return source.read().decode("utf-8")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of its own; nothing here cuts the power."""
    monkeypatch.setattr(bundle_code.os, "fsync", lambda handle: None)
    folder = str(tmp_path / "lib" / "bundles")
    monkeypatch.setattr(ownership, "STATE_DIR", folder)
    return folder


@pytest.fixture
def run(tmp_path, state):
    """Runs a bundle with these files, {name: text}."""

    def run(name, files, **more):
        wanted = [File(str(tmp_path / path), files[path].encode("utf-8"), mode=0o644) for path in sorted(files)]
        made = Bundle(
            name, [], wanted, [], lambda command: (0, "", ""), lambda path, like: None, state_dir=state, **more
        )
        made.run()
        return made

    return run


def files_of(name):
    return sorted(os.path.basename(path) for path in ownership.recorded(name) or {})


# -- a bundle ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_another_bundle_wrote_is_refused(run, tmp_path, check_mode):
    run("publish-one-apps", {"a": "one"})
    for wanted in ("one", "two"):
        with pytest.raises(BundleError) as caught:
            run("publish-two-apps", {"a": wanted, "b": "two"}, check_mode=check_mode)
        assert "is of publish_set one" in str(caught.value)
    # Even while it is away.
    os.unlink(str(tmp_path / "a"))
    with pytest.raises(BundleError):
        run("publish-two-apps", {"a": "two"}, check_mode=check_mode)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_nobody_wrote_is_refused_and_what_is_as_wanted_is_adopted(run, tmp_path, check_mode):
    put(tmp_path / "a", "# Ansible managed\n")
    put(tmp_path / "b", "same")
    with pytest.raises(BundleError) as caught:
        run("x", {"a": "new", "b": "same"}, check_mode=check_mode)
    assert "%s: is there, and nothing of this collection wrote it" % (tmp_path / "a") in str(caught.value)
    assert str(tmp_path / "b") not in str(caught.value)
    made = run("x", {"b": "same"}, check_mode=check_mode)
    assert made.taken == {}
    assert files_of("x") == ([] if check_mode else ["b"])


def test_what_is_taken_over_is_kept_with_mode_and_owner(run, tmp_path, state):
    put(tmp_path / "a", "theirs")
    os.chmod(str(tmp_path / "a"), 0o640)
    made = run("x", {"a": "ours"}, take_over=True)
    assert made.report()["taken"] == [str(tmp_path / "a")]
    copy = ownership.kept_at(str(tmp_path / "a"))
    assert text(copy) == "theirs"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o640
    assert stat.S_IMODE(os.stat(os.path.join(os.path.dirname(state), "taken-over")).st_mode) == 0o700
    # From then on it is ours, told or not.
    assert run("x", {"a": "newer"}).taken == {}
    assert run("x", {"a": "newer"}, take_over=True).changed is False


def test_an_earlier_copy_stays(run, tmp_path):
    for number in range(3):
        put(tmp_path / "a", "theirs %d" % (number % 2))
        run("x%d" % number, {"a": "ours"}, take_over=True)
        run("x%d" % number, {}, prune=True)
    copy = ownership.kept_at(str(tmp_path / "a"))
    assert [text(copy), text(copy + ".1")] == ["theirs 0", "theirs 1"]
    assert not os.path.exists(copy + ".2")


def test_what_is_undone_is_not_ours(run, tmp_path):
    put(tmp_path / "a", "theirs")
    token = run("x", {"a": "ours"}, take_over=True).token
    run("x", {}, undo=token)
    assert text(tmp_path / "a") == "theirs"
    with pytest.raises(BundleError):
        run("x", {"a": "ours"})


def test_another_bundle_forgets_what_was_taken_from_it(run, tmp_path):
    run("publish-one-apps", {"a": "one", "b": "one"}, digest="d")
    run("publish-two-apps", {"a": "two"}, take_over=True)
    assert files_of("publish-one-apps") == ["b"]
    assert manifests.verified_digest("publish-one-apps", ownership.STATE_DIR) == ""
    run("publish-one-apps", {"b": "one"}, prune=True)
    assert text(tmp_path / "a") == "two"


def test_a_file_of_two_bundles_belongs_to_the_one_whose_text_stands_there(run, tmp_path, state):
    run("publish-one-apps", {"a": "one", "b": "one"})
    manifest = os.path.join(state, "publish-one-apps", "manifest.json")
    before = text(manifest)
    run("publish-two-apps", {"a": "two"}, take_over=True)
    # As an earlier version left it.
    put(manifest, before)
    assert run("publish-two-apps", {"a": "two"}).changed is False
    with pytest.raises(BundleError):
        run("publish-one-apps", {"a": "one", "b": "one"})
    # Nor is it removed for the one who lost it, who is told whose files are not to be touched.
    made = run("publish-one-apps", {}, remove=[str(tmp_path / "a")])
    assert str(tmp_path / "a") not in made.stale
    assert str(tmp_path / "a") in made.report()["others"]
    assert text(tmp_path / "a") == "two"
    assert files_of("publish-one-apps") == ["b"]


def test_a_lost_manifest_and_a_killed_first_run_converge(run, tmp_path, state):
    run("x", {"a": "ours"})
    os.unlink(os.path.join(state, "x", "manifest.json"))
    assert run("x", {"a": "ours"}).changed is False
    # Killed with the file in place, but no manifest.
    os.unlink(os.path.join(state, "x", "manifest.json"))
    step = {"path": str(tmp_path / "a"), "new": str(tmp_path / ".n"), "old": None, "after": bundle_code.sha256(b"ours")}
    put(os.path.join(state, "x", "journal.json"), json.dumps({"run": "r", "steps": [step]}))
    assert ownership.interrupted("x") == set([str(tmp_path / "a")])
    run("x", {"a": "newer"}, check_mode=True)
    run("x", {"a": "newer"})
    assert text(tmp_path / "a") == "newer"


# -- the questions before anything changes -----------------------------------------------------------------------


def wrote(state, bundle, *paths):
    put(os.path.join(state, bundle, "manifest.json"), json.dumps({"files": dict((path, "d") for path in paths)}))


def dropin(unit, app=None):
    return "/etc/systemd/system/uwsgi@%s.service.d/10-publish%s.conf" % (unit, "-" + app if app else "")


def asked(*checks):
    """(what is refused, what is warned of)."""
    warnings = []
    found = host_checks.problems(list(checks), host_checks.Tools(lambda words: (1, "", ""), warnings.append))
    return [str(problem) for problem in found], warnings


def application(name, instances=None, sockets=(), allowed=False):
    return {
        "kind": "application",
        "variable": "publish_apps[0]",
        "bundle": "publish-mine-apps",
        "name": name,
        "instances": instances or [name],
        "sockets": list(sockets),
        "allowed": allowed,
        "take_over": "publish_take_over",
    }


def test_names_and_instances_of_another_set(state):
    wrote(state, "publish-other-apps", dropin("shop"), dropin("chat-1", "chat"), dropin("chat-2", "chat"))
    wrote(state, "publish-mine-apps", dropin("old"))
    for name, instances in (("shop", None), ("chat", None), ("chat-2", None), ("shop", ["shop-1", "shop-2"])):
        problems, _warned = asked(application(name, instances))
        assert len(problems) == 1, name
        assert problems[0].startswith("publish_apps[0].name: publish_set other of this host publishes"), problems
        assert "publish_take_over" in problems[0]
        assert asked(application(name, instances, allowed=True)) == ([], [])
    # An application of four instances has one of another's names.
    assert asked(application("x", ["x-1", "shop"]))[0]
    assert asked(application("old")) == ([], [])
    assert asked(application("chat-3")) == ([], [])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.ini", "http-socket = 127.0.0.1:5051\n"),
        ("a.json", '{"uwsgi": {"socket": "127.0.0.1:5051"}}'),
        ("a.xml", "<uwsgi><socket>127.0.0.1:5051</socket></uwsgi>"),
        ("a.yaml", "uwsgi:\n  socket: 127.0.0.1:5051\n"),
    ],
)
def test_the_port_of_another_set(state, tmp_path, name, line):
    wrote(state, "publish-other-apps", put(tmp_path / name, "chmod-socket = 660\n" + line))
    (problem,), _warned = asked(application("x", sockets=["127.0.0.1:5051"]))
    assert problem.startswith("publish_apps[0].socket: 127.0.0.1:5051 is the socket of")
    assert asked(application("x", sockets=["127.0.0.1:5052", "660"]))[0] == []


def owned(files, bundle="publish-mine-sites", allowed=False, unmarked=()):
    return {
        "kind": "owned",
        "variable": "publish_sites[0].name",
        "bundle": bundle,
        "files": files,
        "unmarked": list(unmarked),
        "allowed": allowed,
        "take_over": "publish_take_over",
    }


def test_a_file_of_somebody_else(state, tmp_path):
    path = put(tmp_path / "a.conf", "server {}\n")
    (problem,), _warned = asked(owned([path]))
    assert "would be overwritten" in problem
    assert "publish_take_over: true" in problem
    assert asked(owned([path], allowed=True))[0] == []
    wrote(state, "publish-mine-sites", path)
    assert asked(owned([path]))[0] == []
    wrote(state, "publish-mine-sites", "/other")
    wrote(state, "publish-other-sites", path)
    (problem,), _warned = asked(owned([path]))
    assert "publish_set other of this host has %s" % path in problem


def test_a_lost_manifest_leaves_the_judgement_to_the_bundle(state, tmp_path):
    marked, plain = put(tmp_path / "a.conf", "# Ansible managed\n"), put(tmp_path / "b.json", "{}")
    assert asked(owned([marked, plain], unmarked=[plain]))[0] == []
    # Where it is there, it says that this file is not ours.
    wrote(state, "publish-mine-sites", "/other")
    assert len(asked(owned([marked]))[0]) == 1


def test_a_name_that_another_set_answers_to(state, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "_BLOCK", takeover_checks.re.compile(r".*/(.+)\.conf\Z"))
    block = "server {\n    listen 80;\n    listen [::]:80;\n    server_name a.test b.test;\n}\n"
    block += "server {\n    listen 443 ssl;\n    server_name c.test;\n}\n"
    wrote(state, "publish-other-sites", put(tmp_path / "x.conf", block))

    def server(*names):
        more = {"variable": "publish_sites[0].server_name", "names": list(names), "file": "/x/y.conf"}
        return dict(owned([], allowed=False), kind="server", **more)

    for port, name in (("80", "b.test"), ("443", "c.test")):
        (problem,), _warned = asked(server([port, name]))
        assert "'%s' at port %s is answered by publish_set other" % (name, port) in problem
    assert asked(server(["443", "a.test"], ["80", "c.test"], ["80", "d.test"]))[0] == []


def replaced(apps, sites, allowed=False):
    return {
        "kind": "replaced",
        "variable": "publish_set",
        "set": "mine",
        "apps": apps,
        "sites": sites,
        "allowed": allowed,
    }


@pytest.mark.parametrize(
    ("apps", "sites", "refused", "warned"),
    [
        (["shop"], ["of-no-host.test"], False, False),
        (["new"], ["new.test"], True, False),
        (["new"], [], True, False),
        ([], ["new.test"], True, False),
        (["new"], ["of-no-host.test"], False, True),
        (["shop", "new"], ["new.test"], False, True),
        ([], [], False, True),
        (["shop"], [], False, False),
    ],
)
def test_what_a_set_had_and_names_no_more(state, monkeypatch, apps, sites, refused, warned):
    monkeypatch.setattr(takeover_checks, "lstat", lambda path: True)
    wrote(state, "publish-mine-apps", dropin("shop"), "/etc/uwsgi/shop.ini")
    conf = "/etc/nginx/conf.d/%s.conf"
    wrote(state, "publish-mine-sites", conf % "of-no-host.test", conf % "publish-mine")
    problems, warnings = asked(replaced(apps, sites))
    assert (bool(problems), bool(warnings)) == (refused, warned)
    said = "".join(problems + warnings)
    if refused:
        assert "publish_replace: true" in said
    if said and not apps and not sites:
        # Nothing of it goes, and the stated way is named.
        assert "an empty list takes nothing off" in said
        assert "graceful.wsgi.remove -e remove_set=mine" in said
        assert "application shop" in said
    elif said:
        assert ("application shop" in said) == ("shop" not in apps and bool(apps))
        assert ("site of-no-host.test" in said) == ("of-no-host.test" not in sites and bool(sites))
    problems, warnings = asked(replaced(apps, sites, allowed=True))
    assert problems == []
    assert bool(warnings) == (refused or warned)


@pytest.mark.parametrize(
    ("leads", "shared"),
    [
        ("uwsgi_pass unix:/run/wsgi/shop.sock;", ""),
        ("proxy_pass http://unix:/run/wsgi/shop.sock:/;", ""),
        ("uwsgi_pass 127.0.0.1:5051;", ""),
        ("uwsgi_pass x-shop;", "upstream x-shop {\n    server unix:/run/wsgi/shop-2.sock;\n}\n"),
    ],
)
def test_a_site_that_stays_and_leads_to_what_goes(state, monkeypatch, leads, shared):
    """An empty publish_sites leaves the sites as they are; one that leads nowhere would be all 502."""
    conf = "/etc/nginx/conf.d/%s.conf"
    texts = {conf % "shop.test": leads, conf % "publish-mine": shared, "/etc/uwsgi/shop.ini": "socket = 127.0.0.1:5051"}
    texts[conf % "other.test"] = "uwsgi_pass unix:/run/wsgi/shop.sock.d; uwsgi_pass 127.0.0.1:50510; # shop"
    monkeypatch.setattr(takeover_checks, "lstat", lambda path: True)
    monkeypatch.setattr(takeover_checks, "_text", lambda path: texts.get(path, ""))
    wrote(state, "publish-mine-apps", dropin("shop"), dropin("shop-2", "shop"), dropin("kept"), "/etc/uwsgi/shop.ini")
    wrote(state, "publish-mine-sites", *[path for path in texts if path.startswith("/etc/nginx")])
    (problem,), warnings = asked(replaced(["kept"], []))
    assert problem.startswith("publish_sites: is empty") and "shop.test leads to the application shop" in problem
    assert "other.test" not in problem and warnings == []
    problems, warnings = asked(replaced(["kept"], [], allowed=True))
    assert problems == [] and "shop.test leads to the application shop" in warnings[1]
    # Named, it is the plan's to judge, and a set without sites has none that could be left.
    assert asked(replaced(["kept"], ["other.test"]))[0] == []
    wrote(state, "publish-mine-sites", conf % "other.test")
    assert asked(replaced(["kept"], []))[0] == []


@pytest.mark.parametrize(
    ("confirmed", "sites", "refused"),
    [
        ([], ["new.test"], "application shop, site of-no-host.test of publish_set mine"),
        (["shop"], ["new.test"], "confirm, and site of-no-host.test of publish_set mine"),
        (["shop"], ["of-no-host.test"], None),
        (["of-no-host.test", "shop", "elsewhere"], ["new.test"], None),
    ],
)
def test_what_goes_is_to_be_confirmed_by_its_name(state, monkeypatch, confirmed, sites, refused):
    monkeypatch.setattr(takeover_checks, "lstat", lambda path: True)
    wrote(state, "publish-mine-apps", dropin("shop"), dropin("kept"), "/etc/uwsgi/shop.ini")
    wrote(state, "publish-mine-sites", "/etc/nginx/conf.d/of-no-host.test.conf")
    problems, warnings = asked(dict(replaced(["kept"], sites), confirmed=confirmed))
    if refused:
        (problem,) = problems
        assert problem.startswith("publish_prune: is confirm") and refused in problem and warnings == []
        assert "-e publish_prune_confirmed=of-no-host.test,shop" in problem
    else:
        assert problems == [] and "application shop" in "".join(warnings)
    # All that a set has is as much as was named.
    named = {"of-no-host.test", "shop", "kept"} <= set(confirmed + ["kept"])
    problems, _warnings = asked(dict(replaced(["new"], ["new.test"]), confirmed=confirmed + ["kept"]))
    assert bool(problems) is not named
    # Where nothing goes there is nothing to confirm.
    assert asked(dict(replaced(["kept", "shop"], []), confirmed=[])) == ([], [])


def unit(name="uwsgi@shop.service", path="uwsgi@.service", instance=True):
    return {"kind": "unit", "variable": "publish_apps[0].name", "unit": name, "path": path, "instance": instance}


@pytest.mark.parametrize("case", ["none", "masked", "runtime", "empty", "shadow", "alias", "own", "own masked"])
def test_units(tmp_path, monkeypatch, case):
    etc, run = str(tmp_path / "etc"), str(tmp_path / "run")
    monkeypatch.setattr(takeover_checks, "UNIT_DIRS", ("/none", "/none", "/none", "/none", etc, run))
    template = put(os.path.join(etc, "uwsgi@.service"), "[Service]\n")
    shop, check = os.path.join(etc, "uwsgi@shop.service"), unit(path=template)
    if case == "masked":
        os.symlink("/dev/null", shop)
    elif case == "runtime":
        os.mkdir(run)
        os.symlink("/dev/null", os.path.join(run, "uwsgi@shop.service"))
    elif case in ("empty", "shadow"):
        put(shop, "" if case == "empty" else "[Service]\n")
    elif case == "alias":
        os.symlink("uwsgi@.service", shop)
    elif case.startswith("own"):
        check = unit("uwsgi@.service", template, False)
        if case == "own masked":
            os.unlink(template)
            os.symlink("/dev/null", template)
    problems, _warned = asked(check)
    expected = {
        "masked": "systemctl unmask uwsgi@shop.service",
        "runtime": "is masked",
        "empty": "is masked",
        "shadow": "stands in the place of",
        "own masked": "systemctl unmask uwsgi@.service",
    }.get(case)
    assert len(problems) == bool(expected)
    assert (expected or "") in "".join(problems)
