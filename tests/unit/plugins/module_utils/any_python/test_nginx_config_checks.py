# -*- coding: utf-8 -*-
"""What files that the plan does not write do to what it writes."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, nginx_config_checks

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="files count that are root's")


@pytest.fixture(autouse=True)
def _roots_own(monkeypatch):
    """A file of root's counts as such, whatever folder the tests run in."""

    def judge(path):
        return "another's" if os.stat(path).st_uid else None

    monkeypatch.setattr(nginx_config_checks.safe_path, "untrusted_target", judge)


PROXY = """# as a distribution has it
proxy_set_header Host $http_host;
proxy_set_header "X-Tenant" "a;b{";
if ($a) { proxy_set_header X-Inner 1; }
"""


def told(checks):
    return [str(problem) for problem in host_checks.problems(checks, host_checks.Tools(None))]


def included(tmpdir, text, own=None, outer=None, lost=(), name="snippets/*.conf"):
    tmpdir.mkdir("snippets").join("a.conf").write(text)
    check = {"kind": "included", "variable": "v", "home": str(tmpdir), "include": name}
    return told([dict(check, own=own or {}, outer=outer or {}, lost=list(lost))])


def test_what_would_be_sent_twice_is_refused(tmpdir):
    (problem,) = included(tmpdir, PROXY, {"proxy_set_header": ["host", "x-real-ip"]})
    assert "a.conf says proxy_set_header of host, which the location says too" in problem
    assert "options.proxy_set_header" in problem


def test_what_no_location_would_send_is_refused(tmpdir):
    (problem,) = included(tmpdir, PROXY, lost=["proxy_set_header"])
    assert "proxy_set_header of host, x-tenant, and the locations say their own" in problem


def test_what_the_site_says_and_the_file_would_take_away_is_refused(tmpdir):
    (problem,) = included(tmpdir, "add_header X-One 1;", {}, {"add_header": ["x-frame-options", "x-one"]})
    assert "a.conf says add_header, by which nginx leaves out those of the site: x-frame-options" in problem


def test_what_stands_beside_is_fine(tmpdir):
    own = {"proxy_set_header": ["x-real-ip", "x-inner"]}
    assert included(tmpdir, PROXY, own, {"proxy_set_header": ["x-real-ip"]}) == []


def test_a_file_that_includes_another_is_read_with_it(tmpdir):
    tmpdir.join("proxy_params").write(PROXY)
    (problem,) = included(tmpdir, "include proxy_params;", {"proxy_set_header": ["host"]})
    assert "proxy_params says" in problem


def test_a_file_that_is_not_there_or_not_roots_tells_nothing(tmpdir):
    own = {"proxy_set_header": ["host"]}
    assert included(tmpdir, PROXY, own, name="none.conf") == []
    os.chown(str(tmpdir.join("snippets", "a.conf")), 65534, 65534)
    check = {"kind": "included", "variable": "v", "home": str(tmpdir), "include": "snippets/a.conf"}
    assert told([dict(check, own=own, outer={}, lost=[])]) == []


def test_what_is_not_nginx_s_is_no_error():
    assert nginx_config_checks.parsed("} a { b 'c") == [(["a"], [])]


SERVER = "server {\n    server_name x;\n    listen 80;\n    listen [::]:80;\n%s    return 444;\n}\n"


@pytest.mark.parametrize(
    ("said", "listen", "fine"),
    [
        ("", "80", False),
        ("    merge_slashes off;\n", "[::]:80", True),
        ("    merge_slashes on;\n", "80", False),
        ("", "81", True),
    ],
)
def test_another_sets_server_at_the_same_port(tmpdir, said, listen, fine):
    tmpdir.join("publish-base.conf").write(SERVER % said)
    tmpdir.join("publish-own.conf").write(SERVER % "")
    own = str(tmpdir.join("publish-own.conf"))
    check = {"kind": "first_server", "variable": "v", "folder": str(tmpdir), "own": own, "listen": listen}
    problems = told([dict(check, name="merge_slashes", value="off")])
    assert bool(problems) != fine
    assert (
        fine
        or "publish-base.conf of another set stands at %s too; say it in nginx_conf_options" % listen in problems[0]
    )
