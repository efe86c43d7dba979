"""The uWSGI of an existing stack: what is found of it, and what starts it."""

import os
import socket

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import adopting, old_masters

PROGRAMS = """[supervisord]
[program:other]
autostart=true
[program:site]
command=uwsgi --ini a.ini
autostart = true
user=ada
"""


def test_one_program_of_supervisors_is_no_more_started_by_itself():
    text = old_masters.without_autostart(PROGRAMS, "site")
    assert text == PROGRAMS.replace("[program:site]\n", "[program:site]\nautostart=false\n").replace(
        "autostart = true\n", ""
    )


def test_who_listens_is_found_by_the_kernels_tables(tmp_path):
    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    path = str(tmp_path / "s")
    link = socket.socket(socket.AF_UNIX)
    link.bind(path)
    address = "127.0.0.1:%d" % port.getsockname()[1]
    assert old_masters.listening(address) == old_masters.listening("unix:" + path) == set()
    port.listen(1)
    link.listen(1)
    for one, where in ((port, address), (link, "unix:" + path)):
        [inode] = old_masters.listening(where)
        assert os.readlink("/proc/self/fd/%d" % one.fileno()) == "socket:[%s]" % inode
        # Whoever listens there is no uWSGI.
        assert old_masters.holders(where) == []
        one.close()


def test_an_application_that_nobody_runs_is_not_moved():
    with pytest.raises(old_masters.StackError, match="no uWSGI listen at 127.0.0.1:1"):
        old_masters.find([{"name": "a", "addresses": ["127.0.0.1:1"], "units": [], "programs": []}], None)


def about(**more):
    found = {"app": "a", "kind": "hand", "who": {"uid": 1000}, "pid": 7, "words": ["/opt/uwsgi", "a.ini"], "file": ""}
    return dict(found, **more)


def test_what_could_not_be_had_back_is_refused():
    assert old_masters.cannot_return(about()) is None
    assert "runs as root" in old_masters.cannot_return(about(who={"uid": 0}))
    assert "put a title" in old_masters.cannot_return(about(words=["my site"]))
    assert old_masters.cannot_return(about(who={"uid": 0}, kind="systemd")) is None


def test_a_state_is_kept_and_forgotten(tmp_path):
    state = adopting.State(str(tmp_path / "adopt"))
    assert state.about == {}
    state.write(phase="moved")
    assert os.stat(state.path).st_mode & 0o777 == 0o600
    assert adopting.State(state.home).about == {"phase": "moved"}
    state.forget()
    assert adopting.State(state.home).about == {}


def test_a_file_that_changed_since_it_was_read_is_not_written(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text(u"new")
    with pytest.raises(adopting.AdoptError, match="has changed since it was read|have it belong to root"):
        adopting._checked([{"path": str(path), "sha256": "0", "content": ""}])
