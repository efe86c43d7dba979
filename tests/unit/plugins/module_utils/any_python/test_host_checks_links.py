"""What nginx will not follow on the way to a folder of files, as the host's own links tell."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
NOBODY = 65534


def asked(path):
    checks = [{"kind": "static_link", "variable": "publish_sites[0].locations[0].static", "path": str(path)}]
    return [str(problem) for problem in host_checks.problems(checks, host_checks.Tools(None))]


def test_a_link_of_roots_to_anothers_folder_is_refused_with_the_folder(tmpdir):
    folder = tmpdir.mkdir("real").mkdir("www")
    os.chown(str(folder), NOBODY, NOBODY)
    os.symlink(str(folder), str(tmpdir.join("link")))
    problems = asked(tmpdir.join("link", "css"))
    assert len(problems) == 1
    assert "publish_sites[0].locations[0].static: " in problems[0]
    assert "write %s/css" % folder in problems[0]
    assert "chown -h" in problems[0]


@pytest.mark.parametrize("owner", [0, NOBODY])
def test_links_among_one_owners_are_fine(tmpdir, owner):
    folder = tmpdir.mkdir("real")
    os.chown(str(folder), owner, owner)
    os.symlink(str(folder), str(tmpdir.join("link")))
    os.lchown(str(tmpdir.join("link")), owner, owner)
    assert asked(tmpdir.join("link")) == []


def test_anothers_link_does_not_stop_root(tmpdir):
    os.symlink("/etc", str(tmpdir.join("link")))
    os.lchown(str(tmpdir.join("link")), NOBODY, NOBODY)
    assert asked(tmpdir.join("link", "nginx")) == []
    assert asked(tmpdir.join("missing", "folder")) == []
