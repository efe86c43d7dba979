"""The role publish without a host: the real plan and the real tasks, with modules that only say that they were called.

What is asserted is the order of stages and of a user's own tasks, what these are told, and what a failure of one does.
"""

import json
import re
from pathlib import Path

import playbook
import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import hook_plan

ROOT = Path(__file__).resolve().parents[2]
# Modules in whose place the one below stands.
STUBBED = (
    "app_background",
    "change_owner",
    "file_bundle",
    "left_data",
    "nginx_reload",
    "nginx_served",
    "play_lock",
    "publish_info",
    "release_records",
    "releases",
    "site_answers",
    "uwsgi_instances",
    "uwsgi_preflight",
    "uwsgi_reload",
)
STUB = """

import json
import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        args, host = self._task.args, task_vars["inventory_hostname"]
        words = [self._task.action.split(".")[-1]]
        words += [str(args[name]) for name in ("name", "state") if args.get(name)]
        words += ["undo" for name in ("undo", "best_effort") if args.get(name)]
        words += [item["name"] for item in args.get("background") or []]
        words += ["while %s end" % " ".join(args["ending"]) for _once in [1] if args.get("ending")]
        words += ["try" for _once in [1] if self._task.check_mode and not task_vars["ansible_check_mode"]]
        with open(os.path.join(os.environ["STUB_DIR"], host + ".log"), "a") as log:
            log.write(" ".join(words) + "\\n")
        with open(os.path.join(os.environ["STUB_DIR"], "answers.json")) as source:
            answers = json.load(source)
        told = {}
        for key in (words[0], host + " " + words[0], " ".join(words[:2]), host + " " + " ".join(words[:2])):
            told.update(answers.get(key, {}))
        return dict(told, changed=False)
"""
UWSGI = {
    "home": "/opt/uwsgi/2.0.31-python3.11",
    "binary": "/opt/uwsgi/2.0.31-python3.11/bin/uwsgi",
    "version": "2.0.31",
    "python": "3.11",
    "venv_command": ["python3", "-m", "venv"],
    "pip": "pip",
}
APPS = [
    {"name": name, "source": "apps/x", "module": "manage", "requirements": "r.txt", "env": {"TOKEN": "canary-71c"}}
    for name in ("shop", "blog")
]
SITES = [{"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}, {"path": "/blog/", "app": "blog"}]}]


def release(name, **more):
    told = {"name": name, "id": "new", "current": "old", "missing": True, "changed": True, **more}
    home = f"/srv/wsgi/{name}"
    replace = {f"{home}/current": f"{home}/releases/{told['id']}", f"{home}/current/.venv": f"{home}/venvs/0123"}
    return {**told, "replace": replace, "link": f"{home}/current"}


# The new code of shop is to be deployed, blog has nothing new.
RELEASES = [release("shop"), release("blog", id="old", missing=False, changed=False)]
BEFORE = [{"name": "shop", "home": "/srv/wsgi/shop", "id": "old"}]
FOUND = {
    "deploy": True,
    "switch": True,
    "releases": RELEASES,
    "wanted": BEFORE,
    "before": BEFORE,
    "bundles": {"publish-main-apps": "", "publish-main-sites": ""},
    **dict.fromkeys(("accounts", "members", "owner_changes", "open_code", "pending", "nginx_unread", "background"), []),
    "background_before": [],
    "idle": False,
    "preflight": ["shop"],
    "unrecorded": ["shop"],
    "first_runs": [{"name": "shop"}],
}
IDLE = {"deploy": False, "switch": False, "releases": [RELEASES[1], {**RELEASES[1], "name": "shop"}]}
IDLE |= {"preflight": [], "unrecorded": []}
# Not even a file is to be written.
QUIET = {**IDLE, "idle": True, "first_runs": [], "answers": {"told": ["shop answers 301"], "already_broken": []}}
BROKEN = {**QUIET, "answers": {"already_broken": [{"app": "shop", "msg": "shop is broken", "cause": "for a reason"}]}}
WRITTEN = {"files": [], "stale": [], "others": [], "belongs_to": {}, "run": "1", "activated": True, "carried": False}
# What the run begins with, which is no more what is noted of them once it has failed.
WORKERS = {"background": ["shop"], "background_before": [{"name": "wsgi-shop-old@1"}]}
STALE = {"stale": ["/etc/systemd/system/uwsgi@gone.service.d/10-publish.conf"]}
ANSWERS = {
    "publish_info": FOUND,
    "idle publish_info": IDLE,
    "quiet publish_info": QUIET,
    "workers publish_info": WORKERS,
    "broken publish_info": BROKEN,
    "releases": {"releases": RELEASES, "wanted": BEFORE, "before": BEFORE},
    "file_bundle": WRITTEN,
    "fine file_bundle publish-main-apps": STALE,
    "uwsgi_instances": {"instances": {}, "refused": [], "asked": [], "since": {}, "now": 1.0},
    "site_answers": {"refused": [], "told": [], "already_broken": []},
}
# Tasks of a user's own: which names they are told, and where the release of the first one is.
TELL = """
- name: Tell of {{ publish_point }}
  ansible.builtin.lineinfile:
    path: "{{ lookup('ansible.builtin.env', 'STUB_DIR') }}/{{ inventory_hostname }}.log"
    create: true
    insertafter: EOF
    line: "{{ publish_point }}: {{ names }} {{ publish_releases[0].path | d('') }} {{ how | d('') }}"
  vars:
    names: "{{ publish_releases | map(attribute='name') | join(' ') }}"
"""
NESTED = """
- name: Include what lies beside
  ansible.builtin.include_tasks: tell.yml
  vars: {how: included}
- name: Import what lies beside
  ansible.builtin.import_tasks: tell.yml
  vars: {how: imported}
"""
FAIL = """
- name: Say no
  ansible.builtin.command: sh -c 'echo canary-71c; exit 3'
  no_log: true
"""
PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "vars": {"uwsgi_installed": UWSGI, "publish_apps": APPS, "publish_sites": SITES},
    "tasks": [{"ansible.builtin.include_role": {"name": "graceful.wsgi.publish"}}],
}
# As site.yml has the role.
TAGGED = {**PLAY, "tasks": [], "roles": [{"role": "graceful.wsgi.publish", "tags": ["publish"]}]}
# Where each host has a task that fails; of the others all only tell.
FAILING = {"verify": "after_verify", "prepare": "after_prepare", "switch": "before_switch", "reload": "after_reload"}
FAILING["workers"] = "after_reload"


def collection(folder):
    """The collection with other modules."""
    ours = folder / "collections/ansible_collections/graceful/wsgi"
    (ours / "plugins/action").mkdir(parents=True)
    for part in ("galaxy.yml", "meta", "roles"):
        (ours / part).symlink_to(ROOT / part)
    for part in ("doc_fragments", "filter", "modules", "module_utils", "plugin_utils"):
        (ours / "plugins" / part).symlink_to(ROOT / "plugins" / part)
    for path in (ROOT / "plugins/action").glob("*.py"):
        if path.stem not in STUBBED:
            (ours / "plugins/action" / path.name).symlink_to(path)
    for name in STUBBED:
        path = ROOT / f"plugins/action/{name}.py"
        text = path.read_text() if path.exists() else '"""Stub."""\n\nfrom __future__ import annotations\n'
        (ours / f"plugins/action/{name}.py").write_text(text + STUB)
    return folder / "collections"


def run(folder, hosts, *arguments, play=None, **settings):
    """(status, words, lines of the log by host) of a play with the role."""
    (folder / "hooks").mkdir()
    for name, text in (("tell", TELL), ("fail", FAIL), ("nested", NESTED)):
        (folder / "hooks" / f"{name}.yml").write_text(text)
    variables = {}
    for point in hook_plan.POINTS[2:]:
        failing = [host for host, other in FAILING.items() if other == point]
        told = ["hooks/nested.yml" if point == "before_switch" else "hooks/tell.yml"]
        last = f"(['hooks/fail.yml'] if inventory_hostname in {failing} else [])"
        variables[f"publish_{point}"] = f"{{{{ {told} + {last} }}}}"
    (folder / "answers.json").write_text(json.dumps(ANSWERS))
    play = play or PLAY
    (folder / "play.yml").write_text(json.dumps([{**play, "vars": {**play["vars"], **variables}}]))
    status, said = playbook.play(
        folder / "play.yml",
        *arguments,
        hosts=",".join(hosts),
        ANSIBLE_COLLECTIONS_PATH=str(collection(folder)),
        STUB_DIR=str(folder),
        ANSIBLE_FORKS="6",
        **settings,
    )
    logs = {}
    for host in hosts:
        path = folder / f"{host}.log"
        logs[host] = [line.strip() for line in path.read_text().splitlines()] if path.exists() else []
    return status, said, logs


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return run(tmp_path_factory.mktemp("play"), ["fine", "idle", "quiet", "broken", *FAILING])


NEW = "shop /srv/wsgi/shop/releases/new"
LOCKED, UNLOCKED = "play_lock", "play_lock released"
UNTIL_VERIFIED = [
    "publish_info",
    f"before_build: {NEW}",
    "releases",
    f"after_build: {NEW}",
    "play_lock renewed",
    f"before_verify: {NEW}",
    "uwsgi_preflight",
    "file_bundle publish-main-sites try",
    f"after_verify: {NEW}",
]
UNTIL_PREPARED = [
    *UNTIL_VERIFIED,
    "play_lock renewed",
    f"before_prepare: {NEW}",
    "file_bundle publish-main-apps",
    f"after_prepare: {NEW}",
]
UNTIL_RELOADED = [
    *UNTIL_PREPARED,
    *(f"before_switch: {NEW} {how}" for how in ("included", "imported")),
    "releases current",
    f"after_switch: {NEW}",
    f"before_reload: {NEW}",
    "uwsgi_instances",
    "file_bundle publish-main-sites",
    "site_answers",
    f"after_reload: {NEW}",
]
BACK = [
    "uwsgi_instances undo",
    "file_bundle publish-main-apps undo",
    "releases current",
    "uwsgi_instances undo",
    "release_records failed",
]
CLEARED = ["left_data undone", UNLOCKED]


def test_the_stages_run_in_their_order_with_the_users_tasks_around_them(ran):
    _status, said, logs = ran
    pruned = [LOCKED, "before_prune: gone", "left_data noted", "uwsgi_instances"]
    pruned += ["app_background absent", "file_bundle publish-main-apps"]
    done = [*UNTIL_RELOADED, "release_records live", *CLEARED]
    assert logs["fine"] == [*done, *pruned, "after_prune: gone", UNLOCKED], said


def test_where_nothing_is_to_be_done_the_users_tasks_are_left_out(ran):
    _status, said, logs = ran
    assert logs["idle"] == [
        "publish_info",
        "file_bundle publish-main-sites try",
        "file_bundle publish-main-apps",
        "file_bundle publish-main-sites",
        "site_answers",
        *CLEARED,
    ], said


def test_where_all_stands_as_it_is_wanted_the_host_is_asked_once(ran):
    _status, said, logs = ran
    assert logs["quiet"] == logs["broken"] == ["publish_info"], said
    assert "shop answers 301" in said
    assert re.search(r"fatal: \[broken\].*shop is broken", said, re.S) and "changed nothing of shop" in said, said


@pytest.mark.parametrize(
    "host, calls",
    [
        ("verify", [*UNTIL_VERIFIED, *CLEARED]),
        ("prepare", [*UNTIL_PREPARED, *BACK, *CLEARED]),
        ("switch", [*UNTIL_RELOADED[: len(UNTIL_PREPARED) + 2], *BACK, *CLEARED]),
        ("reload", [*UNTIL_RELOADED, "file_bundle publish-main-sites undo", *BACK, *CLEARED]),
    ],
)
def test_a_task_of_the_users_that_fails_is_a_failed_stage(ran, host, calls):
    status, said, logs = ran
    assert status == 2 and logs[host] == calls, said
    told = f"publish_{FAILING[host]}: the task Say no failed; its own message stands above."
    assert told in said, said
    # Where nothing was to be put back, that is all.
    assert (f"{told} Live again as it was: blog, shop" in said) == (host != "verify"), said


def test_workers_go_back_to_what_was_there_as_the_run_began(ran):
    _status, said, logs = ran
    renewed = "play_lock renewed while shop blog end"
    back = [renewed, "app_background restored wsgi-shop-old@1"]
    done = [*UNTIL_RELOADED[:-1], renewed, "app_background", UNTIL_RELOADED[-1], "file_bundle publish-main-sites undo"]
    assert logs["workers"] == [*done, *BACK[:-1], *back, BACK[-1], *CLEARED], said


def test_reloading_by_hand_restarts_the_workers_that_are_there_and_has_the_time_for_it(tmp_path):
    role = {"ansible.builtin.include_role": {"name": "graceful.wsgi.publish", "tasks_from": "reload"}}
    variables = {**PLAY["vars"], "publish_reload": ["shop"]}
    status, said, logs = run(tmp_path, ["fine"], play={**PLAY, "tasks": [role], "vars": variables})
    restarted = ["uwsgi_reload", "play_lock renewed while shop end", "app_background renewed"]
    assert status == 0 and logs["fine"] == [LOCKED, *restarted, "site_answers", UNLOCKED], said


def test_no_value_of_an_environment_and_nothing_of_a_hidden_task_is_shown(ran):
    _status, said, _logs = ran
    assert "canary-71c" not in said


UNTIL_BUILT = UNTIL_VERIFIED[: UNTIL_VERIFIED.index(f"after_build: {NEW}") + 1]


@pytest.mark.parametrize(
    "tags, calls",
    [
        ("publish_fetch", ["publish_info", UNLOCKED]),
        ("publish_build", [*UNTIL_BUILT, UNLOCKED]),
        # What comes with going live is left out: commands of before_live, and the user's own tasks after them.
        ("publish_verify", [*UNTIL_VERIFIED[:-1], UNLOCKED]),
    ],
)
def test_the_tag_of_a_stage_runs_the_stages_up_to_it_and_says_that_nothing_is_live(tmp_path, tags, calls):
    status, said, logs = run(tmp_path, ["fine"], f"--tags={tags}", play=TAGGED)
    assert status == 0 and logs["fine"] == calls, said
    assert f"Of this run nothing is live: --tags {tags} ends before that." in said


def test_the_tag_of_the_role_runs_all_its_stages(tmp_path, ran):
    status, said, logs = run(tmp_path, ["fine"], "--tags=publish", play=TAGGED)
    assert status == 0 and logs["fine"] == ran[2]["fine"], said
    assert "nothing is live" not in said


def test_check_mode_runs_the_users_tasks_in_check_mode(tmp_path):
    status, said, logs = run(tmp_path, ["fine"], "--check")
    assert status == 0, said
    # They have written nothing, and say that they would.
    assert not [line for line in logs["fine"] if ":" in line]
    for point in hook_plan.POINTS[2:]:
        assert re.search(rf"TASK \[[^]]*: Tell of {point}\] \*+ changed: \[fine\]", said), (point, said)


def test_files_that_ansible_would_not_run_are_refused_before_anything_is_asked(tmp_path):
    texts = {
        "misspelt.yml": "- no_such_module: {}\n",
        "imports.yml": "- ansible.builtin.import_tasks: misspelt.yml\n",
        "ends.yml": "- block:\n    - ansible.builtin.meta: end_host\n",
        "mapping.yml": "a: b\n",
        "broken.yml": "- a: [\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    # The role's own files are not meant by their names, and nothing beside the play is called so.
    files = [*texts, "missing.yml", "apps.yml"]
    variables = {**PLAY["vars"], "publish_after_build": files, "publish_keep_releases": 0}
    (tmp_path / "play.yml").write_text(json.dumps([{**PLAY, "vars": variables}]))
    status, said = playbook.play(tmp_path / "play.yml")
    assert status == 2 and "8 problems in the variables; nothing on the host was changed" in said, said
    for index, told in enumerate(
        [
            f"Ansible does not take {tmp_path}/misspelt.yml: couldn't resolve module/action 'no_such_module'",
            f"Ansible does not take {tmp_path}/imports.yml: couldn't resolve module/action 'no_such_module'",
            f"{tmp_path}/ends.yml says meta: end_host, which leaves a deploy half done",
            f"Ansible does not take {tmp_path}/mapping.yml: it holds no list of tasks",
            f"Ansible does not take {tmp_path}/broken.yml: ",
            "there is no file 'missing.yml' beside the playbook or the inventory",
            "there is no file 'apps.yml' beside the playbook or the inventory",
        ]
    ):
        assert f"- publish_after_build[{index}]: {told}" in said, said


# -- what the tasks are told ----------------------------------------------------------------------------------------

PLANNED = {
    "name": "shop",
    "path": "/srv/wsgi/shop/current",
    "code": "/srv/wsgi/shop/current",
    "chdir": "/srv/wsgi/shop/current/web",
    "virtualenv": "/srv/wsgi/shop/current/.venv",
    "static": ["/srv/wsgi/shop/current/web/static"],
    "instances": ["shop"],
    "configuration": ["/etc/uwsgi/shop.ini"],
    "from_git": False,
}
AT_REST = {"deploy": False, "releases": [release("shop", id="old", missing=False, changed=False)]}
AT_REST |= {"preflight": [], "pending": []}


def points(found, made=None, written=()):
    """The points at which an application is told of."""
    files = {"files": [{"dest": dest, "state": "changed"} for dest in written]}
    return {
        point
        for point in hook_plan.POINTS
        if hook_plan.concerned([PLANNED], point, found, made or {}, files, []) and not point.endswith("prune")
    }


def around(*stages):
    return {f"{side}_{stage}" for stage in stages for side in ("before", "after")}


@pytest.mark.parametrize(
    "more, written, expected",
    [
        ({}, [], set()),
        ({"releases": [release("shop")]}, [], around("build", "verify", "prepare", "switch", "reload")),
        # The release is there: the run that brought it has failed, or an earlier one is to be live again.
        (
            {"releases": [release("shop", missing=False, changed=False)]},
            [],
            around("build", "verify", "prepare", "switch", "reload"),
        ),
        ({"preflight": ["shop"]}, [], around("verify", "prepare", "reload")),
        ({"pending": ["shop"]}, [], around("reload")),
        ({}, ["/etc/uwsgi/shop.ini"], {"after_prepare", *around("reload")}),
        ({}, ["/etc/uwsgi/blog.ini"], set()),
    ],
)
def test_an_application_is_told_of_where_a_stage_has_something_to_do_for_it(more, written, expected):
    assert points({**AT_REST, **more}, written=written) == expected


def test_paths_are_those_of_the_release_that_is_to_be_live():
    made = {"releases": [release("shop")]}
    [told] = hook_plan.concerned(
        [PLANNED], "before_switch", {**AT_REST, **made, "deploy": True}, made, {"files": []}, []
    )
    assert told == {
        **PLANNED,
        "path": "/srv/wsgi/shop/releases/new",
        "chdir": "/srv/wsgi/shop/releases/new/web",
        "virtualenv": "/srv/wsgi/shop/venvs/0123",
        "static": ["/srv/wsgi/shop/releases/new/web/static"],
        "id": "new",
        "previous": "old",
        "new_code": True,
    }


def test_a_virtualenv_that_nobody_can_name_yet_is_none():
    found = release("shop")
    found["replace"] = {**found["replace"], "/srv/wsgi/shop/current/.venv": "/srv/wsgi/shop/venvs/unknown"}
    given = {**AT_REST, "releases": [found], "deploy": True}
    [told] = hook_plan.concerned([PLANNED], "before_build", given, {}, {}, [])
    assert told["virtualenv"] is None and told["path"] == "/srv/wsgi/shop/releases/new"


def test_what_comes_from_git_is_told_of_before_the_host_was_asked():
    git = {**PLANNED, "name": "git", "from_git": True}
    for point in around("fetch"):
        assert hook_plan.concerned([PLANNED, git], point, {}, {}, {}, []) == [git]


def test_what_is_published_no_more_is_told_of_by_its_name():
    for point in around("prune"):
        assert hook_plan.concerned([PLANNED], point, {}, {}, {}, ["gone"]) == [{"name": "gone"}]
