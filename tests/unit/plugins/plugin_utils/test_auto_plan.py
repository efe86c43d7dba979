"""What the plan and the hosts are told of `requirements: auto`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playbook import play

from ansible_collections.graceful.wsgi.plugins.plugin_utils import auto_plan, pep508_markers, uv_plan
from ansible_collections.graceful.wsgi.plugins.plugin_utils.auto_default import Sources
from ansible_collections.graceful.wsgi.plugins.plugin_utils.downloads import uv_wheel
from ansible_collections.graceful.wsgi.plugins.plugin_utils.lock_files import LockError
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import Found, Step, choose

LOCKS = Path(__file__).parent / "locks"
LOCK = Found("uv.lock", steps=[Step(["flask==3 --hash=sha256:aa"], True)], python=pep508_markers.of_python(">=3.10"))
NOTHING = choose(["app.py"], {})


def settle(told, python="3.11", **more):
    app = {"name": "shop", "requirements": "auto", "virtualenv": None, **more}
    problems = Problems()
    apps, notes = auto_plan.settle([app], {} if told is None else {"shop": told}, python, problems)
    return apps[0]["requirements"], notes, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (LOCK, "auto"),
        (None, "auto"),
        (Found("requirements.txt", "requirements.txt"), "requirements.txt"),
        (Found("pyproject.toml", ["."]), ["."]),
    ],
)
def test_plan_knows_what_code_on_the_controller_needs(told, wanted):
    assert settle(told) == (wanted, [], [])


def test_nothing_found_is_no_virtualenv_and_told_by_the_variable():
    wanted, notes, problems = settle(NOTHING)
    assert (wanted, problems) == (None, [])
    assert notes[0].startswith("publish_apps[0].requirements: shop: none of uv.lock, ")


def test_virtualenv_of_the_users_own_comes_before_auto():
    assert settle(LOCK, virtualenv="/srv/venv") == (None, [], [])


def test_lock_is_refused_with_a_kit_and_what_can_be_stated_is_stated_before():
    problems = Problems()
    app = {"name": "shop", "requirements": "auto", "virtualenv": None}
    auto_plan.settle([app], {"shop": LOCK}, "3.11", problems, Sources(kit=True))
    assert [str(problem) for problem in problems] == [
        "publish_apps[0].requirements: a kit has no wheels for uv.lock; export it to a requirements file with the tool "
        "that wrote it, and name that file"
    ]
    listed = Found("pyproject.toml", ["flask"])
    for told, said in ((LOCK, "auto"), (NOTHING, "auto"), (LockError("", ""), "auto"), (listed, ["flask"])):
        others = ["no app", {"name": []}, {}]
        assert auto_plan.stated([app, *others], {"shop": told}) == [{**app, "requirements": said}, *others]


def test_what_is_stated_is_left_alone():
    assert settle(LOCK, requirements=["flask"])[0] == ["flask"]


def test_lock_that_cannot_be_installed_and_lock_for_another_python_are_refused():
    assert settle(LockError("it is broken", "mend it"))[2] == ["publish_apps[0].requirements: it is broken; mend it"]
    told = settle(LOCK, "3.9")[2][0]
    assert 'uv.lock is for another Python (python_version >= "3.10"), and the host\'s is 3.9; lock anew' in told
    with pytest.raises(LockError, match="the host's is 3.9"):
        auto_plan.resolved({"name": "shop"}, LOCK, "3.9")


@pytest.mark.parametrize(
    ("found", "requirements", "steps"),
    [(LOCK, None, 1), (Found("requirements.txt", "requirements.txt"), "requirements.txt", None), (NOTHING, None, 0)],
)
def test_item_of_a_host_says_auto_no_more(found, requirements, steps):
    item = auto_plan.resolved({"name": "shop", "requirements": "auto"}, found)
    assert item["requirements"] == requirements
    assert (None if item["auto"] is None else len(item["auto"]["steps"])) == steps
    assert "steps" not in (auto_plan.light(item)["auto"] or {})
    assert not auto_plan.is_auto(item)


def test_code_that_is_not_there_yet_has_a_virtualenv_that_is_not_there_either():
    item = auto_plan.resolved({"name": "shop", "requirements": "auto"}, None)
    assert (item["requirements"], item["auto"]["digest"]) == (None, "unknown")


def test_releases_are_told_what_auto_stands_for(tmp_path):
    """Code on the controller, and code on the host, whose account reads it."""
    for name in ("sent", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Pipfile.lock").write_text((LOCKS / "pipenv" / "Pipfile.lock").read_text())
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "requirements.txt").write_text("flask\n")
    home = {"home": str(tmp_path / "home"), "group": "root", "requirements": "auto"}
    items = [
        {"name": "sent", "source": str(tmp_path / "sent"), **home},
        {"name": "there", "path": str(tmp_path / "there"), **home},
        {"name": "plain", "path": str(tmp_path / "plain"), **home},
        {"name": "later", "path": str(tmp_path / "later"), **home},
        {"name": "fetched", "repo": "https://git.test/x", **home},
    ]
    task = {"graceful.wsgi.releases": {"releases": items, "python": "3.11"}, "check_mode": True, "register": "told"}
    copy = {"ansible.builtin.copy": {"content": "{{ told | to_json }}", "dest": str(tmp_path / "told")}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task, copy]}]))
    status, said = play(tmp_path / "play.yml")
    assert status == 0, said
    told = {item["name"]: item for item in json.loads((tmp_path / "told").read_text())["wanted"]}
    digest = told["sent"]["auto"]["digest"]
    assert told["sent"]["auto"] == {"file": "Pipfile.lock", "digest": digest, "local": False}
    assert told["there"]["auto"] == told["sent"]["auto"]
    assert (told["plain"]["auto"], told["plain"]["requirements"]) == (None, "requirements.txt")
    assert {told[name]["auto"]["digest"] for name in ("later", "fetched")} == {"unknown"}


UV = {"publish_uv": True, "publish_uv_version": uv_plan.VERSION, "publish_uv_checksums": {}}
UWSGI = {"uwsgi_wheel_dir": "", "uwsgi_pip_no_index": False}


@pytest.mark.parametrize(
    ("values", "uwsgi", "host", "wheel"),
    [
        ({}, {}, {}, ""),
        ({"publish_uv": False}, {}, {}, None),
        ({}, {}, {"arch": "riscv64"}, None),
        ({}, {"uwsgi_pip_no_index": True}, {}, None),
        ({}, {}, {"kit": {"collecting": False}}, None),
        (
            {},
            {"uwsgi_pip_no_index": True, "uwsgi_wheel_dir": "/w"},
            {"wheels": {"files": [uv_wheel(uv_plan.VERSION, "x86_64")]}},
            f"/w/{uv_wheel(uv_plan.VERSION, 'x86_64')}",
        ),
    ],
)
def test_uv_is_had_where_it_serves_and_something_brings_it(values, uwsgi, host, wheel):
    values, host = {**UV, **values}, {"arch": "x86_64", **host}
    assert uv_plan.check(values, host) == []
    told = uv_plan.plan(values, {**UWSGI, **uwsgi}, host)
    assert (told and told.wheel) == wheel
    assert not told or told.requirement.endswith(f"--hash=sha256:{told.sha256}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"publish_uv_version": "1.0"}, "publish_uv_version: no sha256 is known for uv-1.0-x86_64; set publish_uv_che"),
        ({"publish_uv_version": "latest"}, "publish_uv_version: 'latest' is no version; write it in quotes"),
        ({"publish_uv_checksums": {"uv-1.0": "a" * 64}}, "publish_uv_checksums.uv-1.0: is no name of a release"),
        ({"publish_uv_checksums": {"uv-1.0-x86_64": "a"}}, "publish_uv_checksums.uv-1.0-x86_64: 'a' is no sha256"),
    ],
)
def test_uv_that_cannot_be_checked_is_refused(values, message):
    problems = uv_plan.check({**UV, **values}, {"arch": "x86_64"})
    assert [str(problem)[: len(message)] for problem in problems] == [message]


def test_uv_of_another_release_is_had_by_its_checksum():
    values = {**UV, "publish_uv_version": "1.0", "publish_uv_checksums": {"uv-1.0-x86_64": "A" * 64}}
    assert uv_plan.check(values, {"arch": "x86_64"}) == []
    told = uv_plan.plan(values, UWSGI, {"arch": "x86_64"})
    assert told and told.sha256 == "a" * 64
