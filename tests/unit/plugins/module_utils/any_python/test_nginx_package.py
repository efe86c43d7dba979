# -*- coding: utf-8 -*-
"""Whose nginx a host has, and how a package is kept from putting its own back (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, nginx_artifact, nginx_package, ownership


def put(path, text):
    path = str(path)
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))
    return path


class Host:
    """A package manager that knows one package, and dpkg's diversions."""

    def __init__(self, root, monkeypatch, manager):
        self.root, self.manager = str(root), manager
        self.binary = put(os.path.join(self.root, "sbin/nginx"), "theirs")
        self.home = os.path.join(self.root, "lib/nginx")
        self.yum = put(os.path.join(self.root, "yum.conf"), "[main]\ngpgcheck=1\n")
        self.package, self.diverted, self.calls = "nginx", None, []
        tools = {"dpkg": ["dpkg-query", "dpkg-divert"], "rpm": ["rpm"], None: []}[manager]
        monkeypatch.setattr(nginx_package, "program", lambda name: name if name in tools else None)
        monkeypatch.setattr(nginx_package, "YUM", (self.root + "/none", self.yum))
        monkeypatch.setattr(nginx_package, "HOME", self.home)
        monkeypatch.setattr(nginx_package, "PID_FILE", os.path.join(self.root, "nginx.pid"))
        monkeypatch.setattr(ownership, "STATE_DIR", os.path.join(self.root, "lib/bundles"))

    def run(self, words):
        self.calls.append(words)
        if words[0] == "dpkg-query" and words[1] == "-S":
            if words[2] != self.binary or not self.package:
                return 1, "", "no path found"
            told = ["local diversion from: %s", "local diversion to: %s.distrib"]
            lines = [line % self.binary for line in told] if self.diverted else []
            return 0, "\n".join(lines + ["%s: %s" % (self.package, self.binary)]) + "\n", ""
        if words[0] == "dpkg-query":
            return 0, "1.22.1-9", ""
        if words[0] == "rpm":
            return (0, self.package + " 1.20.1-14.el9\n", "") if self.package else (1, "not owned", "")
        if "--truename" in words:
            return 0, (self.diverted or self.binary) + "\n", ""
        if words[1] == "--no-rename" and self.manager == "dpkg":
            self.diverted = words[words.index("--divert") + 1]
        return 0, "", ""

    def is_ours(self):
        return nginx_package.is_ours(self.binary, self.run)

    def take_over(self):
        return nginx_package.take_over(self.binary, self.run)


@pytest.fixture(params=["dpkg", "rpm"])
def host(request, tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch, request.param)


def text(path):
    with open(path, "rb") as source:
        return source.read().decode("utf-8")


def test_owner(host):
    found = nginx_package.owner(host.binary, host.run)
    assert (found["manager"], found["name"]) == (host.manager, "nginx")
    assert found["version"] == {"dpkg": "1.22.1-9", "rpm": "1.20.1-14.el9"}[host.manager]
    host.diverted = host.binary + ".distrib"
    assert nginx_package.owner(host.binary, host.run)["name"] == "nginx"
    host.package = None
    assert nginx_package.owner(host.binary, host.run) is None


def test_ours_is_by_artifact_or_by_what_was_noted(host):
    digest = nginx_artifact.sha256(host.binary)
    assert not host.is_ours()
    artifact = put(os.path.join(host.home, "artifacts/1-a/manifest.json"), json.dumps({"files": {"nginx": digest}}))
    assert host.is_ours()
    os.unlink(artifact)
    nginx_package.remember(digest)
    nginx_package.remember("another")
    assert host.is_ours()
    assert host.calls == [] or host.manager
    put(host.binary, "the package's again")
    assert not host.is_ours()
    os.unlink(host.binary)
    assert host.is_ours()


def test_a_host_of_an_earlier_version_whose_artifacts_are_gone(host):
    put(os.path.join(ownership.STATE_DIR, "nginx/manifest.json"), json.dumps({"files": {"/etc/nginx/nginx.conf": "d"}}))
    assert not host.is_ours()
    host.package = None
    assert host.is_ours()


