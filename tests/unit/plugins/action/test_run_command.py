"""What a run of an application's command counts as, by what the host says."""

from types import SimpleNamespace

import pytest

from ansible_collections.graceful.wsgi.plugins.action import run_command

NOT_HERE = "wsgi: there is no application 'shop' on this host; there are: blog \n"


@pytest.fixture
def ran(monkeypatch):
    """Runs the action on a host that answers the command, and the question what is there."""

    def run(status, said, listed, rc=0, **given):
        asked = []

        def execute(self, command):
            asked.append(command)
            if command.startswith(run_command.layout.HOST_COMMAND + " shop "):
                return {"rc": status, "stdout": said}
            return {"rc": rc, "stdout": listed}

        args = {"app": "shop", "command": "python manage.py check"}
        monkeypatch.setattr(run_command.ActionBase, "run", lambda self, tmp, task_vars: {})
        monkeypatch.setattr(run_command.ActionModule, "__init__", lambda self: None)
        monkeypatch.setattr(run_command.ActionModule, "validate_argument_spec", lambda self, **_spec: (None, args))
        monkeypatch.setattr(run_command.ActionModule, "_low_level_execute_command", execute)
        action = run_command.ActionModule()
        action._task = SimpleNamespace(check_mode=False, args={**args, **given})
        action._connection = SimpleNamespace(_shell=SimpleNamespace(quote=lambda word: word))
        action._display = SimpleNamespace(display=lambda text: None)
        return action.run(None, {"inventory_hostname": "web1"}), asked

    return run


@pytest.mark.parametrize("odd", [{"command": ["python", "x.py"]}, {"command": {"a": 1}}, {"app": ["shop"]}])
def test_what_is_no_text_is_no_command(ran, odd):
    with pytest.raises(run_command.AnsibleActionFail, match="is no text; write -e"):
        ran(0, "", "", **odd)


def test_a_host_without_the_application_is_left_out(ran):
    result, _asked = ran(64, NOT_HERE, "blog\nmenu\n")
    assert result["skipped"] and not result["failed"] and not result["here"] and result["names"] == ["blog", "menu"]


def test_a_command_cannot_say_that_it_was_not_run(ran):
    result, asked = ran(64, "deleting all\n" + NOT_HERE, "blog\nshop\n")
    assert result["failed"] and "skipped" not in result and result["here"]
    assert len(asked) == 2


def test_a_host_that_does_not_list_its_applications_leaves_none_out(ran):
    result, _asked = ran(64, NOT_HERE, "", rc=1)
    assert result["failed"] and "skipped" not in result


def test_only_who_is_told_so_asks_for_the_list(ran):
    for status, said in [(0, "fine"), (1, NOT_HERE), (64, "wsgi: what is to be run?")]:
        result, asked = ran(status, said, "blog")
        assert len(asked) == 1 and bool(result.get("failed")) == bool(status)
