"""Finding nginx's master, and the on-the-fly upgrade against processes that answer signals as nginx does."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_master
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_master import MasterError, Place, Upgrade

# Answers as nginx does: USR2 names the pid file back and starts another master (which `NEXT` may let fail), that one's
# death names it forth; WINCH ends the workers, HUP starts them again, QUIT ends all.
FAKE = textwrap.dedent(
    """
    import os, signal, sys, time

    pid_file, behaviour, python = sys.argv[1:4]
    workers, new, inherited = [], [0], os.environ.get("FAKE_NEW")

    def worker():
        pid = os.fork()
        if pid:
            workers.append(pid)
            return
        os.execv(python, ["nginx: worker process", "-c", "import time; time.sleep(60)"])

    def write():
        with open(pid_file + ".tmp", "w") as target:
            target.write("%d\\n" % os.getpid())
        os.rename(pid_file + ".tmp", pid_file)

    def usr2(*_):
        if behaviour == "deaf":
            return
        os.rename(pid_file, pid_file + ".oldbin")
        new[0] = os.fork()
        if not new[0]:
            os.environ["FAKE_NEW"] = "1"
            if behaviour == "hangs":
                os.execv(python, ["new-nginx", "-c", "import time; time.sleep(60)"])
            os.execv(python, ["nginx: master process new"] + sys.argv)

    def end_workers(*_):
        while workers:
            pid = workers.pop()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if behaviour == "dies-late" and not inherited:
            os.kill(new[0], signal.SIGKILL)
            time.sleep(0.05)

    def leave(*_):
        end_workers()
        mine = pid_file + ".oldbin" if os.path.exists(pid_file + ".oldbin") and not inherited else pid_file
        os.unlink(mine)
        os._exit(0)

    def reap():
        if new[0] and os.waitpid(new[0], os.WNOHANG)[0]:
            new[0] = 0
            os.rename(pid_file + ".oldbin", pid_file)

    signal.signal(signal.SIGUSR2, usr2)
    signal.signal(signal.SIGWINCH, end_workers)
    signal.signal(signal.SIGHUP, lambda *_: worker())
    signal.signal(signal.SIGQUIT, leave)
    if inherited and behaviour == "dies":
        time.sleep(0.2)
        sys.exit(1)
    if not (inherited and behaviour == "idle"):
        worker()
    write()
    while True:
        time.sleep(0.02)
        reap()
    """
)


def wait_for(condition):
    end = time.time() + 10
    while not condition():
        assert time.time() < end, "waited 10 s"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path):
    """Start a master that behaves in a given way; every process of it is gone at the end."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    pid_file = tmp_path / "nginx.pid"
    groups = []

    def begin(behaviour):
        argv = ["nginx: master process fake", str(script), str(pid_file), behaviour, sys.executable]
        process = subprocess.Popen(argv, executable=sys.executable, start_new_session=True)
        groups.append(process)
        wait_for(lambda: nginx_master.read_master(str(pid_file)) and nginx_master.workers(process.pid))
        return process, pid_file

    yield begin
    for process in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def upgrade(pid_file, timeout=10):
    result = Upgrade(str(pid_file), sys.executable, str(pid_file) + ".log", timeout, drain=10, settle=0.2)
    result.find()
    return result


def test_upgrade_moves_to_a_new_master_and_ends_the_old(start):
    process, pid_file = start("good")
    work = upgrade(pid_file)
    # The old one is a zombie until this test, its parent, looks: that has ended, too.
    assert work.run() is True
    assert work.new != work.old == process.pid
    assert nginx_master.read_master(str(pid_file)) == work.new
    assert nginx_master.workers(work.new)


@pytest.mark.parametrize(
    ("behaviour", "timeout", "message"),
    [
        ("dies", 10, "ended at once"),
        ("deaf", 0.5, "did not come up"),
        ("idle", 1, "did not come up"),
        ("hangs", 0.5, "did not come up"),
        ("dies-late", 10, "ended when it was to take over"),
    ],
)
def test_a_failed_upgrade_leaves_the_old_master_with_its_workers(start, behaviour, timeout, message):
    process, pid_file = start(behaviour)
    (pid_file.parent / "nginx.pid.log").write_text("old news\n")
    with pytest.raises(MasterError, match=message):
        upgrade(pid_file, timeout).run()
    wait_for(lambda: nginx_master.read_master(str(pid_file)) == process.pid)
    wait_for(lambda: nginx_master.workers(process.pid))
    assert not (pid_file.parent / "nginx.pid.oldbin").exists()
    titles = [text for _pid, text in nginx_master.children(process.pid)]
    assert not [text for text in titles if text and not text.startswith("nginx: worker")]


