"""Who runs a play, and whether another one that did is gone."""

import os
import subprocess
import sys

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import play_identity


def told(pid):
    return {"machine": play_identity.machine(), "pid": pid, "started": play_identity._started(pid)}


def test_sudo_is_told_by_who_called_it(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ada")
    assert play_identity.who().startswith("ada@")
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "eve")
    assert play_identity.who().startswith("eve@")


def test_an_account_without_a_name_is_its_number(monkeypatch):
    monkeypatch.delenv("SUDO_USER", raising=False)

    def no_name():
        raise KeyError

    monkeypatch.setattr(play_identity.getpass, "getuser", no_name)
    assert play_identity.who().startswith(f"{os.getuid()}@")


def test_a_process_of_this_machine_is_gone_once_it_has_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as run:
        holder = told(run.pid)
        assert not play_identity.is_gone(holder)
        # The pid is another process's by now.
        assert play_identity.is_gone({**holder, "started": "1"})
        run.communicate(b"\n")
    assert play_identity.is_gone(holder)


def test_of_another_machine_nothing_is_known():
    assert not play_identity.is_gone({"machine": "elsewhere", "pid": 2**22 + 1, "started": "1"})


@pytest.mark.parametrize("key", ["by", "machine", "pid", "started"])
def test_a_holder_says_who_it_is(key):
    assert play_identity.holder()[key]
