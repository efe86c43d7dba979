"""Which pidfiles are believed; none of these tests may end in a signal (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_master as code
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import load
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_master import Master, MasterError, read_pidfile

KILL = os.kill


def end(process):
    """End a process of the tests' own, past the watch on os.kill."""
    KILL(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    """What was signalled, which is nothing in any test that does not ask for it."""
    sent = []
    monkeypatch.setattr(code.os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(code.os, "killpg", lambda pid, number: sent.append((pid, number)))
    return sent


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    if process.poll() is None:
        end(process)


@pytest.fixture
def pidfile(tmpdir):
    return tmpdir / "pid"


def refused(path, call=Master):
    with pytest.raises(MasterError) as error:
        call(str(path))
    return str(error.value)


HOSTILE = {
    "empty": ("", "is empty"),
    "a newline": ("\n", "is empty"),
    "blanks": ("  \n", "is empty"),
    "garbage": ("garbage\n", "not one number"),
    "zero": ("0\n", "holds 0"),
    "zeros": ("000\n", "holds 0"),
    "one": ("1\n", "holds 1"),
    "minus one": ("-1\n", "not one number"),
    "plus": ("+7\n", "not one number"),
    "too large": ("99999999\n", "larger than any pid"),
    "huge": ("9" * 20, "larger than any pid"),
    "two numbers": (" 7 8\n", "not one number"),
    "blank before": (" 7\n", "not one number"),
    "two lines": ("7\n8\n", "not one number"),
    "windows": ("7\r\n", "not one number"),
    "hex": ("0x7\n", "not one number"),
    "very long": ("7" * 5000, "not one number"),
    "a number and more": ("7" + " " * 4000 + "8", "not one number"),
    "null bytes": ("7\0\0", "not one number"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_content(pidfile, signals, name):
    text, why = HOSTILE[name]
    pidfile.write(text)
    said = refused(pidfile)
    assert why in said
    assert str(pidfile) in said
    assert len(said) < 500
    assert signals == []


@pytest.mark.parametrize("text", ["%d", "%d\n", "0%d\n"])
def test_one_number_is_read(pidfile, text):
    pidfile.write(text % os.getpid())
    assert read_pidfile(str(pidfile))[0] == os.getpid()


def test_bytes_that_are_no_text(pidfile):
    pidfile.write_binary(b"\xff\xfe7\n")
    assert "not one number" in refused(pidfile)


def test_missing(pidfile, tmpdir):
    assert "no such pidfile" in refused(pidfile)
    (tmpdir / "file").write("x")
    assert "no such pidfile" in refused(tmpdir / "file" / "pid")


def test_a_symlink_even_to_a_good_one(pidfile, tmpdir):
    (tmpdir / "real").write(str(os.getpid()))
    os.symlink(str(tmpdir / "real"), str(pidfile))
    assert "is a symlink" in refused(pidfile)


def test_a_symlink_to_nowhere(pidfile, tmpdir):
    os.symlink(str(tmpdir / "none"), str(pidfile))
    assert "is a symlink" in refused(pidfile)


def test_a_folder(pidfile):
    pidfile.mkdir()
    assert "is a folder" in refused(pidfile)


def test_a_fifo_is_not_waited_for(pidfile):
    os.mkfifo(str(pidfile))
    started = time.time()
    assert "not a regular file" in refused(pidfile)
    assert time.time() - started < 1


def test_a_device():
    assert "not a regular file" in refused("/dev/zero")


def test_pid_of_nobody(pidfile, sleeper, signals):
    pidfile.write(str(sleeper.pid))
    end(sleeper)
    assert "is stale" in refused(pidfile)
    assert signals == []


def test_a_zombie_is_nobody(pidfile):
    process = subprocess.Popen(["true"])
    while procfs.alive(process.pid):
        time.sleep(0.01)
    pidfile.write(str(process.pid))
    assert "is stale" in refused(pidfile)
    process.wait()


def test_pid_of_a_sleep(pidfile, sleeper, signals):
    pidfile.write(str(sleeper.pid))
    said = refused(pidfile)
    assert "pid %d (sleep 60, uid %d), which is no uWSGI" % (sleeper.pid, os.getuid()) in said
    assert "no signal was sent" in said
    assert sleeper.poll() is None
    assert signals == []


def test_pid_of_the_test_itself(pidfile, signals):
    pidfile.write(str(os.getpid()))
    assert "which is no uWSGI" in refused(pidfile)
    assert signals == []


def test_a_sleep_that_calls_itself_uwsgi(pidfile, signals):
    words = [sys.executable, "-c", "import os; os.execv('/bin/sleep', ['uwsgi', '60'])"]
    process = subprocess.Popen(words)
    try:
        while procfs.words(process.pid)[:1] != ["uwsgi"]:
            time.sleep(0.01)
        pidfile.write(str(process.pid))
        assert "which is no uWSGI" in refused(pidfile)
    finally:
        end(process)
    assert signals == []


class Host:
    """A uWSGI in /proc, made up: master 7000 with workers 7001 and 7002, its configuration in a real file."""

    def __init__(self, tmpdir, pidfile, monkeypatch):
        self.pidfile, self.tmpdir = pidfile, tmpdir
        self.ini = tmpdir / "app.ini"
        self.ini.write("[uwsgi]\nmaster = true\npidfile = %s\n" % pidfile)
        words = ["/opt/uwsgi/bin/uwsgi", "--ini", str(self.ini)]
        self.words = {7000: words, 7001: words, 7002: words}
        self.parents = {7000: 1, 7001: 7000, 7002: 7000}
        self.programs = {}
        self.uid = os.getuid()
        self.started = time.time() - 100
        self.starts = {}
        self.environment = {}
        pidfile.write("7000\n")
        monkeypatch.setattr(code, "_largest_pid", lambda: 1 << 22)
        for name, value in {
            "alive": lambda pid: pid in self.words,
            "process_start": lambda pid: self.starts.get(pid, 5) if pid in self.words else None,
            "started_at": lambda pid: self.started if pid in self.words else 0.0,
            "ids": lambda pid: {"uid": self.uid, "gid": 0, "groups": []} if pid in self.words else None,
            "executable": lambda pid: self.programs.get(pid, "/opt/uwsgi/bin/uwsgi") if pid in self.words else None,
            "folder": lambda pid: "/",
            "environment": lambda pid: self.environment,
            "words": lambda pid: self.words.get(pid, []),
            "parent": lambda pid: self.parents.get(pid),
            "children": lambda pid: set(child for child, above in self.parents.items() if above == pid),
        }.items():
            monkeypatch.setattr(code.procfs, name, value)


@pytest.fixture
def host(tmpdir, pidfile, monkeypatch):
    return Host(tmpdir, pidfile, monkeypatch)


def test_a_proven_master(host, pidfile, signals):
    master = Master(str(pidfile))
    assert (master.pid, master.workers(), master.config_path) == (7000, set([7001, 7002]), str(host.ini))
    master.signal(signal.SIGHUP)
    assert signals == [(7000, signal.SIGHUP)]


def test_a_pidfile_that_others_may_write_is_believed_as_far_as_the_proof_goes(host, pidfile):
    os.chmod(str(pidfile), 0o666)
    assert Master(str(pidfile)).pid == 7000


def test_a_worker_in_its_masters_place(host, pidfile, signals):
    pidfile.write("7001\n")
    assert "which is a worker of pid 7000" in refused(pidfile)
    assert signals == []


def test_a_worker_with_a_title(host, pidfile):
    host.words.update({7000: ["uWSGI master"], 7001: ["uWSGI worker 1"], 7002: ["uWSGI worker 2"]})
    pidfile.write("7001\n")
    assert "which is a worker of pid 7000" in refused(pidfile)


def test_no_master_mode(host, pidfile):
    host.parents = {7000: 1}
    assert "which has no workers" in refused(pidfile)


@pytest.mark.parametrize(
    ("said", "at_rest", "found"),
    [
        ("master = true", True, True),
        ("master = true", False, False),
        ("master = false", True, False),
        ("", True, False),
    ],
)
def test_a_master_at_rest(host, pidfile, said, at_rest, found):
    """A cheap one, or one that loads its code just now, is none to be signalled, but it is one."""
    host.parents = {7000: 1}
    host.ini.write("[uwsgi]\n%s\npidfile = %s\n" % (said, pidfile))
    if found:
        assert Master(str(pidfile), at_rest=at_rest).workers() == set()
    else:
        assert "which has no workers" in refused(pidfile, lambda path: Master(path, at_rest=at_rest))


FRESH, RELOADED = {"PWD": "/"}, {"PWD": "/", "UWSGI_RELOADS": "0"}


@pytest.mark.parametrize(
    ("environment", "config", "bound", "workers", "changed"),
    [
        # Seconds from the master's start.
        (FRESH, -5, None, 0, False),
        (FRESH, 5, None, 0, True),
        (FRESH, 5, 1, 0, True),
        (RELOADED, -5, None, 60, False),
        (RELOADED, 5, None, 60, None),
        (RELOADED, 65, None, 60, True),
        (RELOADED, 5, 59, 60, False),
        (RELOADED, 65, 59, 70, True),
        # What a title was written over tells nothing.
        ({}, 5, None, 60, None),
        ({}, -5, None, 60, False),
        # A socket from before is another's.
        (FRESH, -5, -10, 0, False),
        (RELOADED, 5, -10, 60, True),
    ],
)
def test_config_changed(host, pidfile, tmpdir, monkeypatch, environment, config, bound, workers, changed):
    host.environment = environment
    host.ini.write("[uwsgi]\nmaster = true\npidfile = %s\nstats = %s\n" % (pidfile, tmpdir / "stats"))
    started = host.started
    monkeypatch.setattr(code.procfs, "started_at", lambda pid: started if pid == 7000 else started + workers)
    os.utime(str(host.ini), (started + config, started + config))
    if bound is not None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmpdir / "stats"))
        listener.close()
        os.utime(str(tmpdir / "stats"), (started + bound, started + bound))
    assert Master(str(pidfile)).config_changed() is changed


def test_config_changed_without_a_file(host, pidfile):
    master = Master(str(pidfile))
    master.config_path = str(host.ini) + ".none"
    assert master.config_changed() is None
    master.config_path = None
    assert master.config_changed() is False


@pytest.mark.parametrize("stats", ["", "stats = 127.0.0.1:1717", "stats = @abstract", "stats = file", "stats = none"])
def test_a_stats_server_without_a_socket_in_the_file_system(host, pidfile, tmpdir, monkeypatch, stats):
    (tmpdir / "file").write("")
    monkeypatch.setattr(code.procfs, "folder", lambda pid: str(tmpdir))
    host.ini.write("[uwsgi]\nmaster = true\npidfile = %s\n%s\n" % (pidfile, stats))
    assert Master(str(pidfile)).stats_bound_at() is None


@pytest.mark.parametrize(
    ("address", "full"),
    [
        ("127.0.0.1:1", "127.0.0.1:1"),
        (":1", ":1"),
        ("@name", "@name"),
        ("/run/x", "/run/x"),
        ("x", "/srv/x"),
        ("./x/y", "/srv/./x/y"),
    ],
)
def test_address(host, pidfile, monkeypatch, address, full):
    monkeypatch.setattr(code.procfs, "folder", lambda pid: "/srv")
    assert Master(str(pidfile)).address(address) == full


def test_a_process_of_our_own_in_proc(sleeper):
    now = time.time()
    assert now - 5 < procfs.started_at(sleeper.pid) <= now
    # The few pages of a small process that has just begun may not be counted yet.
    rss, vsz = procfs.memory(os.getpid())
    assert 0 < rss <= vsz
    end(sleeper)
    assert procfs.memory(sleeper.pid) is None
    assert procfs.started_at(sleeper.pid) == 0.0


def test_the_hosts_start_without_a_clock_for_it(monkeypatch):
    exact = procfs.booted_at()
    monkeypatch.delattr(procfs.time, "clock_gettime", raising=False)
    assert exact - 2 < procfs.booted_at() <= exact + 0.1


def test_started_after_the_pidfile(host, pidfile, signals):
    os.utime(str(pidfile), (host.started - 10, host.started - 10))
    assert "which started after the pidfile was written" in refused(pidfile)
    assert signals == []


def test_another_owner(host, pidfile, signals):
    host.uid = os.getuid() + 1000
    os.chown(str(pidfile), os.getuid() + 2000 if os.getuid() == 0 else -1, -1)
    assert "which belongs to another user than the pidfile" in refused(pidfile)
    assert signals == []


def test_a_pidfile_written_before_rights_were_dropped(host, pidfile, monkeypatch):
    host.uid = 1234
    real = os.lstat
    fields = list(real(str(pidfile)))
    fields[4] = 0
    monkeypatch.setattr(code.os, "lstat", lambda path: os.stat_result(fields) if path == str(pidfile) else real(path))
    # Where pytest has its folders, only its own account can read.
    monkeypatch.setattr(code, "load_as", lambda _who, *words: load(*words[:3]))
    assert Master(str(pidfile)).who["uid"] == 1234


def test_another_apps_pidfile(host, pidfile, tmpdir, signals):
    other = tmpdir / "other.pid"
    other.write("7000\n")
    said = refused(other)
    assert "whose own pidfile is %s" % os.path.realpath(str(pidfile)) in said
    assert signals == []


def test_no_pidfile_named_anywhere(host, pidfile):
    host.ini.write("[uwsgi]\nmaster = true\n")
    assert "give config" in refused(pidfile)


def test_config_given(host, pidfile):
    host.words = dict((pid, ["uWSGI master" if pid == 7000 else "uWSGI worker %d" % pid]) for pid in host.words)
    assert "give config" in refused(pidfile)
    assert Master(str(pidfile), str(host.ini)).workers() == set([7001, 7002])


def test_config_that_cannot_be_read(host, pidfile, tmpdir):
    with pytest.raises(MasterError) as error:
        Master(str(pidfile), str(tmpdir / "none.ini"))
    assert "none.ini" in str(error.value)


@pytest.mark.parametrize("name", ["pidfile", "safe-pidfile", "pidfile2"])
def test_relative_to_where_it_was_started(host, pidfile, tmpdir, name):
    """Measured on 2.0.31: with chdir, pidfile lies where uWSGI was started and safe-pidfile where it went."""
    host.environment = {"PWD": str(tmpdir)}
    host.ini.write("[uwsgi]\nchdir = /\n%s = pid\n" % name)
    host.words = dict((pid, ["uwsgi", "--ini", "app.ini"]) for pid in host.words)
    master = Master(str(pidfile))
    assert (master.started_in, master.folder) == (str(tmpdir), "/")


@pytest.mark.parametrize("where", ["", "relative", "/no/such/folder"])
def test_a_start_that_cannot_be_told(host, pidfile, where):
    host.environment = {"PWD": where}
    assert Master(str(pidfile)).started_in == "/"


@pytest.mark.parametrize(
    "words", [["celery", "worker"], ["/usr/bin/python3", "-m", "celery", "worker"], ["worker"], [], ["sleep", "9"]]
)
def test_a_daemon_beside_the_workers_is_none(host, pidfile, words):
    host.words[7003], host.parents[7003] = words, 7000
    assert Master(str(pidfile)).workers() == set([7001, 7002])


def test_a_vassal_is_no_worker_of_its_emperor(host, pidfile):
    host.words[6999], host.parents[7000] = ["/opt/uwsgi/bin/uwsgi", "--emperor", "/etc/vassals"], 6999
    assert Master(str(pidfile)).pid == 7000


def as_vassal(host, tmpdir, name="app.ini"):
    """The master is a vassal of 6999, in whose folder its configuration has this name."""
    vassals = tmpdir.ensure("vassals", dir=True)
    vassals.join("app.ini").write("[uwsgi]\nmaster = true\nchdir = /\npidfile = %s\n" % host.pidfile)
    host.words = dict((pid, ["/opt/uwsgi/bin/uwsgi", "--ini", name]) for pid in host.words)
    host.words[6999], host.parents[7000] = ["/opt/uwsgi/bin/uwsgi", "--emperor", str(vassals)], 6999
    host.environment = {"PWD": str(tmpdir), code.VASSAL: "6"}
    return vassals


def test_a_vassals_configuration_is_in_the_vassals_folder(host, pidfile, tmpdir):
    vassals = as_vassal(host, tmpdir)
    master = Master(str(pidfile))
    assert (master.config_path, master.started_in) == (str(vassals.join("app.ini")), str(vassals))


def test_a_vassals_configuration_with_a_section(host, pidfile, tmpdir):
    vassals = as_vassal(host, tmpdir, "app.ini:uwsgi")
    assert Master(str(pidfile)).config_path == str(vassals.join("app.ini"))


def test_an_emperor_that_says_its_folder_in_a_file(host, pidfile, tmpdir):
    vassals = as_vassal(host, tmpdir)
    tmpdir.join("emperor.ini").write("[uwsgi]\nemperor = vassals\n")
    host.words[6999] = ["uwsgi", "--ini", "emperor.ini"]
    assert Master(str(pidfile)).started_in == str(vassals)


def test_two_folders_with_a_configuration_of_that_name(host, pidfile, tmpdir, signals):
    vassals = as_vassal(host, tmpdir)
    tmpdir.ensure("more", dir=True).join("app.ini").write("[uwsgi]\n")
    host.words[6999] += ["--emperor", str(tmpdir.join("more"))]
    assert "give config" in refused(pidfile)
    assert Master(str(pidfile), str(vassals.join("app.ini"))).pid == 7000
    assert signals == []


def test_a_vassal_that_no_file_holds(host, pidfile, tmpdir, signals):
    as_vassal(host, tmpdir, "emperor://app.ini")
    assert "handed over (emperor://app.ini)" in refused(pidfile).replace(str(tmpdir), "")
    assert signals == []


@pytest.mark.parametrize("own_master", [False, True])
def test_an_emperor_is_called_one_and_not_signalled(host, pidfile, monkeypatch, signals, own_master):
    """7000 is the emperor or, with a master of its own, that master; 7001 reigns then."""
    above = 7001 if own_master else 7000
    host.words = {7000: ["uwsgi", "--emperor", "/v", "-M", "--pidfile", str(pidfile)]}
    host.words[7001] = host.words[7000] if own_master else ["uwsgi", "--ini", "a.ini"]
    host.words[7002] = ["uwsgi", "--ini", "b.ini"]
    host.parents = {7000: 1, 7001: 7000, 7002: above}
    seen = {7001: {} if own_master else {code.VASSAL: "5"}, 7002: {code.VASSAL: "6"}}
    monkeypatch.setattr(code.procfs, "environment", lambda pid: seen.get(pid, {}))
    said = refused(pidfile)
    assert "which is an emperor" in said and "b.ini" in said and "no signal was sent" in said
    pidfile.write("7001\n")
    if own_master:
        assert "which is an emperor" in refused(pidfile)
    assert signals == []


def test_an_emperor_without_vassals(host, pidfile, signals):
    host.ini.write("[uwsgi]\nmaster = true\nemperor = /etc/vassals\npidfile = %s\n" % pidfile)
    assert "which is an emperor" in refused(pidfile)
    assert signals == []


def test_what_a_vassal_forks_does_not_make_it_an_emperor(host, pidfile, tmpdir):
    as_vassal(host, tmpdir)
    host.words[7003], host.parents[7003] = ["uWSGI mule 1"], 7000
    host.programs[7003] = "/opt/uwsgi/bin/uwsgi"
    assert Master(str(pidfile)).workers() == set([7001, 7002])


def test_a_pid_that_became_anothers_while_it_was_looked_at(host, pidfile, monkeypatch, signals):
    asked = []
    monkeypatch.setattr(code.procfs, "process_start", lambda pid: asked.append(pid) or len(asked))
    assert "ended while it was looked at" in refused(pidfile)
    assert signals == []


@pytest.mark.parametrize("how", ["gone", "another"])
def test_a_master_that_ended_since_is_not_signalled(host, pidfile, signals, how):
    master = Master(str(pidfile))
    if how == "gone":
        del host.words[7000]
    else:
        host.starts[7000] = 6
    with pytest.raises(MasterError):
        master.signal(signal.SIGHUP)
    assert signals == []
