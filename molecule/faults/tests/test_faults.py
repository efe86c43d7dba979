"""Whatever goes wrong on the way: the live tree is the old one or the new one, nginx accepts it, the site answers."""

import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from load import Load
from publishing import CHECKOUT, WHOAMI, deploy, environment, inventory

KILL = Path(__file__).resolve().parents[1] / "files/kill/sitecustomize.py"
PLACE = "/var/tmp/faults"
CONF, STATE = "/etc/nginx/conf.d", "/var/lib/graceful-wsgi/bundles"
# Every path below what is written, with kind, mode, owner, target and content.
TREE = """
find /etc/nginx /etc/uwsgi /etc/logrotate.d /etc/tmpfiles.d /etc/systemd/system/uwsgi* -printf '%p %y %m %U %G %l\\n'
find /etc/nginx /etc/uwsgi /etc/logrotate.d /etc/tmpfiles.d /etc/systemd/system/uwsgi* -type f -exec sha256sum {} + |
    sed 's/\\([^ ]*\\)  \\(.*\\)/\\2 \\1/'
"""
ACTIVATE = "systemctl reload-or-restart nginx.service"
BUNDLE = {
    "name": "faults",
    "validate": [{"tree": "/etc/nginx", "command": "/usr/sbin/nginx -t -q -c {tree}/nginx.conf"}],
    "activate": ACTIVATE,
    "prune": True,
}
# An activation that can be met on its way, and waits until it may go on.
SLOW = f"""
echo $PPID >{PLACE}/met
for _ in $(seq 600); do [ -e {PLACE}/go ] && break; sleep 0.1; done
exec {ACTIVATE}
"""
CLEAN = ["lock", "manifest.json", "previous.json"]


def site(name, text, **more):
    block = f"server {{ server_name {name}.fault.test; return 200 '{text}'; }}\n"
    return {"dest": f"{CONF}/fault-{name}.conf", "content": block, **more}


SETS = {
    "old": [site("changed", "old"), site("gone", "old"), site("same", "same")],
    "new": [site("added", "new"), site("changed", "new", mode="0640"), site("same", "same")],
    "other": [site("added", "other"), site("gone", "other")],
    "bad": [site("added", "bad"), site("gone", "bad"), {"dest": f"{CONF}/fault-bad.conf", "content": "server {"}],
}


def tree(host):
    found = {}
    for line in host.check_output(TREE).splitlines():
        path, _space, rest = line.partition(" ")
        found.setdefault(path, []).append(rest)
    return found


def check(host):
    """The live tree, once nginx has accepted it."""
    tried = host.run("/usr/sbin/nginx -t -q")
    assert tried.rc == 0, tried.stderr
    return tree(host)


