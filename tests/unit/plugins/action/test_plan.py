"""What the controller side of the plan looks up before the pure plan is asked."""

import json
import os
import shutil

import pytest

from ansible_collections.graceful.wsgi.plugins.action import plan
from ansible_collections.graceful.wsgi.plugins.module_utils import constraints
from ansible_collections.graceful.wsgi.plugins.plugin_utils import lock_files

TASK_VARS = {
    "groups": {"backends": ["one", "two"], "empty": [], "other": ["one"]},
    "hostvars": {
        "one": {"ansible_host": "10.0.0.1", "publish_upstream_weight": 3},
        "two": {"publish_upstream_backup": True},
    },
}


def test_a_groups_hosts_by_address_or_name_with_what_they_say_themselves():
    found = plan._groups(TASK_VARS, {"publish_upstreams": [{"group": "backends"}, {"group": "empty"}]})
    assert found == {
        "": ["backends", "empty", "other"],
        "backends": [{"address": "10.0.0.1", "weight": 3}, {"address": "two", "backup": True}],
        "empty": [],
    }


@pytest.mark.parametrize("upstreams", [None, "x", ["x"], [{}], [{"group": 1}], [{"group": "nobody"}]])
def test_what_is_wrong_is_left_to_the_plan(upstreams):
    assert list(plan._groups(TASK_VARS, {"publish_upstreams": upstreams})) == [""]


def test_requirements_files_on_the_controller_are_read(tmp_path):
    (tmp_path / "r.txt").write_text("flask\ngevent\n")
    app = {"name": "a", "source": str(tmp_path), "requirements": "r.txt"}
    assert plan._requirements([app]) == {"a": ["flask", "gevent"]}


@pytest.mark.parametrize(
    "apps",
    [
        None,
        "x",
        ["x", None, {}],
        [{"name": "a", "source": "/nonexistent", "requirements": "r.txt"}],
        [{"name": "a", "source": "/", "requirements": ["gevent"]}],
        [{"name": "a", "path": "/", "requirements": "etc/hostname"}],
        [{"name": 1, "source": 2, "requirements": 3}],
    ],
)
def test_what_is_no_such_file_is_not_known(apps):
    assert plan._requirements(apps) == {}


def found(path):
    return path


def test_the_roles_own_constraints_are_upper_bounds_and_nothing_else():
    for given in (None, "auto"):
        texts = plan._constraints(given, found)
        assert sorted(texts) == ["2.7", "3.6"]
        for text in texts.values():
            lines = [line for line in text.splitlines() if not line.startswith("#")]
            # What requirements leave of them is all of them.
            assert constraints.effective(lines, "") == lines
            assert {"pip", "flask", "gevent", "flask-socketio", "python-engineio"} <= {
                constraints.key(line.partition("<")[0]) for line in lines
            }


def test_a_file_of_constraints_holds_for_every_python(tmp_path):
    (tmp_path / "c.txt").write_text("flask<2\n")
    assert plan._constraints(str(tmp_path / "c.txt"), found) == {"*": "flask<2\n"}
    assert plan._constraints(str(tmp_path / "no.txt"), found) == {"*": None}
    assert plan._constraints("", found) == {} == plan._constraints(["x"], found)


@pytest.mark.parametrize(
    ("told", "hidden"),
    [
        ({"preflights": [{"environment": {}}], "releases": [{"repo": "https://git.test/me/x.git"}]}, False),
        ({"preflights": [{"environment": {"A": "1"}}]}, True),
        ({"releases": [{"repo": "https://me:pw@git.test/x.git"}]}, True),
        ({"pip_env": {"PIP_INDEX_URL": "https://t0ken@i.test/simple"}}, True),
        ({"urls": ["http://a", "b@c"], "conf": "http://unix:/run/a@1.sock"}, False),
    ],
)
def test_a_plan_with_a_secret_in_it_is_shown_to_nobody(told, hidden):
    assert plan._confidential(told) is hidden


@pytest.mark.parametrize(
    "registered, roles",
    [
        ([], []),
        # Made again where more is known: it has changed nothing.
        (["__nginx_planned", "__publish_planned"], []),
        (["__nginx_files", "__publish_found"], ["nginx", "publish"]),
        (["__publish_sites_written"], ["publish"]),
    ],
)
def test_earlier_roles_are_those_that_may_have_changed_something(registered, roles):
    assert plan._earlier(dict.fromkeys(registered)) == roles


def test_what_auto_stands_for_is_looked_up_in_folders_and_archives_of_the_controller(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "requirements.txt").write_text("flask")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "code")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "uv.lock").write_text("=")
    apps = [
        {"name": "folder", "source": str(tmp_path / "code"), "requirements": "auto"},
        {"name": "archive", "archive": str(tmp_path / "packed.zip"), "requirements": "auto"},
        {"name": "excluded", "source": str(tmp_path / "code"), "requirements": "auto", "exclude": ["*.txt"]},
        {"name": "broken", "source": str(tmp_path / "broken"), "requirements": "auto"},
        {"name": "own", "source": str(tmp_path / "code"), "requirements": "auto", "virtualenv": "/v"},
    ]
    told = plan._auto(apps, None, found)
    broken = told.pop("broken")
    assert {name: one.requirements for name, one in told.items()} == {
        "folder": "requirements.txt",
        "archive": "requirements.txt",
        "excluded": None,
    }
    assert "uv.lock cannot be read" in str(broken)


@pytest.mark.parametrize(
    "app",
    [
        None,
        {},
        {"name": []},
        {"name": "a"},
        {"name": "a", "source": "/nonexistent"},
        {"name": "a", "source": 3},
        {"name": "a", "source": "/", "exclude": 3, "archive": ["x"]},
        {"name": "a", "repo": "https://git.test/x"},
        {"name": "a", "path": "/"},
    ],
)
def test_auto_of_what_is_not_there_or_wrong_is_left_to_others(app):
    app = {**app, "requirements": "auto"} if isinstance(app, dict) else app
    told = plan._auto([app], 3, found)
    assert {name: type(one) for name, one in told.items()} in ({}, {"a": lock_files.LockError})


def test_what_is_old_in_a_cache_is_known_to_the_plan_where_somebody_builds_for_hosts(tmp_path):
    name = "1.28.3-0123456789ab"
    (tmp_path / name).mkdir()
    (tmp_path / name / "nginx").write_text("x")
    told = {"version": "1.28.3", "about": {"flags": []}, "files": {"nginx": "0"}}
    (tmp_path / name / "manifest.json").write_text(json.dumps(told))
    os.utime(tmp_path / name / "manifest.json", (1, 1))
    asked = {"nginx_build_host": "localhost", "nginx_cache_keep": 0, "nginx_cache_days": "30"}
    assert plan._old("nginx", asked, str(tmp_path)) == [name]
    for name, other in (("build_host", ""), ("cache_keep", 1), ("cache_days", 0), ("cache_days", "x")):
        assert plan._old("nginx", {**asked, f"nginx_{name}": other}, str(tmp_path)) == []
    assert plan._old("nginx", asked, None) == plan._old("nginx", {}, str(tmp_path)) == []
