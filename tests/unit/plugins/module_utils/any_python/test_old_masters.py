"""The uWSGI of an existing stack: what is found of it, and what starts it."""

import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import adopting, old_masters, procfs, stack_files

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


# -- whose it is -------------------------------------------------------------------------------------------------------

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes processes and files of other accounts")
LISTENER = """
import socket, sys
link = socket.socket()
link.bind((sys.argv[1], int(sys.argv[2])))
link.listen(5)
print(link.getsockname()[1])
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def listener(monkeypatch):
    """Starts a process of an account that listens; its pid and port. Each counts as a uWSGI, of no unit."""
    monkeypatch.setattr(old_masters, "is_uwsgi", lambda pid: pid != os.getpid())
    monkeypatch.setattr(old_masters, "_unit_of", lambda pid, run: "")
    made = []

    def start(uid, host="127.0.0.1", port=0):
        def drop():
            os.setgid(uid)
            os.setuid(uid)

        words = ["/usr/bin/python3", "-c", LISTENER, host, str(port)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        made.append(subprocess.Popen(words, preexec_fn=drop, **pipes))
        return made[-1].pid, int(made[-1].stdout.readline())

    yield start
    for one in made:
        one.communicate()


def app(port, **more):
    given = {"name": "a", "addresses": ["127.0.0.1:%d" % port], "units": [], "programs": []}
    return dict(given, protocol="uwsgi", host="a.test", **more)


@as_root
def test_another_accounts_listener_beside_is_not_the_old_application(listener):
    pid, port = listener(61001)
    listener(61002, "127.0.0.2", port)
    [found] = old_masters.find([app(port)], None)
    assert found["pid"] == pid


@as_root
def test_whoever_has_taken_the_place_meanwhile_does_not_count(listener, monkeypatch):
    pid, port = listener(61001)
    old = dict(about(who={"uid": 61001}), address="127.0.0.1:%d" % port, protocol="uwsgi", host="a.test", status=200)
    assert old_masters.serving(old, None) == [pid] and old_masters.start(old, None) == []
    evil = dict(old, who={"uid": 61002})
    assert old_masters.serving(evil, None) == []
    started = []
    monkeypatch.setattr(old_masters, "_spawn", started.append)
    monkeypatch.setattr(adopting, "_status", lambda about: 200)
    assert old_masters.start(evil, None) and started == [evil]
    assert adopting._is_up(old, None) and not adopting._is_up(evil, None)


@as_root
def test_of_a_unit_only_what_runs_in_it_counts(listener, monkeypatch):
    _pid, port = listener(61001)
    old = dict(about(who={"uid": 61001}, kind="systemd", unit="a.service"), address="127.0.0.1:%d" % port)
    for unit, count in (("a.service", 1), ("", 0), ("b.service", 0)):
        monkeypatch.setattr(old_masters, "_unit_of", lambda pid, run, unit=unit: unit)
        assert len(old_masters.serving(old, None)) == count


def test_a_connection_leads_to_any_address_too_and_not_to_another():
    here, there = socket.socket(), socket.socket()
    here.bind(("127.0.0.2", 0))
    port = here.getsockname()[1]
    here.listen(1)
    assert old_masters.listening("127.0.0.1:%d" % port) == set()
    assert len(old_masters.listening("127.0.0.2:%d" % port)) == 1
    assert old_masters.listening("127.0.0.2:%d" % port, [os.geteuid()]) and not old_masters.listening(
        "127.0.0.2:%d" % port, [61009]
    )
    there.bind(("0.0.0.0", 0))
    there.listen(1)
    for host in ("127.0.0.1", "127.0.0.9", "localhost", "*"):
        assert len(old_masters.listening("%s:%d" % (host, there.getsockname()[1]))) == 1
    for one in (here, there):
        one.close()


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"), reason="without IPv6")
@pytest.mark.parametrize("bound", ["::1", "::"])
def test_an_address_of_ipv6_is_read(bound):
    link = socket.socket(socket.AF_INET6)
    try:
        link.bind((bound, 0))
    except (IOError, OSError):
        # A container without a loopback address of IPv6; what stands in the table is read the same for any other.
        bound = "::"
        link.bind((bound, 0))
    link.listen(1)
    assert len(old_masters.listening("127.0.0.1:%d" % link.getsockname()[1])) == 1
    assert len(old_masters.listening("[::1]:%d" % link.getsockname()[1])) == 1
    assert len(old_masters.listening("127.0.0.2:%d" % link.getsockname()[1])) == (1 if bound == "::" else 0)
    link.close()


@pytest.mark.parametrize(
    ("group", "unit"),
    [
        ("0::/system.slice/a.service\n", "a.service"),
        ("0::/system.slice/a.service/inner\n", "a.service"),
        ("0::/system.slice/a.service/db.service\n", "a.service"),
        ("3:cpu:/db.service\n1:name=systemd:/system.slice/a.service\n0::/db.service\n", "a.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/db.service\n", "user@1000.service"),
        ("0::/user.slice/db.service\n", ""),
        ("0::/\n", ""),
    ],
)
def test_a_unit_is_that_of_systemds_own_group_and_not_of_a_name(group, unit, monkeypatch):
    theirs = "/user.slice/user-1000.slice/user@1000.service"
    groups = {"a.service": "/system.slice/a.service", "db.service": "/system.slice/db.service"}
    groups["user@1000.service"] = theirs
    monkeypatch.setattr(procfs, "read", lambda path: group.encode("ascii"))
    monkeypatch.setattr(old_masters, "program", lambda name: name)
    assert old_masters._unit_of(7, lambda words: (0, "ControlGroup=%s\n" % groups[words[-1]], "")) == unit


@pytest.mark.parametrize(
    ("given", "who", "why"),
    [
        ({}, 61001, None),
        ({"user": "nobody-has-this", "group": "nobody-has-this"}, 61001, None),
        ({"user": "root"}, 61001, "would run as root, and the old one runs as 61001; user: leave it out"),
        ({"user": "daemon"}, 61001, "would run as daemon"),
        ({"user": "daemon"}, 1, None),
        ({"group": "daemon"}, 61001, "in the group daemon"),
        # What root started has every right already.
        ({"user": "daemon", "group": "daemon"}, 0, None),
    ],
)
def test_no_application_gets_the_rights_of_an_account_that_its_files_name(given, who, why):
    said = old_masters.other_rights(dict({"name": "a"}, **given), {"uid": who, "gid": who, "groups": []})
    assert said is why is None or why in said


@as_root
def test_the_account_is_looked_at_before_anything_is_moved(listener):
    _pid, port = listener(61001)
    with pytest.raises(old_masters.StackError, match="would run as daemon"):
        old_masters.find([app(port, user="daemon")], None)


@pytest.fixture
def roots():
    """A folder of root's in which a file is another account's."""
    made = tempfile.mkdtemp(dir="/var/lib")
    os.chmod(made, 0o755)
    path = os.path.join(made, "hers")
    with open(path, "w") as out:
        out.write("#!/bin/sh\n")
    os.chmod(path, 0o755)
    os.chown(path, 61001, 61001)
    yield path
    shutil.rmtree(made)


@as_root
def test_a_file_of_another_account_is_not_roots_in_a_folder_of_roots_either(roots, monkeypatch):
    with pytest.raises(adopting.AdoptError, match="belongs to 61001; have it belong to root"):
        adopting._checked([{"path": roots, "sha256": "", "content": ""}])
    nginx = {"pid": 7, "kind": "nginx", "parent": 1, "command": ["nginx: master process nginx"]}
    monkeypatch.setattr(stack_files, "processes", lambda: [nginx])
    monkeypatch.setattr(procfs, "executable", lambda pid: roots)
    with pytest.raises(adopting.AdoptError, match="belongs to 61001; root runs nothing"):
        adopting.Nginx(None)
    assert "belongs to 61001" in old_masters.cannot_return(about(kind="supervisor", file=roots))
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    monkeypatch.setattr(old_masters.safe_path, "untrusted_target", lambda path: "it is hers")
    with pytest.raises(old_masters.StackError, match="no supervisorctl that is root's alone"):
        old_masters._supervisorctl(None, "stop", about(program="a"))


def test_what_nginx_does_not_read_is_no_ground_for_a_plan(monkeypatch):
    nginx = {"pid": 7, "kind": "nginx", "parent": 1, "command": ["nginx: master process nginx -c /etc/n/nginx.conf"]}
    monkeypatch.setattr(stack_files, "processes", lambda: [nginx])
    monkeypatch.setattr(procfs, "executable", lambda pid: "/bin/true")
    monkeypatch.setattr(adopting.safe_path, "untrusted_target", lambda path: None)
    adopting.Nginx(None).reads("/etc/n/nginx.conf")
    for other in ("/home/evil/nginx.conf", ""):
        with pytest.raises(adopting.AdoptError, match="reads /etc/n/nginx.conf, and"):
            adopting.Nginx(None).reads(other)


@as_root
def test_a_setuid_program_is_no_master_of_nginxs():
    def as_if():
        os.setresuid(61001, 0, 0)

    title = "nginx: master process x -c /home/evil/nginx.conf"
    for begin, count in ((as_if, 0), (None, 1)):
        one = subprocess.Popen([title, "60"], executable="/bin/sleep", preexec_fn=begin)
        try:
            assert len([about for about in stack_files.processes() if about["pid"] == one.pid]) == count
        finally:
            one.kill()
            one.wait()