@dataclass
class Bundle:
    """The bundle of these tests on the host: the module by Ansible, or by itself just as Ansible leaves it there."""

    host: object
    python: str
    trees: dict

    def ansible(self, wanted, **more):
        args = json.dumps({**BUNDLE, "files": SETS.get(wanted, []), **more})
        return self.host.ansible("graceful.wsgi.file_bundle", args, check=False)

    def leave(self, name, *args, **more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANSIBLE_KEEP_REMOTE_FILES", "1")
            patch.setenv("ANSIBLE_REMOTE_TMP", f"{PLACE}/{name}")
            self.ansible(*args, **more)

    def run(self, name, before=""):
        """(status, what it said, the live tree) of the module left under this name."""
        ran = self.host.run(f"{before} {self.python} {PLACE}/{name}/*/AnsiballZ_file_bundle.py")
        return ran.rc, ran.stdout + ran.stderr, check(self.host)

    def settles(self, wanted):
        """A run that nothing keeps from it makes the tree what it should be, whatever was left before."""
        status, said, found = self.run(wanted)
        assert status == 0, said
        assert found == self.trees[wanted]
        assert self.state() == CLEAN

    def state(self):
        return sorted(self.host.check_output(f"ls -A {STATE}/faults").split())


@pytest.fixture(scope="module")
def bundle(host):
    host.check_output(f"rm -rf {PLACE}; mkdir -p {PLACE}/kill")
    for name, text in ((f"kill/{KILL.name}", KILL.read_bytes()), ("slow", SLOW.encode())):
        host.check_output(f"echo {base64.b64encode(text).decode()} | base64 -d > {PLACE}/{name}")
    # As on a host that is no container: nginx, whose unit has a view of its own, sees what is mounted later.
    host.check_output("mount --make-rshared / && systemctl restart nginx")
    bundle = Bundle(host, host.ansible.get_variables()["ansible_python_interpreter"], {})
    for name in ("new", "old"):
        bundle.leave(name, name)
        bundle.trees[name] = check(host)
    bundle.leave("bad", "bad")
    assert bundle.trees["new"] != bundle.trees["old"]
    yield bundle
    bundle.ansible("none")
    host.check_output(f"rm -rf {PLACE} {STATE}/faults /tmp/ansible_*payload*")


@pytest.fixture(autouse=True)
def load(host, bundle):
    """No test here may cost a request."""
    bundle.settles("old")
    address = next(found for found in host.interface("eth0").addresses if ":" not in found)
    with Load(address, host="shop.test", clients=4, rate=60, reopen=True) as running:
        yield running
    assert running.failures == []
    assert len(running.requests) > 10


# -- what is wrong with the files ------------------------------------------------------------------------------------


def published():
    return yaml.safe_load((CHECKOUT / "molecule/reload/inventory/group_vars/all.yml").read_text())


BAD_BLOCKS = {
    # Each server block is right by itself.
    "two backlogs": ([{"listen": ["80 backlog=100"]}, {"listen": ["80 backlog=200"]}], "duplicate listen options"),
    "unknown directive": ([{"options": {"no_such_directive": "x"}}], 'unknown directive "no_such_directive"'),
}


@pytest.mark.parametrize(("changes", "message"), BAD_BLOCKS.values(), ids=BAD_BLOCKS)
def test_an_invalid_server_block(host, changes, message):
    """Nor do the applications change that come along with it."""
    sites, before = published()["publish_sites"], check(host)
    for entry, change in zip(sites, changes, strict=False):
        entry.update(change)
    # The second time the application's part of it has been found good already.
    for _attempt in range(2):
        status, said = deploy(WHOAMI, publish_sites=sites, shop_options={"harakiri": 34})
        assert status == 2, said
        assert message in said, said
        assert check(host) == before


def test_an_ini_that_the_plan_refuses(host):
    before = check(host)
    status, said = deploy(WHOAMI, shop_options={"harakirri": 30})
    assert status == 2, said
    assert "did you mean harakiri?" in said
    assert check(host) == before


def test_an_ini_that_the_plan_cannot_see(host, tmp_path):
    """Not even the preflight's own uWSGI does: whatever logs is left out of that."""
    before, own = check(host), tmp_path / "own.ini.j2"
    line = "{% if app.name == 'shop' %}log-mastr = true{% endif %}"
    own.write_text(f"{{% extends 'app.ini.j2' %}}{{% block more %}}{line}\n{{% endblock %}}\n")
    status, said = deploy(WHOAMI, publish_app_template=str(own))
    assert status == 2, said
    assert "no option log-mastr" in said
    assert check(host) == before


# -- what is wrong with the disk -------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(host, folder, how):
    host.check_output(how)
    try:
        seen = host.check_output("cat /proc/$(cat /run/nginx.pid)/mountinfo")
        assert f" {folder} " in seen
        yield
    finally:
        host.check_output(f"umount {folder}")


def bound(host, folder):
    return mounted(host, folder, f"mount -o bind {folder} {folder}")


# tmpfs takes a page for the shortest file, and an inode for every name.
@pytest.mark.parametrize(("limit", "used", "unit"), [("size", "(%b-%f)*4", "k"), ("nr_inodes", "%c-%d", "")])
@pytest.mark.parametrize("folder", [CONF, STATE])
def test_a_full_disk(host, bundle, folder, limit, used, unit):
    """With room for nothing more, for one thing more and so on, until all has room."""
    copy = f"rm -rf {PLACE}/copy; cp -a {folder} {PLACE}/copy; mount -t tmpfs -o mode=755 faults {folder}"
    with mounted(host, folder, f"{copy}; cp -a {PLACE}/copy/. {folder}/"):
        begun = int(host.check_output(f"echo $(( $(stat -f -c '{used}' {folder}) ))"))
        for room in itertools.count(step=4 if unit else 1):
            host.check_output(f"mount -o remount,{limit}={begun + room}{unit} {folder}")
            status, said, found = bundle.run("new")
            if status == 0:
                break
            assert "No space left on device" in said, said
            assert found == bundle.trees["old"], said
            assert bundle.state() == CLEAN
        print(f"all had room with {room}{unit} more")
        assert room > 1
        assert found == bundle.trees["new"]
        host.check_output(f"mount -o remount,{limit}={begun + 4000}{unit} {folder}")
        bundle.settles("old")


@pytest.mark.parametrize("folder", [CONF, STATE])
def test_a_read_only_target(host, bundle, folder):
    with bound(host, folder):
        host.check_output(f"mount -o remount,bind,ro {folder}")
        status, said, found = bundle.run("new")
        assert status == 1
        assert "Read-only file system" in said, said
        assert found == bundle.trees["old"]
    bundle.settles("new")


def test_a_disk_that_turns_read_only_in_the_middle(host, bundle):
    """Nothing can be put back then; the next run does it."""
    path = f"{CONF}/fault-changed.conf"
    with bound(host, CONF):
        said = bundle.ansible("new", activate=f"sh -c 'mount -o remount,bind,ro {CONF}; false'")["msg"]
        assert "NOT everything could be put back, the next run tries again" in said
        assert check(host)[path] == bundle.trees["new"][path]
        host.check_output(f"mount -o remount,bind,rw {CONF}")
        bundle.settles("old")


# -- what ends a run -------------------------------------------------------------------------------------------------


def whole(found, bundle):
    """Whether every file is as one of the two sets has it, or hidden."""
    return all(
        entry in (bundle.trees["old"].get(path), bundle.trees["new"].get(path)) or path.startswith(f"{CONF}/.")
        for path, entry in found.items()
    )


def test_a_kill_between_every_two_steps(bundle):
    kinds = []
    for number in itertools.count(1):
        status, said, found = bundle.run("new", f"PYTHONPATH={PLACE}/kill KILL_AT={number}")
        assert whole(found, bundle), (number, found)
        if status == 0:
            break
        assert status == 137, said
        kinds.append(next((name for name, known in bundle.trees.items() if found == known), "mixed"))
        # The next run is one of the same set, one that nginx does not accept, or one that wants back what was there.
        if number % 3 == 0:
            bundle.settles("new")
        if number % 3 == 1:
            status, said, found = bundle.run("bad")
            assert status == 1, said
            assert found in bundle.trees.values(), number
        bundle.settles("old")
    print(f"{len(kinds)} kills: {kinds}")
    assert {"old", "mixed", "new"} == set(kinds)
    assert found == bundle.trees["new"]


@pytest.fixture
def start(host):
    """Has Ansible write a set by an activation that can be met, in a process group of its own."""
    host.check_output(f"rm -f {PLACE}/met {PLACE}/go")

    def start(wanted):
        args = json.dumps({**BUNDLE, "files": SETS[wanted], "activate": f"sh {PLACE}/slow"})
        return subprocess.Popen(
            [
                "ansible",
                f"--inventory={inventory()}",
                "--module-name=graceful.wsgi.file_bundle",
                f"--args={args}",
                host.backend.get_hostname(),
            ],
            cwd=CHECKOUT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    yield start
    host.check_output(f"touch {PLACE}/go")


# Without a terminal the module lives on, with one it is hung up on.
@pytest.mark.parametrize("hangup", [False, True], ids=["cut", "hung up"])
def test_the_connection_is_cut(host, bundle, start, hangup):
    controller = start("new")
    host.check_output(f"timeout 60 sh -c 'until [ -s {PLACE}/met ]; do sleep 0.1; done'")
    os.killpg(controller.pid, signal.SIGKILL)
    controller.communicate()
    if hangup:
        host.check_output(f"kill -HUP $(cat {PLACE}/met)")
    assert whole(check(host), bundle)
    # Who lives on has the lock, and gives it back once it is done.
    host.check_output(f"touch {PLACE}/go; flock {STATE}/faults/lock true")
    if not hangup:
        assert check(host) == bundle.trees["new"]
        assert bundle.state() == CLEAN
    bundle.settles("new")


def test_two_plays_at_once(host, start):
    plays = {name: start(name) for name in ("new", "other")}
    while all(play.poll() is None for play in plays.values()):
        time.sleep(0.1)
    host.check_output(f"touch {PLACE}/go")
    said = {name: play.communicate()[0] for name, play in plays.items()}
    lost, won = sorted(plays, key=lambda name: -plays[name].returncode)
    assert (plays[lost].returncode, plays[won].returncode) == (2, 0), said
    assert "another run is writing the bundle faults on this host; wait for it, run again" in said[lost]
    found = check(host)
    assert {path for path in found if path.startswith(f"{CONF}/fault-")} == {file["dest"] for file in SETS[won]}
    for file in SETS[won]:
        assert host.file(file["dest"]).content_string == file["content"]


# The last one, since it leaves another configuration than the others begin with.
def test_two_deploys_at_once(host):
    """Who comes second is told so, or its configuration is the last one."""
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda seconds: deploy(WHOAMI, shop_options={"harakiri": seconds}), (41, 42)))
    assert 0 in [status for status, _said in ran], ran
    for status, said in ran:
        assert status == 0 or "another run works on the set main of this host" in said, said
    check(host)
    done = {f"harakiri = {seconds}" for seconds, (status, _said) in zip((41, 42), ran, strict=True) if status == 0}
    assert host.check_output("grep ^harakiri /etc/uwsgi/shop.ini") in done
    [running] = host.ansible("graceful.wsgi.uwsgi_info", "pidfile=/run/uwsgi-shop/pid", check=False)["instances"]
    assert (running["running"], running["config_changed"]) == (True, False)