def test_the_failure_quotes_what_the_log_got_since(start):
    _process, pid_file = start("dies")
    log = pid_file.parent / "nginx.pid.log"
    log.write_text("old news\n")
    work = upgrade(pid_file)
    size = nginx_master.size(str(log))
    with log.open("a") as target:
        target.write("[emerg] bind() failed\n")
    with pytest.raises(MasterError, match=r"\[emerg\] bind\(\) failed") as caught:
        work._fail("the new master ended at once", size)
    assert "old news" not in str(caught.value)


def test_a_stale_pid_file_of_an_earlier_upgrade_does_not_hold_up(start):
    process, pid_file = start("good")
    (pid_file.parent / "nginx.pid.oldbin").write_text(f"{os.getpid()}\n")
    assert upgrade(pid_file).old == process.pid


def test_a_draining_master_of_an_earlier_upgrade_holds_up(start, tmp_path):
    earlier, pid_file = start("good")
    pid_file.rename(tmp_path / "earlier")
    current, pid_file = start("good")
    (tmp_path / "earlier").rename(tmp_path / "nginx.pid.oldbin")
    work = Upgrade(str(pid_file), sys.executable, "none", drain=0.3)
    message = f"earlier upgrade \\(process {earlier.pid}\\).*The nginx that runs is as it was"
    with pytest.raises(MasterError, match=message):
        work.find()
    assert current.poll() is None


@pytest.mark.parametrize("text", ["0\n", "-1\n", "abc\n", "12 13\n", "12\n13\n", "0x10\n", "1e3", "²\n", "12;\n"])
def test_garbage_in_a_pid_file_is_refused(tmp_path, text):
    (tmp_path / "nginx.pid").write_text(text)
    with pytest.raises(MasterError, match="no process was signalled"):
        nginx_master.read_master(str(tmp_path / "nginx.pid"))


NO_MASTER = {None: "none", "": "empty", "\n": "a blank line", "1\n": "init", "999999999\n": "nobody"}
NO_MASTER[f"{os.getpid()}\n"] = "this process"


# A test is called alike in every process that runs some of them.
@pytest.mark.parametrize("text", NO_MASTER, ids=NO_MASTER.values())
def test_no_master_is_no_master(tmp_path, text):
    if text is not None:
        (tmp_path / "nginx.pid").write_text(text)
    assert nginx_master.read_master(str(tmp_path / "nginx.pid")) is None


def test_a_signal_goes_to_a_master_only():
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(MasterError, match="no nginx master"):
            nginx_master.send(process.pid, signal.SIGKILL)
        assert process.poll() is None
        process.kill()


def test_same_file_sees_a_replaced_binary(tmp_path):
    binary = tmp_path / "sleep"
    shutil.copyfile("/bin/sleep", binary)
    binary.chmod(0o755)
    with subprocess.Popen([str(binary), "60"]) as process:
        wait_for(lambda: nginx_master.same_file(process.pid, str(binary)))
        place = Place(str(binary))
        place.put("/bin/cat")
        assert not nginx_master.same_file(process.pid, str(binary))
        place.back()
        assert nginx_master.same_file(process.pid, str(binary))
        process.kill()
    assert os.listdir(tmp_path) == ["sleep"]


def test_place_leaves_nothing_behind(tmp_path):
    source = tmp_path / "new"
    source.write_text("new")
    folder = tmp_path / "sbin"
    folder.mkdir()
    labelled = []
    place = Place(str(folder / "nginx"), lambda path, like: labelled.append(like))
    place.put(str(source))
    place.back()
    assert (folder / "nginx").read_text() == "new"
    source.write_text("newer")
    place.put(str(source))
    place.forget()
    assert (folder / "nginx").read_text() == "newer"
    assert (folder / "nginx").stat().st_mode & 0o777 == 0o755
    assert os.listdir(folder) == ["nginx"]
    assert labelled == [str(folder / "nginx")] * 2
