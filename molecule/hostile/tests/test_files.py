"""Rows S1, S5, S6, S7 and S19: what root does in folders that another account can write."""

import json
import os
import re
import shutil
import subprocess
import time

import publishing
import pytest
from one_host import HOST, WHOAMI, app, get, play, put, sh, site

# Puts a link in the place of a name, and a file back, as fast as it can.
WATCHER = """
import os, sys, time
path, target = sys.argv[1:3]
beside = path + '.swap'
while True:
    # The play needs one of the processors.
    time.sleep(0.001)
    try:
        if os.path.lexists(beside):
            os.unlink(beside)
        os.symlink(target, beside)
        os.rename(beside, path)
        os.unlink(path)
        with open(beside, 'w') as out:
            out.write('x')
        os.rename(beside, path)
        for name in os.listdir(os.path.dirname(path)):
            if name.startswith('.') and name.endswith(('.new', '.old')):
                os.unlink(os.path.join(os.path.dirname(path), name))
                os.symlink(target, os.path.join(os.path.dirname(path), name))
    except OSError:
        pass
"""
# What nobody but root may own or write, whatever an application does.
ROOTS = (
    "/etc /etc/passwd /etc/shadow /etc/crontab2 /home /opt /srv /srv/wsgi /tmp /var /var/lib /var/log /var/log/uwsgi"
)


def of_root():
    return sh(f"stat -c '%n %U %G %a' {ROOTS}")


@pytest.fixture
def watchers():
    """Starts programs on the host as an account, and ends them."""
    running = []

    def watch(user, *words, program=WATCHER):
        command = ["docker", "exec", "-i", "-u", user, HOST, "sh", "-c", 'echo $$; exec python3 -c "$@"', "sh"]
        ran = subprocess.Popen([*command, program, *words], stdout=subprocess.PIPE, text=True)
        running.append((ran, ran.stdout.readline().strip()))

    yield watch
    for ran, pid in running:
        sh(f"kill -9 {pid}", check=False)
        ran.wait()


@pytest.fixture(scope="module", autouse=True)
def _canary():
    # Only root writes it, and another account that came to own it would show.
    put("/etc/crontab2", "# root's\n", mode="0600")


def test_what_the_host_cannot_have_is_refused_before_anything_changes():
    """S1 and S5, with more of their kind: one play, every refusal in it, nothing on the host another."""
    sh("mkdir -p /home/mallory/proj /opt/theirs /opt/plain && chown mallory: /home/mallory/proj /opt/theirs")
    # S5: a folder of its own project that leads to /var.
    sh("ln -sfn /var /home/mallory/led", user="mallory")
    sh("cd /home/mallory && mkdir -p logs && ln -sfn /etc/shadow logs/server.log", user="mallory")
    sh("cd /home/mallory/logs && rm -f fifo.log && mkfifo fifo.log", user="mallory")
    before, listed = of_root(), sh("find /etc /var/log /opt /srv -xdev | sort | sha256sum")
    logs = {
        "l-link": "/home/mallory/led/log/server.log",
        "l-file": "/home/mallory/logs/server.log",
        "l-fifo": "/home/mallory/logs/fifo.log",
        "l-other": "/opt/theirs/new/server.log",
        "l-roots": "/opt/plain/server.log",
        "l-syslog": "/etc/passwd.d/../crontab2/x.log",
    }
    users = dict.fromkeys(("l-link", "l-file", "l-fifo", "l-roots"), "mallory")
    apps = [app(name, log=log, user=users.get(name, "alice")) for name, log in logs.items()]
    sites = [
        site("one.test", "l-roots", access_log="/home/mallory/proj/access.log"),
        site("two.test", "l-roots", error_log="/tmp/error.log warn", options={"access_log": "/home/mallory/a.log"}),
    ]
    status, said = play(apps, sites)
    assert status != 0, said
    for number in range(len(logs)):
        assert f"publish_apps[{number}].log: " in said, (number, said)
    for variable in ("[0].access_log", "[1].error_log", "[1].options.access_log"):
        assert f"publish_sites{variable}: nginx opens its logs as root" in said, said
    assert "is a link that another account can have put there" in said
    assert "/opt/plain is not writable for mallory" in said
    assert "log: system" in said
    assert of_root() == before
    assert sh("find /etc /var/log /opt /srv -xdev | sort | sha256sum") == listed

    # What no host can have, the plan refuses: folders that everybody shares, devices, nginx's own folder.
    places = ["/tmp/x.log", "/var/tmp/a/x.log", "/dev/null", "/etc/x.log", "/var/log/nginx/x.log", "/run/x.log"]
    status, said = play([app(f"p{number}", log=log) for number, log in enumerate(places)])
    assert status != 0
    for number in range(len(places)):
        assert f"publish_apps[{number}].log: " in said, (number, said)
    assert of_root() == before


