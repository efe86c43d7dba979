"""The file of the controller that all hosts of a play write what they tell into."""

import json
import threading
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.graceful.wsgi.plugins.action import status
from ansible_collections.graceful.wsgi.plugins.action.status import caches, merged


def test_hosts_that_write_at_once_lose_nothing_of_each_other(tmp_path):
    path, hosts = tmp_path / "status.json", [f"web{number}" for number in range(12)]
    threads = [threading.Thread(target=merged, args=(path, host, {"is": host}, hosts)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(path.read_text()) == {host: {"is": host} for host in hosts}
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_what_a_host_told_that_is_asked_no_more_goes(tmp_path):
    path = tmp_path / "status.json"
    path.write_text(json.dumps({"old": 1, "web1": 1, "web2": 1}))
    merged(path, "web1", 2, ["web1", "web2"])
    assert json.loads(path.read_text()) == {"web1": 2, "web2": 1}


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(AnsibleActionFail, match="holds no JSON"):
        merged(path, "web1", 2, ["web1"])
    assert path.read_text() == "mine"


def test_what_the_controller_keeps_for_hosts_is_told_by_role(tmp_path):
    path = tmp_path / "artifacts" / "1.30.6-0123456789ab"
    path.mkdir(parents=True)
    (path / "nginx").write_text("x" * 9000)
    told = {"version": "1.30.6", "about": {"flags": []}, "files": {"nginx": "0"}}
    (path / "manifest.json").write_text(json.dumps(told))
    [held] = caches({"nginx": str(path.parent), "uwsgi": str(tmp_path / "none"), "other": None})
    assert (held["of"], held["folder"], held["kept"]) == ("nginx", str(path.parent), 1) and held["bytes"] >= 9000


@pytest.mark.parametrize("odd", [["a"], 5, {"a": 1}, "/"])
def test_a_file_that_is_none_is_refused_before_a_host_is_asked(odd, monkeypatch):
    monkeypatch.setattr(status.ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(status.ActionModule, "__init__", lambda self: None)
    action = status.ActionModule()
    action._task = SimpleNamespace(args={"file": odd, "format": "text"})
    with pytest.raises(AnsibleActionFail, match="status_file: .* is no file that can be written"):
        action.run(None, {})