def test_a_package_is_kept_from_coming_back(host):
    assert not nginx_package.is_held(host.binary, host.run)
    assert host.take_over()
    assert nginx_package.is_held(host.binary, host.run)
    assert host.take_over() is None
    if host.manager == "dpkg":
        assert text(host.binary + ".distrib") == text(host.binary) == "theirs"
    else:
        assert text(host.yum) == "[main]\nexclude=nginx*\ngpgcheck=1\n"
        assert text(ownership.kept_at(host.binary)) == "theirs"


def test_where_our_own_stands_over_a_package_it_is_not_taken_for_the_package_s(host):
    nginx_package.remember(nginx_artifact.sha256(host.binary))
    assert host.take_over()
    assert not os.path.exists(host.binary + ".distrib")
    assert not os.path.exists(ownership.kept_at(host.binary))


@pytest.mark.parametrize("manager", ["dpkg", "rpm", None])
def test_one_built_by_hand_is_kept(tmp_path, monkeypatch, manager):
    host = Host(tmp_path, monkeypatch, manager)
    host.package = None
    assert host.take_over() is None
    assert text(ownership.kept_at(host.binary)) == "theirs"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[main]\nexclude=kernel*\nx=1\n", "[main]\nexclude=kernel* nginx*\nx=1\n"),
        ("[main]\nexcludepkgs = a,\n  b\nx=1\n", "[main]\nexcludepkgs = a,\n  b nginx*\nx=1\n"),
        ("", "[main]\nexclude=nginx*\n"),
    ],
)
def test_what_yum_excludes_already_stays(tmp_path, monkeypatch, before, after):
    host = Host(tmp_path, monkeypatch, "rpm")
    put(host.yum, before)
    host.take_over()
    assert text(host.yum) == after
    assert nginx_package.is_held(host.binary, host.run)


def test_sites_that_ours_would_not_include(tmp_path):
    etc = str(tmp_path / "nginx")
    conf = put(
        etc + "/nginx.conf",
        "http {\n include %s/conf.d/*.conf;\n include sites-enabled/*; # include no.conf;\n}\n" % etc,
    )
    put(etc + "/conf.d/mine.conf", "server { server_name mine.test; }")
    put(etc + "/no.conf", "server { server_name no.test; }")
    two = "server {\n  server_name shop.test www.shop.test;\n}\nserver { server_name shop.test; }"
    put(etc + "/sites-enabled/shop", two)
    put(etc + "/sites-enabled/bare", "server { listen 81; include ../nginx.conf; }")
    assert nginx_package.sites(conf, stays=etc + "/conf.d/.*") == [
        "without a name (%s/sites-enabled/bare)" % etc,
        "shop.test, www.shop.test (%s/sites-enabled/shop)" % etc,
    ]


def check(host, conf, allowed=False):
    return {
        "kind": "nginx",
        "variable": "nginx_take_over",
        "allowed": allowed,
        "binary": host.binary,
        "conf": conf,
        "bundle": "nginx",
        "files": [conf],
        "unmarked": [],
    }


def test_the_question(host, tmp_path):
    conf, warned = put(tmp_path / "nginx.conf", "http { server { server_name shop.test; } }"), []
    tools = host_checks.Tools(host.run, warned.append)
    (problem,) = host_checks.problems([check(host, conf)], tools)
    said = str(problem)
    cure = {"dpkg": "apt-get purge --autoremove nginx", "rpm": "yum remove nginx"}[host.manager]
    for part in ("nginx_take_over: ", "of the package nginx 1.2", conf, "shop.test", cure, "nginx_take_over: true"):
        assert part in said, said
    assert host_checks.problems([check(host, conf, True)], tools) == []
    assert "nginx is taken over: " in warned[0]
    # Published before: not a word, and no package manager is asked.
    nginx_package.remember(nginx_artifact.sha256(host.binary))
    put(os.path.join(ownership.STATE_DIR, "nginx/manifest.json"), json.dumps({"files": {conf: "d"}}))
    del host.calls[:], warned[:]
    for allowed in (True, False):
        assert host_checks.problems([check(host, conf, allowed)], tools) == []
    assert (host.calls, warned) == ([], [])
