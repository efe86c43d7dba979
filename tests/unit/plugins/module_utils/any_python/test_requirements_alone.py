"""A release of an application without code of its own (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys

import pytest

# What is tested of releases besides needs the same folders and accounts.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_releases import GROUP, Builders, owners, root  # noqa: F401

from ansible_collections.graceful.wsgi.plugins.module_utils.releases import Home
from ansible_collections.graceful.wsgi.plugins.module_utils.requirements_alone import is_alone, told


def alone(root, name="r1", **more):  # noqa: F811
    wanted = {"name": "echo", "home": os.path.join(root, "echo"), "group": GROUP, "path": None, "exclude": []}
    return Home(dict(wanted, id=name, requirements=["httpbin==0.10.2"], **more), "3.11")


def test_release_without_code_is_an_empty_folder_with_its_virtualenv(root):  # noqa: F811
    one, run = alone(root), Builders()
    assert one.missing and one.incomplete
    one.make()
    assert not one.missing and os.listdir(one.release) == []
    assert one.fill(run, ["mkvenv"], "", []) is True
    assert run.calls[-1][-1] == "httpbin==0.10.2"
    assert one.switch() is True
    assert one.current == "r1" and os.readlink(os.path.join(one.release, ".venv")) == one.venv()["path"]
    assert one.switch() is False


def test_earlier_releases_without_code_are_kept_and_pruned_as_others(root):  # noqa: F811
    for name in ("r1", "r2", "r3", "r4"):
        one = alone(root, name)
        one.make()
        one.fill(Builders(), ["mkvenv"], "", [])
        one.switch()
        one.prune(2)
    assert sorted(os.listdir(one.releases)) == ["r3", "r4"]


def test_release_to_go_back_to_is_never_made_of_nothing(root):  # noqa: F811
    gone = Home(dict(alone(root).wanted, requirements=None, pinned=True), "3.11")
    with pytest.raises(TypeError):
        gone.make()
    assert gone.missing


@pytest.mark.parametrize(
    "item, wanted",
    [
        ({"requirements": ["six"]}, True),
        ({"requirements": ["six"], "repo": None, "path": ""}, True),
        ({"requirements": ["six"], "path": "/p"}, False),
        ({"requirements": []}, False),
        ({"requirements": "auto"}, False),
        ({}, False),
    ],
)
def test_requirements_are_alone_as_a_list_with_no_code(item, wanted):
    assert is_alone(item) is wanted


def test_history_shows_no_secret_of_a_list():
    lines = ["--index-url https://me:pw-canary@i.test/simple", "six==1", "x @ https://me:pw-canary@h.test/x.whl?t=canary"]
    assert told(lines) == "six==1, x @ https://h.test/x.whl"
