"""A stack that somebody set up by hand: read without a trace, examined, and published by what was read."""

import contextlib
import json
import shlex
import time

import pytest
import yaml
from one_host import HOST, get, play, put, sh
from publishing import ansible

CODE = "/home/wyz/flask"
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%(REQUEST_METHOD)s %(PATH_INFO)s of " % environ + environ["HTTP_HOST"]).encode()]
"""
INI = f"""[uwsgi]
socket = 127.0.0.1:5051
pythonpath = {CODE}
module = manage
wsgi-file = {CODE}/manage.py
callable = app
processes = 2
#threads = 2
daemonize = {CODE}/server.log
"""
SERVER = f"""server {{
    listen 80;
    server_name hand.test;
    access_log /var/log/nginx/hand.log;
    location / {{
        include uwsgi_params;
        uwsgi_pass 127.0.0.1:5051;
        uwsgi_param UWSGI_CHDIR {CODE};
        uwsgi_param UWSGI_SCRIPT manage:app;
    }}
    location /static {{
        alias {CODE}/static;
    }}
}}
"""
# All that a run might have written: names, sizes, times of change and owners; and which processes there are.
TRACES = (
    f"find /etc {CODE} /srv /var/log/nginx -xdev -printf '%p %s %T@ %u %m\\n' | sort;"
    " for p in /proc/[0-9]*; do"
    " tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -E '^(/opt/uwsgi|nginx:)' | sed s,^,$p,; done"
)
# There is neither ps nor pkill on a bare host.
STOP = 'for p in /proc/[0-9]*; do [ "$(stat -c %U $p 2>/dev/null)" = wyz ] && kill -9 ${p#/proc/}; done; true'
SITE = "/etc/nginx/conf.d/hand.conf"


@pytest.fixture(scope="module")
def by_hand():
    """The article's way: an ini in the project's folder, started from a shell, and a file in conf.d."""
    # Nothing else is published on the host, of whatever other tests have left there.
    names = sh("ls /etc/uwsgi | sed -n 's/[.]command$//p'").split()
    words = ["-e", f"remove_apps={','.join(names)}", "-e", "remove_data=true"]
    status, said = play(playbook="playbooks/remove.yml", words=words) if names else (0, "")
    assert status == 0, said
    sh("id wyz || useradd -m -s /bin/sh wyz; chmod 755 /home/wyz")
    for path, text in ((f"{CODE}/manage.py", APP), (f"{CODE}/uwsgiconfig.ini", INI), (f"{CODE}/requirements.txt", "")):
        put(path, text, "wyz:wyz")
    put(f"{CODE}/static/a.txt", "a file\n", "wyz:wyz")
    sh(f"chown -R wyz:wyz {CODE}")
    put(SITE, SERVER)
    sh(f"su wyz -c 'cd {CODE} && /opt/uwsgi/current/bin/uwsgi uwsgiconfig.ini'; nginx -s reload")
    for _second in range(20):
        # Until nginx has read it, it closes the connection of whoever asks for an unknown name.
        with contextlib.suppress(AssertionError):
            if get("hand.test")[0] == 200:
                break
        time.sleep(1)
    yield
    sh(f"{STOP}; rm -f {SITE}", check=False)


def run(playbook, **variables):
    words = [f"--extra-vars={key}={shlex.quote(str(value))}" for key, value in variables.items()]
    return ansible("ansible-playbook", *words, f"playbooks/{playbook}.yml")


PAGES = ("/", "/a/b/", "/static/a.txt")


@pytest.fixture(scope="module")
def imported(by_hand, tmp_path_factory):
    """What the import wrote and said, and what there was before and after it and the doctor."""
    where = tmp_path_factory.mktemp("infra")
    before = sh(TRACES)
    status, said = run("import", import_dir=where)
    assert status == 0, said
    examined, found = run("doctor", doctor_format="json", doctor_file=where / "found.json")
    return {"folder": where, "said": said, "examined": (examined, found), "traces": (before, sh(TRACES))}


def test_import_and_doctor_leave_no_trace_on_the_host(imported):
    before, after = imported["traces"]
    assert after == before


def test_what_a_running_stack_is_made_of_is_found(imported):
    assert "2 of 2 locations carried" in imported["said"]
    assert [row for row in imported["said"].splitlines() if "| to be decided |" in row] == []
    given = yaml.safe_load((imported["folder"] / f"{HOST}.yml").read_text())["all"]["vars"]
    [app] = given["publish_apps"]
    assert (app["path"], app["user"], app["requirements"]) == (CODE, "wyz", "requirements.txt")


def test_the_doctor_names_what_is_wrong_with_it(imported):
    _status, said = imported["examined"]
    found = {one["finding"] for one in json.loads((imported["folder"] / "found.json").read_text())["findings"]}
    assert found == {"no-boot", "no-master", "no-pidfile"}, said


VASSAL = """[uwsgi]
socket = 127.0.0.1:5052
module = app
uid = wyz
master = true
virtualenv = /srv/emp/venv
cap = net_raw
plugins = erlang
"""


@pytest.fixture
def emperor(by_hand):
    """An emperor that a shell has started, with a binary that was replaced by one that does not start any more."""
    put("/srv/emp/vassals/old.ini", VASSAL)
    sh("mkdir -p /srv/emp/venv/lib/python2.7; cp /opt/uwsgi/current/bin/uwsgi /srv/emp/uwsgi")
    sh("cd /srv/emp && ./uwsgi --emperor vassals --daemonize /srv/emp/log --pidfile /srv/emp/pid")
    sh("sed s/libjansson.so.4/libjansson.so.9/ /srv/emp/uwsgi > /srv/emp/new && chmod 755 /srv/emp/new")
    sh(f"mv /srv/emp/new /srv/emp/uwsgi; touch -d '1 minute' {SITE}")
    yield
    sh(f"kill -INT $(cat /srv/emp/pid); sleep 1; rm -rf /srv/emp; touch -d '1 hour ago' {SITE}", check=False)


def test_the_doctor_names_what_binaries_lack_and_what_runs_that_is_gone(emperor, tmp_path):
    _status, said = run("doctor", doctor_format="json", doctor_file=tmp_path / "found.json")
    findings = json.loads((tmp_path / "found.json").read_text())["findings"]
    found = {(one["finding"], one["file"], one["line"]) for one in findings}
    vassal, binary = "/srv/emp/vassals/old.ini", "/srv/emp/uwsgi"
    wanted = {("missing-plugin", vassal, 8), ("python-version", vassal, 6), ("old-binary", binary, 0)}
    assert wanted | {("library-gone", binary, 0), ("config-old", SITE, 0)} <= found, said
    told = {one["finding"]: one["evidence"] for one in findings}
    assert "2.7" in told["python-version"] and "libjansson.so.9" in told["library-gone"]
    sh("sed -i /plugins/d /srv/emp/vassals/old.ini")
    _status, said = run("doctor")
    assert "cap is no option of /srv/emp/uwsgi, which was built without capabilities" in said, said


def test_the_old_stacks_answers_are_kept_and_the_same_as_its_own(imported):
    where = imported["folder"] / "asked"
    status, said = run("import", import_dir=where, import_ask="true", import_ask_paths="/a/b/")
    assert status == 0, said
    kept = imported["folder"] / f"asked/{HOST}.answers.txt"
    asked = [one["question"]["path"] for one in json.loads(kept.read_text())["answers"]]
    assert {"/", "/a/b/", "/static", "/static/", "/static/a.txt"} <= set(asked)
    status, said = run("import", import_compare=kept)
    assert status == 0, said
    assert f"2 of 2 locations carried; 0 as options; 0 answers differ of {len(asked)}" in said, said
    status, said = run("import", import_compare=kept, import_at="127.0.0.9", import_ports='{"80": 81}')
    assert status != 0
    assert "import_compare: nobody answered at 127.0.0.9" in said, said


def test_the_inventory_publishes_and_the_answers_stay(imported):
    given = yaml.safe_load((imported["folder"] / f"{HOST}.yml").read_text())["all"]["vars"]
    answers = [get("hand.test", page) for page in PAGES]
    assert [status for status, _text in answers] == [200, 200, 200], answers
    # Moving over is for somebody to do; the site is down meanwhile.
    sh(f"{STOP}; rm {SITE}; nginx -s reload")
    variables = {key: value for key, value in given.items() if key not in ("publish_apps", "publish_sites")}
    status, said = play(given["publish_apps"], given["publish_sites"], **variables)
    assert status == 0, said
    assert [get("hand.test", page) for page in PAGES] == answers
    kept = imported["folder"] / f"asked/{HOST}.answers.txt"
    status, said = run("import", import_compare=kept)
    assert status != 0
    # Ours redirects within the site, wherever it listens.
    assert "| GET http://hand.test/static | Location | http://hand.test/static/ | /static/ |" in said, said
    assert "1 answer differs of" in said, said
    status, said = run("import", import_compare=kept, import_accept_differences="Location")
    assert status == 0, said
    sh(f"echo another >> {CODE}/static/a.txt")
    status, said = run("import", import_compare=kept, import_accept_differences="Location")
    assert status != 0
    assert "1 answer differs of" in said and "| GET http://hand.test/static/a.txt | body |" in said, said
    status, said = run("doctor", doctor_file=imported["folder"] / "ours.txt")
    assert status == 0, said
