"""The way back to a release with the configuration that it was live with; secrets, sockets and server blocks stay."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import publishing
import pytest
from one_host import app, get, play, sh, site
from visiting import visitors

FIRST, ROTATED = "canary-31f0aa", "canary-77b1cc"
RECORDS = "/srv/wsgi/wayback/releases/.records"
APP = """
import os
VERSION = {version!r}
def application(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    told = [VERSION, os.environ["MODE"], os.environ.get("MORE", "-"), os.environ["TOKEN"][-2:]]
    return [" ".join(told).encode()]
"""
WORKER = """
import sys, time
from app import VERSION
while True:
    time.sleep(60)
"""


class Shop:
    def __init__(self, folder):
        self.folder = folder
        (folder / "code").mkdir()
        (folder / "wait.yml").write_text("- name: Wait\n  ansible.builtin.command: sleep 300\n")
        (folder / "fail.yml").write_text("- name: Say no\n  ansible.builtin.fail:\n    msg: not today\n")

    def given(self, version):
        """The application as the inventory has it: 1 is what it was, 2 what became of it, with the secret rotated."""
        common = {"source": str(self.folder / "code"), "requirements": [], "module": "app", "callable": "application"}
        new = version != "1"
        workers = [{"name": "jobs", "command": f"python worker.py {'new' if new else 'old'}", "stop_timeout": 5}]
        workers += [{"name": "extra", "command": "python worker.py extra", "stop_timeout": 5}] if new else []
        settings = {
            "processes": 2 if new else 1,
            "env": {"MODE": "new"} if new else {"MODE": "old", "MORE": "yes"},
            "secrets": {"TOKEN": ROTATED if new else FIRST},
            "options": {"procname-prefix": "fresh"} if new else {},
            "workers": workers,
        }
        return app("wayback", **common, **settings)

    def publish(self, version, code=None, **variables):
        for name, text in (("app.py", APP.format(version=code or version)), ("worker.py", WORKER)):
            (self.folder / "code" / name).write_text(text)
        return self.run("site", version, **variables)

    def run(self, book, version="2", *words, **variables):
        extra = [word for one in words for word in ("-e", one)]
        name = f"playbooks/{book}.yml"
        status, said = play([self.given(version)], [site("wayback.test", "wayback")], extra, playbook=name, **variables)
        assert FIRST not in said and ROTATED not in said
        return status, said


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    made = Shop(tmp_path_factory.mktemp("wayback"))
    for version in ("1", "2"):
        status, said = made.publish(version)
        assert status == 0, said
    yield made
    play(playbook="playbooks/remove.yml", remove_apps=["wayback"], remove_data=True)


OLD, NEW = "1 old yes cc", "2 new - cc"


def state():
    """What a visitor is answered, workers' commands, processes of uWSGI's, and where nginx is led."""
    told = sh("systemctl show -p ExecStart 'wsgi-wayback-*.service' | grep -o 'worker.py [a-z]*' | sort -u").split()
    running = sh("systemctl list-units --plain --no-legend --state=active 'wsgi-wayback-*.service'").splitlines()
    processes = re.search(r"^(?:processes|workers) = (\d+)$", sh("cat /etc/uwsgi/wayback.ini"), re.MULTILINE)[1]
    return get("wayback.test"), told[1::2], len(running), processes, sh("sha256sum /etc/nginx/conf.d/*.conf")


def test_code_environment_processes_and_workers_come_back_and_a_rotated_secret_does_not(shop):
    before = state()
    assert before[:4] == ((200, NEW), ["extra", "new"], 2, "2")
    with visitors("wayback.test"):
        status, said = shop.run("rollback", "2", "app=wayback")
    assert status == 0, said
    assert re.search(r"its virtualenv and the configuration that it was live with \(\w{8}\)", " ".join(said.split()))
    assert state() == ((200, OLD), ["old"], 1, "1", before[4])
    assert sh(f"stat -c '%a %U' {RECORDS}/*.settings | sort -u") == "600 root\n"
    assert "canary" not in sh(f"cat {RECORDS}/*")
    said = shop.run("history")[1]
    lines = [line.split() for line in said.splitlines() if " live " in line or " earlier " in line]
    assert len({words[-1] for words in lines}) == len(lines) == 2, said
    # From there the next one leads to where the first came from.
    status, said = shop.run("rollback", "2", "app=wayback")
    assert status == 0 and state() == before, said


def test_a_way_back_that_fails_goes_back_with_its_configuration(shop):
    before = state()
    status, said = shop.run("rollback", "2", "app=wayback", publish_after_reload=[str(shop.folder / "fail.yml")])
    assert status == 2 and "Live again as it was: wayback" in said and "NOT as it was" not in said, said
    assert state() == before


def test_after_one_that_was_killed_the_next_run_makes_what_the_variables_say(shop):
    before = state()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        given = {"publish_set": "trial", "publish_apps": [shop.given("2")], "app": "wayback"}
        given["publish_sites"] = [site("wayback.test", "wayback")]
        json.dump({**given, "publish_after_prepare": [str(shop.folder / "wait.yml")]}, file)
        file.flush()
        book = str(publishing.CHECKOUT / "playbooks/rollback.yml")
        words = [f"--inventory={publishing.inventory()}", f"--extra-vars=@{file.name}", book]
        run = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), *words],
            env=publishing.environment(),
            cwd=publishing.CHECKOUT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _try in range(120):
            if "sleep 300" in sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true"):
                break
            time.sleep(0.5)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert "MODE=\"old\"" in sh("cat /etc/uwsgi/wayback.env") and get("wayback.test") == (200, NEW)
    with visitors("wayback.test"):
        status, said = shop.run("site")
    assert status == 0 and state() == before, said
    assert "changed=0" in shop.run("site")[1]


def test_the_inventorys_configuration_is_taken_where_that_is_asked_for_or_none_was_kept(shop):
    status, said = shop.run("rollback", "2", "app=wayback", "configuration=inventory")
    assert status == 0 and get("wayback.test") == (200, "1 new - cc"), said
    assert "the configuration is the one of the inventory, as it was asked for" in " ".join(said.split()), said
    sh(f"rm {RECORDS}/*.settings")
    status, said = shop.run("rollback", "2", "app=wayback")
    assert status == 0 and get("wayback.test") == (200, NEW), said
    assert "no configuration is kept with it, and so it is the one of the inventory" in " ".join(said.split()), said
    # The first run of this version keeps that of what is live.
    sh(f"rm -f {RECORDS}/*.settings")
    assert "changed=1 " in shop.run("site")[1] and sh(f"ls {RECORDS}/*.settings")
