"""The doors of the import and the doctor: what they write, refuse and say."""

import builtins
import json

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader

from ansible_collections.graceful.wsgi.plugins.action import doctor, import_stack

HOSTVARS = {"inventory_hostname": "old1"}


@pytest.fixture
def copied(tmp_path):
    """A folder of files that stands for a host."""
    root = tmp_path / "copied"
    (root / "etc/nginx/conf.d").mkdir(parents=True)
    (root / "srv/app").mkdir(parents=True)
    server = "server { listen 80; location / { include uwsgi_params; uwsgi_pass 127.0.0.1:5051; } }"
    (root / "etc/nginx/conf.d/a.conf").write_text(server)
    ini = "[uwsgi]\nmodule = app\nmaster = true\nsocket = 127.0.0.1:5051\nenv = A=hunter2\n"
    (root / "srv/app/app.ini").write_text(ini)
    return root


def action(kind, **args):
    task = Task()
    task.args, task.async_val, task.action = args, 0, "x"
    connection = connection_loader.get("local", PlayContext(), "/dev/null")
    connection._shell.tmpdir = "/tmp"
    return kind.ActionModule(task, connection, PlayContext(), DataLoader(), None, None)


def test_a_folder_is_written_as_an_inventory_that_only_its_owner_reads(copied, tmp_path, capsys):
    result = action(import_stack, files=str(copied), dir=str(tmp_path / "infra")).run(task_vars=HOSTVARS)
    written = tmp_path / "infra/copied.yml"
    assert result["changed"] and result["inventory"] == str(written) and "1 of 1 locations" in result["summary"]
    assert written.stat().st_mode & 0o777 == 0o600 and "hunter2" in written.read_text()
    assert "hunter2" not in (tmp_path / "infra/copied.md").read_text() + capsys.readouterr().out + json.dumps(result)
    assert [row["choices"] for row in result["questions"]]


def test_what_is_there_is_overwritten_only_where_that_is_said(copied, tmp_path):
    args = {"files": str(copied), "dir": str(tmp_path)}
    (tmp_path / "copied.yml").write_text("mine")
    with pytest.raises(AnsibleActionFail, match="is there already; name another import_dir, or set import_overwrite"):
        action(import_stack, **args).run(task_vars=HOSTVARS)
    assert (tmp_path / "copied.yml").read_text() == "mine"
    action(import_stack, **args, overwrite=True).run(task_vars=HOSTVARS)
    assert "publish_apps" in (tmp_path / "copied.yml").read_text()


def test_a_folder_with_nothing_of_it_and_one_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    cases = ((tmp_path, "neither nginx nor uWSGI was found"), (tmp_path / "no", "import_files: there is no"))
    for folder, said in cases:
        with pytest.raises(AnsibleActionFail, match=said):
            action(import_stack, files=str(folder), dir=str(tmp_path)).run(task_vars=HOSTVARS)


@pytest.mark.parametrize("kind", [import_stack, doctor])
def test_a_missing_parser_says_what_to_install(kind, copied, tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **more):
        if name.startswith("crossplane"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(AnsibleActionFail, match="pip install ngxparse"):
        action(kind, files=str(copied), **({} if kind is doctor else {"dir": str(tmp_path)})).run(task_vars=HOSTVARS)


def test_the_doctor_fails_where_something_is_serious_and_says_it_as_asked(copied, tmp_path):
    assert action(doctor, files=str(copied)).run(task_vars=HOSTVARS)["failed"] is False
    (copied / "srv/app/app.ini").write_text("[uwsgi]\nmodule = app\nhttp = 127.0.0.1:5051\n")
    file = tmp_path / "found.json"
    result = action(doctor, files=str(copied), format="json", file=str(file)).run(task_vars=HOSTVARS)
    assert result["failed"] and not result["changed"] and "serious" in result["msg"]
    assert json.loads(file.read_text())["findings"] == result["findings"]
    assert result["findings"][0]["finding"] == "protocol"
    with pytest.raises(AnsibleActionFail, match="doctor_format"):
        action(doctor, files=str(copied), format="yaml").run(task_vars=HOSTVARS)


def test_what_a_host_tells_of_speakers_reaches_the_import(tmp_path, monkeypatch):
    told = {
        "files": {"/home/evil/a.ini": "[uwsgi]\nmodule = e\nuid = shop\n"},
        "speakers": {"/home/evil/a.ini": 1002},
        "readers": {},
        "accounts": {"1002": {"name": "evil", "groups": []}},
        "processes": [],
    }
    looked = {"kind": "missing"}

    def called(_self, _vars, look=(), **_args):
        return {"looked": dict.fromkeys(look, looked), "found": told}

    monkeypatch.setattr(import_stack.ReadsStack, "_called", called)
    result = action(import_stack, dir=str(tmp_path)).run(task_vars=HOSTVARS)
    assert any("evil says it" in row["how"] for row in result["questions"])
    assert "user: shop" not in (tmp_path / "old1.yml").read_text()


ODD = [
    (import_stack, {"files": ""}, "import_files: '' names nothing; name a folder"),
    (import_stack, {"files": None}, "import_files: None names nothing"),
    (import_stack, {"dir": " "}, "import_dir: ' ' names nothing"),
    (import_stack, {"dir": ["a"]}, r"import_dir: \['a'\] names nothing"),
    (import_stack, {"compare": ""}, "import_compare: '' names nothing"),
    (import_stack, {"ask": "perhaps"}, "import_ask: 'perhaps' is neither true nor false"),
    (import_stack, {"overwrite": "maybe"}, "import_overwrite: 'maybe' is neither"),
    (doctor, {"files": ""}, "doctor_files: '' names nothing"),
    (doctor, {"file": [1]}, r"doctor_file: \[1\] names nothing"),
    (doctor, {"paths": {"a": 1}}, "doctor_paths: {'a': 1} is no list"),
    (doctor, {"paths": None}, "doctor_paths: None is no list"),
    (doctor, {"paths": ["/etc/a", "relative"]}, "doctor_paths: 'relative' is no whole path"),
    (doctor, {"paths": ["/etc/a", 5]}, "doctor_paths: 5 is no whole path"),
]


@pytest.mark.parametrize(("kind", "odd", "told"), ODD, ids=[str(number) for number in range(len(ODD))])
def test_a_variable_that_says_nothing_is_refused_by_its_name(kind, odd, told, copied, tmp_path):
    args = {"files": str(copied), **({"dir": str(tmp_path / "out")} if kind is import_stack else {}), **odd}
    with pytest.raises(AnsibleActionFail, match=told):
        action(kind, **args).run(task_vars=HOSTVARS)
    assert not (tmp_path / "out").exists()


def test_the_doctor_of_nothing_finds_nothing_healthy(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(AnsibleActionFail, match="neither nginx nor uWSGI was found in"):
        action(doctor, files=str(tmp_path)).run(task_vars=HOSTVARS)
    with pytest.raises(AnsibleActionFail, match="doctor_files: there is no folder"):
        action(doctor, files=str(tmp_path / "no")).run(task_vars=HOSTVARS)


def test_what_cannot_be_written_is_told_with_its_place(copied, tmp_path):
    (tmp_path / "file").write_text("x")
    for kind, args in ((doctor, {"file": str(tmp_path)}), (import_stack, {"dir": str(tmp_path / "file")})):
        with pytest.raises(AnsibleActionFail, match="cannot be written .*name another place"):
            action(kind, files=str(copied), **args).run(task_vars=HOSTVARS)
