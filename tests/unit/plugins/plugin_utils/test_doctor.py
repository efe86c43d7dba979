"""Each pitfall that the doctor knows: a set-up that has it, a like one that has not, and what is said."""

import datetime
import json

import golden_import
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files
from ansible_collections.graceful.wsgi.plugins.plugin_utils import doctor
from ansible_collections.graceful.wsgi.plugins.plugin_utils.doctor_findings import KINDS, SEVERITIES

CONF, INI, UNIT = "/etc/nginx/conf.d/a.conf", "/srv/app/app.ini", "/etc/systemd/system/app.service"
HEALTHY = "[uwsgi]\nmodule = app\nmaster = true\nuid = app\nsocket = 127.0.0.1:5051\n"
STARTED = f"[Service]\nUser=app\nExecStart=/usr/bin/uwsgi --ini {INI}\n[Install]\nWantedBy=multi-user.target\n"
ASKED = "include uwsgi_params; uwsgi_pass 127.0.0.1:5051;"


def conf(inside=f"location / {{ {ASKED} }}", around="", listen="80 default_server"):
    return f"{around} server {{ listen {listen}; server_name a.test; {inside} }}"


def files(text=None, ini=HEALTHY, more=None):
    return {CONF: text or conf(), INI: ini, UNIT: STARTED, **(more or {})}


UPSTREAM = "upstream u { server 127.0.0.1:5051; }"
WRONG_NAME = "location / { include uwsgi_param; uwsgi_pass 127.0.0.1:5051; }"
TWO = "server { listen 80; server_name a.test; } server { listen 80; server_name b.test; }"
# pitfall: [(set-up, what the evidence holds), ...]
FILES = {
    "protocol": [
        (files(ini=HEALTHY.replace("socket =", "http =")), "http = 127.0.0.1:5051"),
        (files(ini=HEALTHY.replace("socket =", "http-socket =")), "http-socket"),
        (files(conf("location / { proxy_pass http://127.0.0.1:5051; }")), "proxy_pass"),
        (files(conf("location / { uwsgi_pass http://127.0.0.1:5051; }")), "address of HTTP"),
        (files(conf("location / { uwsgi_pass u; }", UPSTREAM), HEALTHY + "protocol = http\n"), "u"),
    ],
    "nobody-listens": [
        (files(conf("location / { uwsgi_pass 127.0.0.1:5052; }")), "127.0.0.1:5051"),
        (files(conf("location / { uwsgi_pass unix:/run/a.sock; }")), "unix:/run/a.sock"),
    ],
    "uwsgi-param": [(files(conf(WRONG_NAME)), "include uwsgi_param")],
    "syntax": [
        (files(conf() + "\n// a note\n"), "//"),
        (files("server { listen 80; "), "expecting"),
    ],
    "gevent-threads": [(files(ini=HEALTHY + "gevent = 100\nthreads = 2\n"), "gevent = 100")],
    "gevent-async": [(files(ini=HEALTHY + "gevent = 1000\nasync = 30\n"), "async = 30")],
    "websocket-processes": [(files(ini=HEALTHY + "gevent = 9\nhttp-websockets = 1\nworkers = 4\n"), "workers = 4")],
    "daemonize": [(files(ini=HEALTHY + "daemonize = /var/log/a.log\npidfile = /run/a.pid\n"), UNIT)],
    "no-pidfile": [({INI: HEALTHY + "daemonize = /var/log/a.log\n"}, "daemonize")],
    "open-socket": [
        (files(ini=HEALTHY.replace("127.0.0.1:5051", ":5051")), "socket = :5051"),
        (files(ini=HEALTHY.replace("127.0.0.1:5051", "0.0.0.0:5051")), "0.0.0.0"),
        (files(ini=HEALTHY.replace("127.0.0.1:5051", "10.0.0.1:5051")), "10.0.0.1"),
    ],
    "world-socket": [({INI: HEALTHY.replace("127.0.0.1:5051", "/tmp/a.sock") + "chmod-socket = 666\n"}, "/tmp/a.sock")],
    "root": [
        (files(ini=HEALTHY.replace("uid = app", "uid = root")), "uid = root"),
        ({INI: HEALTHY.replace("uid = app\n", ""), UNIT: STARTED.replace("User=app\n", "")}, "no uid"),
    ],
    "dead-directive": [(files(conf(f"location / {{ {ASKED} proxy_set_header Upgrade $http_upgrade; }}")), "Upgrade")],
    "slash": [(files(conf("location /a { proxy_pass http://127.0.0.1:9/; }")), "location /a")],
    "prefix": [(files(conf("location /zbx/ { proxy_pass http://127.0.0.1:8881/zabbix/; }")), "/zabbix/")],
    "alias-traversal": [(files(conf("location /static { alias /srv/static/; }")), "/srv/static/")],
    "regex-shadow": [
        (files(conf(r"location /media/ { alias /m/; } location ~ \.(png|css)$ { root /s; }")), "/media/"),
        (files(conf("location /a/ { alias /m/; } location ~ ^/a { return 404; }")), "/a/"),
    ],
    "shadowed-server": [(files(conf() + " server { listen 80; server_name a.test; }"), "a.test")],
    "accidental-default": [({CONF: TWO}, "2 servers")],
    "unknown-option": [(files(ini=HEALTHY + "harakri = 20\n"), "perhaps harakiri")],
    "relative-daemon": [(files(ini=HEALTHY + "attach-daemon = ./manage.py work\n"), "./manage.py")],
    "no-master": [(files(ini=HEALTHY.replace("master = true", "processes = 4")), "4 processes")],
    "body-limits": [
        (files(conf(f"client_max_body_size 20m; location / {{ {ASKED} }}"), HEALTHY + "limit-post = 1048576\n"), "20m"),
        (files(conf(f"client_max_body_size 0; location / {{ {ASKED} }}"), HEALTHY + "limit-post = 1048576\n"), "0"),
    ],
    "timeouts": [
        (files(ini=HEALTHY + "harakiri = 120\n"), "60s"),
        (files(conf(f"uwsgi_read_timeout 2m; location / {{ {ASKED} }}"), HEALTHY + "harakiri = 150\n"), "120s"),
    ],
}
CASES = [(kind, index) for kind, cases in FILES.items() for index in range(len(cases))]


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_a_pitfall_in_files_is_named(kind, index):
    given, evidence = FILES[kind][index]
    found = [one for one in doctor.examine(doctor.Stack({"files": given})) if one.kind == kind]
    assert found and evidence in found[0].evidence
    assert found[0].file in given and found[0].line > 0


