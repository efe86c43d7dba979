"""Where the files of `requirements: auto` are looked for, on whichever machine the code lies."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files


def put(root, *names):
    for name in names:
        path = os.path.join(root, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, "w") as target:
            target.write(name)


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def test_the_first_lock_and_the_project_are_read(root):
    put(root, "poetry.lock", "Pipfile.lock", "requirements.txt", "pyproject.toml", "src/shop/app.py", "docs/uv.lock")
    told = auto_files.read(root)
    assert told["texts"] == {"poetry.lock": "poetry.lock", "pyproject.toml": "pyproject.toml"}
    assert "src/shop" in told["names"] and "docs/uv.lock" not in told["names"]


def test_a_requirements_file_is_named_and_not_read(root):
    put(root, "requirements.txt")
    assert auto_files.read(root) == {"names": ["requirements.txt"], "texts": {}}


def test_what_is_excluded_is_not_there(root):
    put(root, "uv.lock", "requirements.txt")
    assert auto_files.read(root, ["*.lock"]) == {"names": ["requirements.txt"], "texts": {}}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_refused_and_not_waited_for(root, make):
    make(os.path.join(root, "uv.lock"))
    with pytest.raises((auto_files.AutoFileError, EnvironmentError)):
        auto_files.read(root)


def test_a_file_that_is_larger_than_any_lock_is_refused(root, monkeypatch):
    put(root, "uv.lock")
    monkeypatch.setattr(auto_files, "LARGEST", 3)
    with pytest.raises(auto_files.AutoFileError):
        auto_files.read(root)


def test_code_that_is_not_there_is_told_as_such(root):
    with pytest.raises(EnvironmentError):
        auto_files.read(os.path.join(root, "none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks as another account")
def test_code_whose_account_keeps_root_waiting_is_told_as_such(tmp_path, monkeypatch):
    class Home:
        who = {"uid": 61001, "gid": 61001, "groups": []}
        code = str(tmp_path)
        wanted = {"exclude": ()}

    monkeypatch.setattr(auto_files, "SECONDS", 0.2)
    monkeypatch.setattr(auto_files, "read", lambda *_args: time.sleep(60))
    with pytest.raises(auto_files.AutoFileError) as error:
        auto_files.of_home(Home)
    assert "cannot be read" in str(error.value) and "took over" in str(error.value)


def test_a_link_within_the_code_is_followed_and_one_that_leads_out_is_refused(tmp_path):
    code, other = str(tmp_path / "shop"), str(tmp_path / "shop-other")
    put(code, "locks/uv.lock")
    put(other, "uv.lock")
    os.symlink("locks/uv.lock", os.path.join(code, "uv.lock"))
    assert auto_files.read(code)["texts"] == {"uv.lock": "locks/uv.lock"}
    # The code itself may be behind a link, as that of a release is.
    os.symlink(code, str(tmp_path / "current"))
    assert auto_files.read(str(tmp_path / "current"))["texts"] == {"uv.lock": "locks/uv.lock"}
    os.unlink(os.path.join(code, "uv.lock"))
    os.symlink("../shop-other/uv.lock", os.path.join(code, "uv.lock"))
    with pytest.raises(auto_files.AutoFileError) as error:
        auto_files.read(code)
    assert "leads out of the code" in str(error.value) and "requirements" in str(error.value)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="what was opened is told by Linux")
def test_what_was_opened_counts_where_a_link_changes_meanwhile(tmp_path, monkeypatch):
    code, other = str(tmp_path / "shop"), str(tmp_path / "other")
    put(code, "uv.lock")
    put(other, "uv.lock")
    opened = auto_files.open_regular
    theirs = os.path.join(other, "uv.lock")
    monkeypatch.setattr(auto_files, "open_regular", lambda _path, **more: opened(theirs, **more))
    with pytest.raises(auto_files.AutoFileError):
        auto_files.read(code)


class FakeHome:
    who, wanted = None, {"exclude": []}

    def __init__(self, code):
        self.code = code


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are meant")
def test_code_of_roots_where_others_put_files_is_not_read_as_root(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(auto_files, "as_account", lambda who, call, *_more: asked.append(who["uid"]) or call())
    monkeypatch.setattr(auto_files, "untrusted", lambda path: "it belongs to deploy")
    code = str(tmp_path / "shop")
    put(code, "uv.lock")
    assert auto_files.of_home(FakeHome(code))["texts"] == {"uv.lock": "uv.lock"}
    monkeypatch.setattr(auto_files, "untrusted", lambda path: None)
    auto_files.of_home(FakeHome(code))
    os.chown(code, 1234, 1234)
    auto_files.of_home(FakeHome(code))
    assert asked == [65534, 0, 1234]