def test_logs_in_shared_and_kept_folders_while_links_are_swapped(watchers):
    """S1, S6: a log in /var/log is one file; a folder that was there keeps its owner and mode; no link is followed."""
    before = of_root()
    sh("mkdir -p /opt/kept /home/bob/site && chown alice: /opt/kept && chmod 0770 /opt/kept")
    sh("chown bob: /home/bob/site")
    sh("mkdir -p /home/alice/logs && rm -f /home/alice/logs/*", user="alice")
    watchers("alice", "/home/alice/logs/server.log", "/etc/crontab2")
    watchers("bob", "/home/bob/site/logs", "/var/lib")
    apps = [
        app("shop", log="/var/log/shop.log"),
        app("kept", log="/opt/kept/server.log", user="alice"),
        app("swapped", log="/home/alice/logs/server.log", user="alice"),
        app("made", log="/home/bob/site/logs/server.log", user="bob"),
    ]
    log = {"dest": "/home/alice/logs/server.log", "content": "", "force": False, "owner": "alice", "group": "alice"}
    folder = {"path": "/home/bob/site/logs", "owner": "bob", "group": "bob", "force": False}
    for _try in range(4):
        # Past all questions: what a play writes later than it asked.
        adhoc("graceful.wsgi.file_bundle", name="race", files=[{**log, "mode": "0640"}], directories=[folder])
        assert of_root() == before
    # A link that stands at the moment is refused, another moment is not: neither gives anything away.
    play(apps[:1] + apps[2:], [])
    assert of_root() == before
    assert sh("stat -c '%U %a' /etc/crontab2 && cat /etc/crontab2") == "root 600\n# root's\n"


def test_a_log_in_var_log_is_served_and_rotated():
    before = of_root()
    status, said = play(
        [
            app("shop", log="/var/log/shop.log", log_requests=True),
            app("kept", log="/opt/kept/server.log", log_requests=True, user="alice"),
        ],
        [site("shop.test", "shop"), site("kept.test", "kept")],
    )
    assert status == 0, said
    assert of_root() == before
    assert sh("stat -c '%U %a' /opt/kept") == "alice 770\n"
    owner = sh("stat -c '%U %a' /var/log/shop.log").split()
    assert owner[0] != "root" and owner[1] == "640"
    # Another run on the same host has left its own.
    early, late = f"/before-{time.time()}", f"/after-{time.time()}"
    for name in ("shop", "kept"):
        assert get(f"{name}.test", early)[0] == 200
    assert rotate() == ""
    time.sleep(1)
    for name, log in (("shop", "/var/log/shop.log"), ("kept", "/opt/kept/server.log")):
        assert get(f"{name}.test", late)[0] == 200
        time.sleep(0.2)
        assert late in sh(f"cat {log}"), name
        assert late not in sh(f"cat {log}.1") and early in sh(f"cat {log}.1"), name
    assert sh("stat -c '%U %a' /var/log/shop.log").split() == owner


def rotate(which="apps", limit=20):
    """What logrotate says of a forced rotation; it must end."""
    command = f"timeout {limit} logrotate --force /etc/logrotate.d/publish-trial-{which} || echo ended with $?"
    return sh(command)


def test_rotation_opens_no_fifo_of_the_applications():
    """S7: a fifo without reader, and a link, in the place of the master's fifo; also after a reload."""
    folder = "/run/uwsgi-kept"
    sh(f"rm {folder}/fifo && mkfifo {folder}/fifo", user="alice")
    began = time.time()
    assert rotate() == ""
    assert time.time() - began < 10
    sh(f"rm {folder}/fifo && ln -s /etc/crontab2 {folder}/fifo", user="alice")
    sh("systemctl reload uwsgi@kept", check=False)
    time.sleep(3)
    assert get("kept.test", "/once-more")[0] == 200
    assert rotate() == ""
    time.sleep(1)
    assert get("kept.test", "/the-last")[0] == 200
    time.sleep(0.2)
    assert "/the-last" in sh("cat /opt/kept/server.log")
    assert sh("cat /etc/crontab2") == "# root's\n"


def test_no_line_is_lost_in_rotations_under_load():
    """Every request is in one of the logs, over rotations, a reload and log-master."""
    sh("rm -f /var/log/shop.log.*")
    load = "\n".join(
        [
            "import http.client",
            "for number in range(1500):",
            "    c = http.client.HTTPConnection('127.0.0.1', 80, timeout=20)",
            "    c.request('GET', '/line-%d-' % number, headers={'Host': 'shop.test'})",
            "    a = c.getresponse(); a.read(); assert a.status == 200",
        ]
    )
    client = subprocess.Popen(["docker", "exec", "-i", HOST, "python3", "-c", load])
    for _turn in range(5):
        assert rotate() == ""
        time.sleep(0.3)
    assert client.wait(timeout=60) == 0
    time.sleep(0.5)
    seen = set(re.findall(r"/line-(\d+)-", sh("zcat -f /var/log/shop.log*")))
    assert len(seen) >= 1498, sorted(set(map(str, range(1500))) - seen)[:20]


