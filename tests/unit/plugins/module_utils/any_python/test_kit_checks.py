"""Whether a kit is for this very host, asked of it before anything changes (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, kit_checks, uwsgi_home, uwsgi_wheels

ABOUT = {"executable": "/usr/bin/python2.7", "version": "2.7", "full_version": "2.7.5", "abi": "cp27mu", "venv": False}
BUILD = {"extra_args": [], "env": {}}
AGAIN = "make it where there is a network: ansible-playbook graceful.wsgi.kit -i INVENTORY -e kit_dir=/kit"


@pytest.fixture
def host(monkeypatch):
    """An EL 7 host; its kind."""
    monkeypatch.setattr(uwsgi_home, "find_python", lambda *_words: dict(ABOUT))
    monkeypatch.setattr(kit_checks, "system", lambda: ("Centos", "7.7"))
    monkeypatch.setattr(uwsgi_wheels, "libraries", lambda run, machine: set(["libz.so.1", "libc.so.6"]))
    return uwsgi_home.kind_of(ABOUT, "Centos", "7.7")


def check(kind, home="/nonexistent", **more):
    build = uwsgi_home.full_build(BUILD, "2.0.31", ABOUT)
    name = uwsgi_home.wheel_of("2.0.31", build, ["ssl"], kind)["name"]
    entry = {"kind": kind, "uwsgi": {name: {"libraries": ["libz.so.1"], "packages": []}}, "requirements": ["d1"]}
    found = {
        "kind": "kit",
        "variable": "publish_kit",
        "folder": "/kit",
        "command": AGAIN.partition(": ")[2],
        "python": "python2.7",
        "home": home,
        "version": "2.0.31",
        "features": ["ssl"],
        "build": BUILD,
        "built": True,
        "entries": [entry],
        "others": ["Debian 12 on x86_64"],
        "apps": [{"variable": "publish_apps[0].requirements", "name": "shop", "digests": {"2.7": "d1"}}],
    }
    found.update(more)
    # As it arrives on a host.
    return json.loads(json.dumps(found))


def told(one):
    return [str(problem) for problem in host_checks.problems([one], host_checks.Tools(lambda words: (0, "", "")))]


def test_a_kit_for_this_kind_of_host_is_taken(host):
    assert told(check(host)) == []


def test_another_kind_of_host_is_told_what_it_is_and_what_the_kit_is_for(host):
    (said,) = told(check(host, entries=[]))
    assert said.startswith("publish_kit: this host is Centos 7 on ")
    assert "with Python 2.7 (cp27mu) at /usr/bin/python2.7, and /kit is for Debian 12 on x86_64; " + AGAIN in said


def test_an_application_whose_wheels_are_for_another_python_only(host):
    digests = {"2.7": "d2", "3.6": "d1"}
    one = check(host, apps=[{"variable": "publish_apps[3].requirements", "name": "shop", "digests": digests}])
    (said,) = told(one)
    assert said.startswith("publish_apps[3].requirements: /kit lacks the wheels of shop for Centos 7 on ")
    assert said.endswith(AGAIN)


def test_another_uwsgi_than_the_one_that_is_asked_for(host):
    (said,) = told(check(host, version="2.0.30"))
    assert said.startswith("publish_kit: /kit lacks uWSGI 2.0.30-cp27mu-") and "it holds 2.0.31-cp27mu-" in said


def test_a_library_that_the_host_lacks_is_named_with_the_packages_that_the_builder_had(host):
    one = check(host)
    for held in one["entries"][0]["uwsgi"].values():
        held.update(libraries=["libz.so.1", "libjansson.so.4"], packages=["jansson", "zlib"])
    (said,) = told(one)
    assert "publish_kit: the uWSGI of /kit needs libjansson.so.4, which this host does not have" in said
    assert said.endswith("the packages with its libraries are jansson, zlib")


def test_what_was_verified_before_is_not_asked_for_again(host, tmpdir):
    home = tmpdir.mkdir("2.0.31-python2.7")
    one = check(host, home=str(tmpdir))
    one["entries"][0]["uwsgi"] = {}
    assert len(told(one)) == 1
    build = uwsgi_home.full_build(BUILD, "2.0.31", ABOUT)
    home.join(uwsgi_home.STAMP).write(json.dumps({"build": build}))
    assert told(one) == []


def test_a_wheel_that_was_made_by_hand_is_judged_elsewhere(host):
    assert told(check(host, built=False, entries=[dict(check(host)["entries"][0], uwsgi={})])) == []


def test_a_host_without_the_python_is_told(host, monkeypatch):
    def none(*_words):
        raise uwsgi_home.HomeError("uwsgi_python: there is no python2.7 on this host; install it")

    monkeypatch.setattr(uwsgi_home, "find_python", none)
    (said,) = told(check(host))
    assert said.startswith("uwsgi_python: there is no python2.7 on this host; install it; a host that reaches")