SOUND = {
    "": files(),
    "unix": files(
        conf("location / { uwsgi_pass unix:/run/a.sock; }"), HEALTHY.replace("127.0.0.1:5051", "/run/a.sock")
    ),
    "http": files(
        conf("location / { proxy_pass http://127.0.0.1:5051; }"), HEALTHY.replace("socket =", "http-socket =")
    ),
    "elsewhere": {CONF: conf("location / { uwsgi_pass 10.0.0.3:5051; }")},
    "gevent": files(ini=HEALTHY + "gevent = 100\nprocesses = 1\nhttp-websockets = true\n"),
    "static": files(conf(f"location /static/ {{ alias /srv/static/; }} location / {{ {ASKED} }}")),
    "prefix alike": files(conf("location /zabbix/ { proxy_pass http://127.0.0.1:8881/zabbix/; }")),
    "stripped": files(conf("location /a/ { proxy_pass http://127.0.0.1:8881/; }")),
    "regex behind ^~": files(conf(r"location ^~ /media/ { alias /m/; } location ~ \.png$ { root /s; }")),
    "two chosen": {CONF: TWO.replace("80;", "80 default_server;", 1)},
    "one that refuses": {CONF: TWO + " server { listen 80; server_name _; return 444; }"},
    "limits alike": files(
        conf(f"client_max_body_size 1m; location / {{ {ASKED} uwsgi_read_timeout 130s; }}"),
        HEALTHY + "limit-post = 1048576\nharakiri = 120\n",
    ),
    "placeholder": files(ini=HEALTHY.replace("module = app", "project = app\nmodule = %(project)")),
    "daemon in a folder": files(ini=HEALTHY + "chdir = /srv/app\nattach-daemon = ./manage.py work\n"),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_healthy_one(name):
    assert doctor.examine(doctor.Stack({"files": SOUND[name]})) == []


def host(**more):
    return {"files": files(), "processes": [], "limits": {}, "enabled": ["app.service"], "messages": [], **more}


MASTER = {"pid": 7, "kind": "uwsgi", "command": ["uwsgi", INI], "folder": "/", "user": "app"}
PEM = "/etc/ssl/a.pem"
SECURE = conf(f"ssl_certificate {PEM}; location / {{ {ASKED} }}", listen="443 ssl default_server")
LOGS = files(conf(f"access_log /home/a/logs/a.log; location / {{ {ASKED} }}"))
STATIC = files(conf(f"location /s/ {{ alias /home/a/s/; }} location / {{ {ASKED} }}"))
PID = files(ini=HEALTHY + "pidfile = /run/a/a.pid\n")
# pitfall: (what the host tells, what is looked at, what the evidence holds)
LIVE = {
    "log-folder": (host(files=LOGS), {"/home/a/logs": {"kind": "missing"}}, "/home/a/logs"),
    "unreadable-static": (host(files=STATIC), {"/home/a/s/": {"kind": "folder", "closed": "/home/a"}}, "/home/a"),
    "missing-static": (host(files=STATIC), {"/home/a/s/": {"kind": "missing"}}, "/home/a/s/"),
    "stale-pidfile": (host(files=PID), {"/run/a/a.pid": {"kind": "file", "mode": 0o644, "alive": False}}, "a.pid"),
    "open-pidfile": (host(files=PID), {"/run/a/a.pid": {"kind": "file", "mode": 0o666, "alive": True}}, "666"),
    "listen-queue": (host(files=files(ini=HEALTHY + "listen = 1024\n"), limits={"somaxconn": 128}), {}, "128"),
    "overflows": (host(limits={"overflows": 3}), {}, "3"),
    "selinux": (host(limits={"denials": 2}), {}, "2 denials"),
    "no-boot": (host(processes=[MASTER], enabled=[]), {}, "app.service is not enabled"),
    "root": (
        host(files=files(ini=HEALTHY.replace("uid = app\n", "")), processes=[{**MASTER, "user": "root"}]),
        {},
        "root",
    ),
    "certificate-old": (
        host(files=files(SECURE), processes=[{"pid": 1, "kind": "nginx", "command": ["nginx"], "read": 1000}]),
        {PEM: {"kind": "file", "mode": 0o644, "changed": 2000}},
        PEM,
    ),
}


@pytest.mark.parametrize("kind", LIVE)
def test_a_pitfall_of_a_host_is_named(kind):
    given, looked, evidence = LIVE[kind]
    found = [one for one in doctor.examine(doctor.Stack(given, looked)) if one.kind == kind]
    assert found and evidence in found[0].evidence


def test_a_master_that_nobody_starts_is_named():
    given = host(files={CONF: conf(), INI: HEALTHY}, processes=[MASTER])
    assert [one.kind for one in doctor.examine(doctor.Stack(given))] == ["no-boot"]


def test_a_healthy_host_has_nothing():
    looked = {"/run/a/a.pid": {"kind": "file", "mode": 0o644, "alive": True}}
    looked["/run/a"] = {"kind": "folder", "mode": 0o755}
    given = host(files=PID, processes=[MASTER], limits={"somaxconn": 4096, "overflows": 0, "denials": 0})
    assert doctor.examine(doctor.Stack(given, looked)) == []


@pytest.mark.parametrize(("days", "named"), [(-3, True), (5, True), (60, False)])
def test_a_certificate_near_its_end_is_named(days, named):
    today = datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.test")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(today - datetime.timedelta(days=30))
    made = made.not_valid_after(today + datetime.timedelta(days=days)).sign(key, hashes.SHA256())
    looked = {PEM: {"kind": "file", "mode": 0o644, "certificate": made.public_bytes(Encoding.PEM).decode()}}
    found = [one.kind for one in doctor.examine(doctor.Stack(host(files=files(SECURE)), looked))]
    assert ("certificate-end" in found) == named


# Those that are told by binaries are tried in test_doctor_programs.py.
BINARIES = {"missing-plugin", "lacking-option", "websocket-ssl", "python-version", "nginx-lacks", "library-gone"}
BINARIES |= {"old-binary", "old-library", "config-old"}


def test_each_kind_is_tried_and_says_what_comes_of_it():
    assert {*FILES, *LIVE, *BINARIES, "certificate-end"} == set(KINDS)
    for kind in KINDS.values():
        assert kind.severity in SEVERITIES and kind.consequence and kind.cure


ARTICLE = {
    "article-flask": {"no-master", "no-pidfile", "syntax"},
    "article-websocket": {"dead-directive", "gevent-async", "no-pidfile"},
    "article-several": {"dead-directive", "gevent-async", "no-pidfile", "uwsgi-param"},
}


@pytest.mark.parametrize("name", ARTICLE)
def test_what_the_article_has_is_named(name):
    found = stack_files.folder(str(golden_import.FOLDER / name))
    assert {one.kind for one in doctor.examine(doctor.Stack(found))} == ARTICLE[name]


def test_findings_are_told_as_text_and_as_data():
    found = doctor.examine(doctor.Stack({"files": FILES["open-socket"][0][0]}))
    text = doctor.told(found, ["x: left out"])
    assert f"serious: open-socket: {INI}:5" in text and "cure: " in text and "not read: x: left out" in text
    data = json.loads(doctor.document(found))
    assert data["findings"][0]["severity"] == "serious" and data["findings"][0]["line"] == 5
    assert doctor.is_serious(found) and not doctor.is_serious([]) and doctor.told([]) == "nothing found"
