"""A stack that somebody set up, with Debian's nginx in front: moved over under load, and back, by four starters."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from one_host import HOST, get, put, sh
from publishing import CHECKOUT, ansible, environment

CODE = "/home/ada/site"
SITE = "/etc/nginx/sites-available/adopted"
UWSGI = "/opt/uwsgi/current/bin/uwsgi"
# Where a test wants both to differ, it says by whom it is run.
APP = """
import os, time
def application(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/token":
        headers.append(("Set-Cookie", "token=%s" % time.time()))
    start_response("200 OK", headers)
    # Only what systemd starts has one.
    who = os.environ.get("INVOCATION_ID", "") if os.path.exists("/home/ada/site/differs") else ""
    return [("%s %s %s" % (environ["PATH_INFO"], environ["HTTP_HOST"], who)).encode()]
"""
INI = """[uwsgi]
socket = 127.0.0.1:5077
chdir = /home/ada/site
wsgi-file = /home/ada/site/run.py
callable = application
master = true
processes = 2
"""
SERVER = f"""server {{
    listen 80;
    server_name adopt.test;
    # Kept as it is.
    location / {{
        include uwsgi_params;
        uwsgi_pass 127.0.0.1:5077;
    }}
    location /token {{
        include uwsgi_params;
        uwsgi_pass 127.0.0.1:5077;
    }}
    location /files/ {{
        alias {CODE}/files/;
    }}
    location /old {{
        return 301 /new;
    }}
}}
"""
UNIT = f"""[Service]
User=ada
ExecStart={UWSGI} --ini {CODE}/uwsgi.ini
KillSignal=SIGQUIT
Restart=always
[Install]
WantedBy=multi-user.target
"""
EMPEROR = f"""[Service]
ExecStart={UWSGI} --ini /etc/uwsgi/emperor.ini
KillSignal=SIGINT
[Install]
WantedBy=multi-user.target
"""
PROGRAM = f"""[program:site]
command={UWSGI} --ini {CODE}/uwsgi.ini
user=ada
stopsignal=QUIT
autostart=true
"""
LOAD = """
import collections, http.client, json, os, threading, time
seen = collections.Counter()
def go():
    while not os.path.exists("/run/load-ends"):
        try:
            link = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
            link.request("GET", "/load", headers={"Host": "adopt.test", "Connection": "close"})
            answer = link.getresponse()
            seen[str(answer.status) if answer.read().startswith(b"/load adopt.test") else "another page"] += 1
        except Exception as error:
            seen[repr(error)] += 1
        time.sleep(0.02)
threads = [threading.Thread(target=go) for _number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(seen))
"""
# There is neither ps nor pkill on a bare host.
HAND = 'for p in /proc/[0-9]*; do [ "$(stat -c %U $p 2>/dev/null)" = ada ] && kill -9 ${p#/proc/}; done; true'
# What was there of ours is moved away, and the package's own files are to come.
FORCE = "-o Dpkg::Options::=--force-confnew -o Dpkg::Options::=--force-confmiss"
INSTALL = f"DEBIAN_FRONTEND=noninteractive apt-get install -qy {FORCE} nginx supervisor"
OURS = "/etc/nginx /etc/systemd/system/nginx.service /usr/sbin/nginx /etc/logrotate.d/nginx"
KEPT = f"{OURS} /var/log/nginx /var/cache/nginx"


@pytest.fixture(scope="module", autouse=True)
def debian():
    """Debian's own nginx in the place of ours, and supervisor."""
    sh(f"systemctl stop nginx; mkdir -p /root/ours; cp -a --parents {KEPT} /root/ours; rm -rf {OURS}", check=False)
    sh(f"systemctl daemon-reload; apt-get update -q; {INSTALL} </dev/null", timeout=500)
    sh("rm -f /etc/nginx/sites-enabled/default; systemctl restart nginx")
    sh("id ada || useradd -m -s /bin/sh ada; chmod 755 /home/ada")
    for name, text in (("run.py", APP), ("uwsgi.ini", INI), ("requirements.txt", ""), ("files/a.txt", "a file\n")):
        put(f"{CODE}/{name}", text, "ada:ada")
    sh(f"chown -R ada:ada {CODE}")
    yield
    sh("systemctl stop nginx supervisor; apt-get purge -y nginx nginx-common supervisor", check=False, timeout=300)
    sh("cp -a /root/ours/. / && rm -rf /root/ours; systemctl daemon-reload; systemctl enable --now nginx")
    words = ["--extra-vars=remove_apps=site", "--extra-vars=remove_data=true"]
    status, said = ansible("ansible-playbook", *words, "playbooks/remove.yml")
    assert status == 0, said


@pytest.fixture(scope="module")
def infra(tmp_path_factory):
    """An inventory that knows the host and no application of it."""
    where = tmp_path_factory.mktemp("infra")
    for path in (os.environ["MOLECULE_INVENTORY_FILE"], CHECKOUT / "molecule/shared/inventory.yml"):
        shutil.copy(path, where / f"{Path(path).stem}-of-it.yml")
    return where


@pytest.fixture
def adopt(infra):
    """Runs the play: its status and all that it said."""

    def run(state, **variables):
        words = ["ansible-playbook", f"--inventory={infra}", "playbooks/adopt.yml", "--extra-vars"]
        words.append(json.dumps({"adopt_state": state, **variables}))
        ran = subprocess.run(words, cwd=CHECKOUT, env=environment(), capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    return run


@contextlib.contextmanager
def load(seen):
    """Visitors all the time; ``seen`` gets what they were answered."""
    sh("rm -f /run/load-ends")
    put("/root/load.py", LOAD)
    visitors = subprocess.Popen(["docker", "exec", HOST, "python3", "/root/load.py"], stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        sh("touch /run/load-ends")
        said, _none = visitors.communicate(timeout=60)
        seen.update(json.loads(said))


def by_hand():
    sh(f"su ada -c 'cd {CODE} && {UWSGI} uwsgi.ini --daemonize {CODE}/server.log'")


def by_systemd():
    put("/etc/systemd/system/site-uwsgi.service", UNIT)
    sh("systemctl daemon-reload; systemctl enable --now site-uwsgi")


def by_supervisor():
    put("/etc/supervisor/conf.d/site.conf", PROGRAM)
    sh("systemctl enable --now supervisor; supervisorctl reread; supervisorctl update")


def by_emperor():
    # What gives up root's rights by itself shows nothing of itself in a container, and what it executes does.
    put("/etc/uwsgi/emperor.ini", "[uwsgi]\nemperor = /etc/uwsgi/vassals\nuid = ada\ngid = ada\n")
    put("/etc/uwsgi/vassals/site.ini", INI)
    put("/etc/systemd/system/emperor-uwsgi.service", EMPEROR)
    sh("systemctl daemon-reload; systemctl enable --now emperor-uwsgi")


STARTERS = {"hand": by_hand, "systemd": by_systemd, "supervisor": by_supervisor, "emperor": by_emperor}


@pytest.fixture
def stack(request, adopt):
    """The old stack, by one of its starters; nothing of it, and nothing of ours, is there afterwards."""
    put(SITE, SERVER)
    STARTERS[request.param]()
    sh(f"ln -sf {SITE} /etc/nginx/sites-enabled/adopted; nginx -s reload")
    for _second in range(40):
        with contextlib.suppress(AssertionError):
            if get("adopt.test")[0] == 200:
                break
        time.sleep(0.5)
    yield request.param
    adopt("back")
    sh("systemctl disable --now emperor-uwsgi; rm -f /etc/systemd/system/emperor-uwsgi.service", check=False)
    sh("rm -rf /etc/uwsgi/emperor.ini /etc/uwsgi/vassals", check=False)
    sh("systemctl disable --now site-uwsgi; rm -f /etc/systemd/system/site-uwsgi.service", check=False)
    sh(f"rm -f /etc/supervisor/conf.d/site.conf {CODE}/differs /etc/nginx/sites-enabled/adopted", check=False)
    sh(f"supervisorctl stop all; supervisorctl update; nginx -s reload; systemctl stop uwsgi@site; {HAND}", check=False)


def commands():
    """The uWSGI of the old stack that run."""
    return sh(
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep '^/opt/uwsgi.* uwsgi.ini\\|"
        f"^/opt/uwsgi.* --ini {CODE}\\|^/opt/uwsgi.* --ini site.ini'; done; true"
    ).splitlines()


def starter_is_on(kind):
    if kind == "systemd":
        return sh("systemctl is-enabled site-uwsgi", check=False).strip() == "enabled"
    if kind == "supervisor":
        return "autostart=true" in sh("cat /etc/supervisor/conf.d/site.conf")
    if kind == "emperor":
        return sh("ls /etc/uwsgi/vassals").split() == ["site.ini"]
    return None


@pytest.mark.parametrize("stack", STARTERS, indirect=True)
def test_a_stack_is_moved_and_moved_back_without_a_failed_request(stack, adopt):
    seen = {}
    before = [get("adopt.test", path) for path in ("/", "/a/b", "/files/a.txt", "/old")]
    with load(seen):
        status, said = adopt("beside")
        assert status == 0, said
        assert "4 of 4 locations carried; 0 as options; 0 answers differ" in said, said
        assert "/token: header set-cookie varies by itself" in said, said
        assert "5077" in sh(f"cat {SITE}")
        status, said = adopt("moved")
        assert status == 0, said
        assert sh(f"cat {SITE}") == SERVER.replace("127.0.0.1:5077", "unix:/run/wsgi/site.sock")
        assert commands() == []
        assert not starter_is_on(stack)
        assert [get("adopt.test", path) for path in ("/", "/a/b", "/files/a.txt", "/old")] == before
        status, said = adopt("moved")
        assert (status, "changed=0" in said) == (0, True), said
        status, said = adopt("back")
        assert status == 0, said
        assert sh(f"cat {SITE}") == SERVER
        # Its workers have put the words of their command in another order.
        assert commands() != []
        assert starter_is_on(stack) in (None, True)
    assert set(seen) == {"200"}, seen
    assert seen["200"] > 200


@pytest.mark.parametrize("stack", ["hand"], indirect=True)
def test_a_stack_whose_answers_differ_is_not_moved(stack, adopt):
    sh(f"touch {CODE}/differs")
    was = commands()
    assert was != []
    status, said = adopt("moved")
    assert status != 0
    assert "nothing was moved" in said, said
    assert "| GET http://adopt.test/ | body |" in said, said
    assert sh(f"cat {SITE}") == SERVER
    assert commands() == was
    assert sh("ls /etc/nginx/*trial* /var/lib/graceful-wsgi/adopt/trial 2>/dev/null", check=False) == ""
    status, said = adopt("moved", adopt_accept_differences=["body"])
    assert status == 0, said
    assert "unix:/run/wsgi/site.sock" in sh(f"cat {SITE}")
    # What nginx leads to does not go under it.
    status, said = ansible("ansible-playbook", "--extra-vars=remove_apps=site", "playbooks/remove.yml")
    assert status != 0
    assert "adopt_state=back" in said, said
    assert get("adopt.test")[0] == 200


@pytest.mark.parametrize("stack", ["systemd"], indirect=True)
def test_back_without_the_old_application_leaves_nginx_where_it_is(stack, adopt):
    status, said = adopt("moved")
    assert status == 0, said
    sh(f"mv {CODE}/uwsgi.ini {CODE}/away.ini")
    try:
        status, said = adopt("back", adopt_timeout=4)
        assert status != 0
        assert "nginx was not led back" in said, said
        assert get("adopt.test")[0] == 200
    finally:
        sh(f"mv {CODE}/away.ini {CODE}/uwsgi.ini")
    status, said = adopt("back")
    assert status == 0, said
    assert get("adopt.test")[0] == 200


def test_a_state_that_is_none_is_refused(adopt):
    status, said = adopt("gone")
    assert status != 0
    assert "adopt_state: 'gone' is not known; write beside, moved, back" in said, said
