"""What docs/guide/failures.md quotes is what the code says."""

import re

import documents
import plans
import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    log_files,
    missing_modules,
    nginx_loading,
    play_lock,
    request_log,
    safe_path,
    served_checks,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

PAGE = (documents.GUIDE / "failures.md").read_text()
BLOCKS = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TEXTS = [line for block in BLOCKS for line in block.splitlines()]
ROOT_FOLDER = "/root (root:root, mode 0700)"


def quoted(start):
    """The line of a block that begins so."""
    [found] = [line for line in TEXTS if line.startswith(start)]
    return found


def test_another_run():
    note = {"set": "main", "by": "ada@laptop", "pid": 21945, "since": 1795910978, "silent": 7}
    assert quoted("another run works") == play_lock.refusal(note, 0)
    assert f"{play_lock.LEASE // 60} minutes" in PAGE and "this run has lost its lock of" in PAGE
    assert f"sudo rm {play_lock.FOLDER}/set-main.json" in PAGE


def test_a_port_of_nginx_that_is_taken():
    text = "\n".join(TEXTS)
    assert nginx_loading._hint("(98: Address already in use)").strip() in text
    [line] = [line for line in TEXTS if "[emerg]" in line]
    assert nginx_loading._hint(line)


def test_a_port_that_two_applications_have():
    app = {"source": "/x", "module": "manage", "requirements": ["Flask"], "socket": "127.0.0.1:5051"}
    given = {"publish_apps": [{"name": "shop", **app}, {"name": "blog", **app}]}
    roles = {role: given if role == "publish" else {} for role in planning.PLANNERS}
    _plans, problems = planning.plan(plans.SPECS, roles, {**plans.DEBIAN, "role": "publish"})
    assert [str(problem) for problem in problems] == [quoted("publish_apps[1].socket")]


def test_a_log_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(log_files, "_may_write", lambda who, path, found, folder: False)
    monkeypatch.setattr(log_files, "_account", lambda user, group: None)
    message, cure = log_files.problem(str(tmp_path / "shop.log"), "wsgi-shop", "wsgi-shop")
    told = f"publish_apps[0].log: {message}; {cure}".replace(str(tmp_path), "/var/closed")
    assert told == quoted("publish_apps[0].log")


def test_a_folder_that_nginx_cannot_pass(monkeypatch):
    told = {"lacks": "search", "at": "/root"}
    monkeypatch.setattr(served_checks, "_shown", lambda path: ROOT_FOLDER)
    monkeypatch.setattr(safe_path, "as_account", lambda who, call: told)
    found = served_checks.problem({"user": "nginx", "groups": []}, "/root/files")
    assert "publish_sites[0].locations[1].static: {}; {}".format(*found) == quoted("publish_sites[0]")


@pytest.mark.parametrize(
    "name, about",
    [("mange", {"module": "mange"}), ("flask", {"module": "manage", "requirements": "requirements.txt"})],
)
def test_a_module_that_is_missing(name, about):
    hint = missing_modules.hint(name, about, {"own": False, "lists": [], "projects": []})
    [told] = [one for one in re.findall(r"the hint `(.*?)…`", PAGE) if hint.startswith(one.rstrip("… "))]
    assert len(told) > 30


@pytest.mark.parametrize(
    "said",
    [
        "TypeError: app() missing 2 required positional arguments",
        "TypeError: 'coroutine' object is not iterable",
        "TypeError: create_app() takes 0 positional arguments but 2 were given",
    ],
)
def test_what_wsgi_cannot_call(said):
    fault = request_log.callable_fault(said, "manage:app")
    assert [one for one in re.findall(r"`… (.*?)`", PAGE) if f" {one}" in fault]