def test_a_master_without_the_hook_survives_the_signal():
    """As one of an earlier version is until its configuration is taken up, and nginx too."""
    words = "/opt/uwsgi/current/bin/uwsgi --master --socket /run/bare.sock --uid alice --chown-socket alice"
    pid = sh(f"setsid {words} >/dev/null 2>&1 & echo $!").strip()
    time.sleep(1)
    children = f"cat /proc/{pid}/task/{pid}/children"
    workers = sh(children)
    assert workers.strip()
    sh(f"kill -URG {pid} $(cat /run/nginx.pid)")
    time.sleep(0.5)
    try:
        assert sh(children) == workers
        assert get("base.test")[0] == 200
    finally:
        sh(f"kill -INT {pid}")


def test_what_root_reads_of_an_application_is_the_applications_own():
    """S6: pidfiles and logs that lead elsewhere are not read, and nothing of what stands there is shown."""
    canary = "a-line-that-only-root-reads"
    put("/run/canary", canary, mode="0600")
    sh("ln -sfn /run /home/alice/way", user="alice")
    # What a kernel without fs.protected_hardlinks lets alice do.
    sh("ln -f /run/canary /run/uwsgi-kept/hard && ln -sfn /run/canary /run/uwsgi-kept/soft")
    pidfiles = ["/run/uwsgi-kept/soft", "/home/alice/way/canary", "/run/uwsgi-kept/hard"]
    said = adhoc("graceful.wsgi.uwsgi_info", instances=[{"pidfile": path} for path in pidfiles])
    assert canary not in said
    for why in ("is a symlink", "is a link that another account", "something that is not one number"):
        assert why in said, said
    sh("cd /opt/kept && mv server.log was.log && ln -s /run/canary server.log", user="alice")
    try:
        probe = {"path": "/", "status": [299]}
        wanted = {"pidfile": "/run/uwsgi-kept/pid", "preflight": False, "probe": probe, "timeout": 4}
        said = adhoc("graceful.wsgi.uwsgi_reload", instances=[wanted])
    finally:
        sh("cd /opt/kept && mv -f was.log server.log && rm /run/uwsgi-kept/soft /run/uwsgi-kept/hard")
    assert "the probe does not hold" in said and "not read: /opt/kept/server.log" in said, said
    assert canary not in said


def adhoc(module, **arguments):
    return publishing.ansible("ansible", "all", "-m", module, "-a", json.dumps(arguments))[1]


FULL = ["/srv/wsgi/disk/", "no room left on the file system /srv/wsgi/disk", "publish_keep_releases"]
READ_ONLY = ["/srv/wsgi/disk/releases", "the file system /srv/wsgi/disk cannot be written: mount it for writing"]


@pytest.mark.parametrize(
    ("options", "size", "words"),
    # Its code has no room, or the virtualenv that it has for itself, since a package of its own goes into it.
    [("size=64k", 200_000, FULL), ("size=64k", 0, FULL), ("ro", 0, READ_ONLY)],
    ids=["code", "virtualenv", "read only"],
)
def test_a_disk_that_takes_no_more_is_told_with_application_path_and_cure(tmp_path, options, size, words):
    """S19."""
    code = tmp_path / "code"
    shutil.copytree(WHOAMI, code)
    (code / "own").mkdir()
    (code / "own/setup.py").write_text("from setuptools import setup\nsetup(name='own', version='1')\n")
    (code / "picture").write_bytes(os.urandom(size))
    one = app("disk", source=str(code), requirements=["./own"])
    sh(f"mkdir -p /srv/wsgi/disk && mount -t tmpfs -o mode=0755,{options} tmpfs /srv/wsgi/disk")
    try:
        status, said = play([one], publish_prune=False)
        assert status != 0, "code and virtualenv found room where there is none"
        for word in ["disk: ", *words]:
            assert word in said, said
    finally:
        sh("umount /srv/wsgi/disk")


def test_what_is_pruned_takes_nothing_else_with_it(watchers):
    """The folder of a log is the account's: a link there leads to what stays."""
    put("/opt/stays/file", "still here\n")
    status, said = play([app("gone"), app("shop", log="/var/log/shop.log")], [site("shop.test", "shop")])
    assert status == 0, said
    owner = sh("stat -c %U /var/log/uwsgi/gone").strip()
    sh("mkdir -p /var/log/uwsgi/gone/a/b && ln -s /opt/stays /var/log/uwsgi/gone/a/stays", user=owner)
    watchers(owner, "/var/log/uwsgi/gone/a/swap", "/opt/stays")
    status, said = play([app("shop", log="/var/log/shop.log")], [site("shop.test", "shop")], publish_prune_data=True)
    assert sh("cat /opt/stays/file") == "still here\n"
    assert sh("ls -d /srv/wsgi/gone", check=False).startswith("ls: cannot access"), said
