"""Where code cannot lie."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import place_plan

UWSGI = {"uwsgi_unit_options": {}, "uwsgi_hardening": True}


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("/", "whole file system"),
        ("//", "whole file system"),
        ("/srv/..", "whole file system"),
        ("/tmp", "PrivateTmp"),
        ("/tmp/x", "PrivateTmp"),
        ("/var/tmp/wsgi/", "PrivateTmp"),
        ("/run/wsgi", "over a boot"),
        ("/dev/shm/wsgi", "over a boot"),
    ],
)
def test_a_root_in_which_nothing_stays_is_refused(root, words):
    problems = []
    place_plan.check_root(root, problems)
    [problem] = problems
    assert problem.path == "publish_root" and words in problem.message and "/srv/wsgi" in problem.hint


@pytest.mark.parametrize("root", ["/srv", "/srv/wsgi", "/home/x", "/tmpfs", "/opt/tmp", "/var/lib/tmp"])
def test_any_other_root_is_taken(root):
    problems = []
    place_plan.check_root(root, problems)
    assert problems == []


def refused(path="", virtualenv=None, options=(), **uwsgi):
    problems = []
    app = {"path": path, "virtualenv": virtualenv, "service_options": dict(options)}
    place_plan.check_path(app, "publish_apps[0]", {**UWSGI, **uwsgi}, problems)
    return [problem.path for problem in problems]


def test_code_that_is_everything_or_out_of_sight_is_refused():
    for path in ("/", "//", "/tmp/x", "/var/tmp/shop/"):
        assert refused(path) == ["publish_apps[0].path"], path
        assert refused("/srv/x", path) == ["publish_apps[0].virtualenv"], path
    for path in ("", "/srv/shop", "/tmpfs/x", "relative"):
        assert refused(path, path) == []


def test_code_in_tmp_is_taken_where_the_instance_sees_it():
    assert refused("/tmp/x", options={"PrivateTmp": False}) == []
    assert refused("/tmp/x", uwsgi_unit_options={"PrivateTmp": "no"}) == []
    assert refused("/tmp/x", uwsgi_hardening=False) == []
    assert refused("/tmp/x", options={"PrivateTmp": True}, uwsgi_hardening=False) == ["publish_apps[0].path"]
    assert refused("/", options={"PrivateTmp": False}) == ["publish_apps[0].path"]
