"""What runs as an account that builds ends with its build and has nothing of root's (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import build_account
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import (
    Account,
    BuildError,
    Pool,
    forget_origins,
    kill_all,
    make_account,
    processes,
    readable,
    surroundings,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, untrusted_target

# No account of this machine's.
UID = 61999
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs commands as another account")

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
os.wait()
print("left one")
"""


@pytest.fixture
def account(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    # pytest's own folders are closed to others; there is one more where it runs in several processes.
    path = str(tmp_path)
    os.chmod(path, 0o755)
    while os.path.basename(path).partition("-of-")[0] != "pytest" and path != os.path.dirname(path):
        path = os.path.dirname(path)
        if os.stat(path).st_mode & 0o7777 == 0o700:
            os.chmod(path, 0o755)
    if os.geteuid() == 0:
        os.chown(str(home), UID, UID)
    return Account("builder", UID if os.geteuid() == 0 else os.getuid(), UID, str(home))


def test_a_command_is_told_what_it_needs_and_nothing_else(account, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("PIP_INDEX_URL", "from the play")
    monkeypatch.setenv("https_proxy", "p")
    found = surroundings(account.home, {"PIP_NO_INDEX": True, "PIP_PROXY": "q"})
    assert "SECRET" not in found and found["HOME"] == account.home
    assert (found["PIP_INDEX_URL"], found["https_proxy"], found["PIP_NO_INDEX"]) == ("from the play", "p", "yes")


@root_only
def test_a_command_has_the_rights_of_its_account_only(account):
    status, said = account.run(["sh", "-c", "id -u; id -g; id -G; umask; pwd; cat; touch /etc/evil"], account.home)
    assert status != 0 and said.split()[:5] == [str(UID), str(UID), str(UID), "0022", account.home]
    assert not os.path.exists("/etc/evil")


@root_only
def test_a_daemon_does_not_outlive_its_command(account):
    begun = time.time()
    status, said = account.run(["python3", "-c", DAEMON], "/")
    assert (status, said.strip()) == (0, "left one") and time.time() - begun < 60
    assert processes(UID) == []


@root_only
def test_all_processes_of_an_account_end_and_no_others():
    def enter():
        os.setgid(UID)
        os.setuid(UID)

    mine = subprocess.Popen(["sleep", "60"])
    theirs = [subprocess.Popen(["sleep", "60"], preexec_fn=enter) for _number in range(3)]
    try:
        assert len(processes(UID)) == 3
        kill_all(UID)
        assert [process.wait() for process in theirs] == [-9] * 3 and mine.poll() is None
    finally:
        mine.kill()
        mine.wait()


def test_a_command_that_takes_too_long_is_ended(account):
    status, said = account.run(["sleep", "60"], "/", timeout=0.2)
    assert status == 124 and "ended" in said


def test_a_command_that_is_not_there_is_said(account):
    status, said = account.run(["no-such-command-here"], "/")
    assert status == 127 and "no-such-command-here" in said


@root_only
def test_clearing_a_home_follows_no_link(account, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text(u"")
    os.symlink(str(outside), os.path.join(account.home, "l"))
    deep = account.home
    for _level in range(30):
        deep = os.path.join(deep, "d")
        os.mkdir(deep)
        os.chown(deep, UID, UID)
    account.clear(account.home)
    assert os.listdir(account.home) == [] and os.listdir(str(outside)) == ["f"]


@root_only
def test_a_folder_below_another_accounts_is_not_given_away(account):
    with pytest.raises(UnsafePath):
        account.own("/tmp/of-everybody")
    assert not os.path.exists("/tmp/of-everybody")


@root_only
def test_an_account_builds_for_one_at_a_time(monkeypatch, tmp_path, account):
    monkeypatch.setattr(build_account, "STATE_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(Account, "made", classmethod(lambda cls, name, home, run: cls(name, UID, UID, account.home)))
    monkeypatch.setattr(Account, "own", lambda self, path: None)
    pool = Pool("b", 2, None)
    with pool.lease() as one:
        with pool.lease() as two:
            assert (one.name, two.name) == ("b-1", "b-2")
            # All are taken, for another process as well.
            assert build_account._lock("b-1") is None and build_account._lock("b-2") is None
        with pool.lease() as three:
            assert three.name == "b-2"
    with Pool("alone", 0, None).lease() as one:
        assert one.name == "alone"


@root_only
def test_a_bundle_is_copied_to_where_the_account_reads_it(account, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text(u"certificates")
    os.chmod(str(bundle), 0o600)
    copy = readable(account, str(bundle))
    assert copy.startswith(account.home) and open(copy).read() == "certificates" and readable(account, None) is None


@root_only
def test_a_link_is_judged_by_all_that_it_leads_through(tmp_path):
    inside = str(tmp_path / "tree")
    os.makedirs(inside + "/bin")
    os.symlink("/usr/bin/env", inside + "/good")
    os.symlink("bin", inside + "/lib64")
    os.symlink(inside + "/bin", inside + "/absolute")
    os.symlink("/tmp/x", inside + "/bad")
    found = dict((name, untrusted_target(os.path.join(inside, name), inside)) for name in ("good", "lib64", "absolute"))
    assert found == {"good": None, "lib64": None, "absolute": None}
    assert "/tmp" in untrusted_target(inside + "/bad", inside)
    assert untrusted_target("/usr/bin/env") is None


def test_an_account_that_is_somebodys_is_not_used():
    with pytest.raises(BuildError) as caught:
        make_account("daemon", "/var/lib/graceful-wsgi/build/daemon", None)
    assert "daemon" in str(caught.value) and "publish_build_user" in str(caught.value)


def test_an_account_that_cannot_be_made_is_said():
    calls = []

    def run_command(words):
        calls.append(words)
        return 1, "", "useradd: no more room"

    with pytest.raises(BuildError) as caught:
        make_account("no-such-account-x", "/var/lib/x", run_command)
    assert "no more room" in str(caught.value) and calls[0][0] == "useradd" and calls[0][-1] == "no-such-account-x"


def test_what_is_installed_out_of_the_code_does_not_say_where_its_copy_lay(account, tmp_path):
    site = tmp_path / "venv/lib/python3.11/site-packages"
    for name, url in (("own", "file://%s/code" % account.home), ("git", "https://git.test/x"), ("loop", None)):
        folder = site / (name + "-1.dist-info")
        folder.mkdir(parents=True)
        record = folder / "RECORD"
        record.write_bytes(("%s.py,,\n%s-1.dist-info/direct_url.json,sha256=a,1\n" % (name, name)).encode("ascii"))
        if url is None:
            os.mkfifo(str(folder / "direct_url.json"))
        else:
            (folder / "direct_url.json").write_bytes(('{"dir_info": {}, "url": "%s"}' % url).encode("ascii"))
        if os.geteuid() == 0:
            for path in (folder, record):
                os.chown(str(path), UID, UID)
    mine = tmp_path / "mine"
    mine.write_bytes(b"led-1.dist-info/direct_url.json,,\nmine\n")
    led = site / "led-1.dist-info"
    led.mkdir()
    (led / "direct_url.json").write_bytes((u"file://%s/code" % account.home).encode("ascii"))
    (led / "RECORD").symlink_to(str(mine))
    if os.geteuid() == 0:
        os.chown(str(led), UID, UID)
        os.chown(str(mine), UID, UID)
    # What is gone from the one is gone from the other.
    os.symlink("lib", str(tmp_path / "venv/lib64"))
    forget_origins(account, str(tmp_path / "venv"))
    assert sorted(os.listdir(str(site / "own-1.dist-info"))) == ["RECORD"]
    assert (site / "own-1.dist-info/RECORD").read_bytes() == b"own.py,,\n"
    # A link is not written through, wherever it leads.
    assert mine.read_bytes().endswith(b"mine\n") and mine.read_bytes().startswith(b"led-1")
    for name in ("git", "loop"):
        assert sorted(os.listdir(str(site / (name + "-1.dist-info")))) == ["RECORD", "direct_url.json"]
        assert b"direct_url" in (site / (name + "-1.dist-info/RECORD")).read_bytes()
