"""What binaries lack and what runs that is gone: told by real binaries, and found or not found by the doctor."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import doctor, doctor_programs
from ansible_collections.graceful.wsgi.plugins.plugin_utils.doctor_programs import NGINX_TEXTS, NO_REGEX, NO_SSL

CONF, INI, UNIT = "/etc/nginx/conf.d/a.conf", "/srv/app/app.ini", "/etc/systemd/system/app.service"
HEALTHY = "[uwsgi]\nmodule = app\nmaster = true\nuid = app\nsocket = 127.0.0.1:5051\n"
STARTED = f"[Service]\nUser=app\nExecStart=/usr/bin/uwsgi --ini {INI}\n[Install]\nWantedBy=multi-user.target\n"
ASKED = "include uwsgi_params; uwsgi_pass 127.0.0.1:5051;"
MASTER = {"pid": 7, "kind": "uwsgi", "command": ["uwsgi", INI], "folder": "/", "user": "app"}
UWSGI, NGINX = "/usr/bin/uwsgi", "/usr/sbin/nginx"
# As stack_programs.about() told of uWSGI 2.0.31 built with ssl, pcre, json, xml and routing off, ...
BARE = {
    "lacks": ["route", "https", "json", "cap", "xml"],
    "texts": [NO_SSL],
    "missing": [],
    "plugin_folders": [],
    "python": "3.11",
    "libraries": [],
}
# ... of the one that the role builds, ...
WHOLE = {**BARE, "lacks": ["cap"], "texts": []}
# ... of Debian 12's uwsgi-core 2.0.21 on a host without its plugin, libpcre3 and libyajl2, ...
CORE = {
    "lacks": ["wsgi-file", "module"],
    "texts": [],
    "missing": ["python3"],
    "plugin_folders": ["/usr/lib/uwsgi/plugins"],
    "python": "",
    "libraries": ["libpcre.so.3", "libyajl.so.2"],
}
# ... and of the role's nginx 1.26.3.
OURS = {**WHOLE, "lacks": ["brotli", "quic_retry"], "texts": [NGINX_TEXTS["quic"]], "python": ""}
RUNS = {"pid": 9, "kind": "nginx", "command": ["nginx: master process nginx"], "program": NGINX, "read": 1000}
VENV = "/srv/app/venv"
UPGRADE = f"location / {{ {ASKED} uwsgi_param HTTP_UPGRADE $http_upgrade; }}"


def conf(inside=f"location / {{ {ASKED} }}", around="", listen="80 default_server"):
    return f"{around} server {{ listen {listen}; server_name a.test; {inside} }}"


def files(text=None, ini=HEALTHY):
    return {CONF: text or conf(), INI: ini, UNIT: STARTED}


def host(**more):
    return {"files": files(), "processes": [], "limits": {}, "enabled": ["app.service"], "messages": [], **more}


def found(given, programs, looked=None, processes=()):
    stack = doctor.Stack(host(files=given, processes=list(processes)), looked, programs)
    return [one for one in doctor.examine(stack) if one.kind in KINDS]


# pitfall: [(files, binaries, what is there, what runs, what the evidence holds), ...]
CASES = {
    "missing-plugin": [
        (files(ini=HEALTHY + "plugins = python3\n"), {UWSGI: CORE}, {}, [], "there is none in /usr/lib/uwsgi/plugins"),
        (files(), {UWSGI: {**CORE, "missing": []}}, {}, [], "module = app, and /usr/bin/uwsgi has no Python in it"),
    ],
    "lacking-option": [
        (files(ini=HEALTHY + "route = ^/a deny:\n"), {UWSGI: BARE}, {}, [], "which was built without routing"),
        (files(ini=HEALTHY + "https = :443,a,b\n"), {UWSGI: BARE}, {}, [], "https is no option of /usr/bin/uwsgi"),
        ({**files(), UNIT: STARTED.replace("--ini", "--json")}, {UWSGI: BARE}, {}, [], "json is no option"),
    ],
    "websocket-ssl": [
        (files(ini=HEALTHY + "http-websockets = true\n"), {UWSGI: BARE}, {}, [], "http-websockets = true"),
        (files(conf(UPGRADE)), {UWSGI: BARE}, {}, [], "uwsgi_param HTTP_UPGRADE"),
    ],
    "python-version": [
        (
            files(ini=HEALTHY + f"virtualenv = {VENV}\n"),
            {UWSGI: BARE},
            {VENV: {"kind": "folder", "pythons": ["3.9"]}},
            [],
            "is of Python 3.9; /usr/bin/uwsgi has 3.11",
        )
    ],
    "nginx-lacks": [
        (files(conf(f"brotli on; location / {{ {ASKED} }}")), {NGINX: OURS}, {}, [RUNS], "brotli is no directive"),
        (files(conf(listen="443 quic default_server")), {NGINX: OURS}, {}, [RUNS], "was built without quic"),
        (
            files(conf(f"location ~ ^/a {{ {ASKED} }}")),
            {NGINX: {**OURS, "texts": [NO_REGEX]}},
            {},
            [RUNS],
            "was built without PCRE",
        ),
    ],
    "library-gone": [(files(), {UWSGI: {**WHOLE, "libraries": ["libpcre.so.1"]}}, {}, [], "needs libpcre.so.1")],
    "old-binary": [
        (files(), {}, {}, [{**RUNS, "gone": True}], "process 9 (nginx) runs a file of this name"),
        (files(), {}, {}, [{**MASTER, "program": UWSGI, "gone": True}], "process 7 (uwsgi)"),
    ],
    "old-library": [(files(), {}, {}, [{**RUNS, "old": ["/lib/libssl.so.3", "/lib/b.so"]}], "libssl.so.3 that was")],
    "config-old": [
        (files(), {}, {CONF: {"kind": "file", "changed": 2000}}, [RUNS], "process 9 (nginx) has read it before"),
        (files(), {}, {INI: {"kind": "file", "changed": 2000}}, [{**MASTER, "read": 1000}], "process 7 (uWSGI)"),
    ],
}
KINDS = set(CASES)


NUMBERS = [(kind, index) for kind, cases in CASES.items() for index in range(len(cases))]


@pytest.mark.parametrize(("kind", "index"), NUMBERS)
def test_what_a_binary_lacks_or_is_gone_is_named(kind, index):
    given, programs, looked, processes, evidence = CASES[kind][index]
    told = found(given, programs, looked, processes)
    told = [one for one in told if one.kind == kind]
    assert len(told) == 1, told
    assert evidence in told[0].evidence


SOUND = {
    "whole": (files(ini=HEALTHY + "route = ^/a deny:\nhttp-websockets = 1\n"), {UWSGI: WHOLE}, {}, [MASTER]),
    "lacks what nobody asks for": (files(), {UWSGI: BARE, NGINX: OURS}, {}, [MASTER, RUNS]),
    "loads by itself": (files(ini=HEALTHY + "autoload = true\n"), {UWSGI: {**CORE, "libraries": []}}, {}, []),
    "hangs on something": (files(ini=HEALTHY + "if-env = A\nroute = ^/a deny:\nendif =\n"), {UWSGI: BARE}, {}, []),
    "a variable of its own": (files(ini=HEALTHY + "route = a\nchdir = /%(route)\n"), {UWSGI: BARE}, {}, []),
    "values of a map": (files(conf(around="map $uri $a { brotli 1; }")), {NGINX: OURS}, {}, [RUNS]),
    "the same Python": (
        files(ini=HEALTHY + f"virtualenv = {VENV}\n"),
        {UWSGI: WHOLE},
        {VENV: {"kind": "folder", "pythons": ["3.11"]}},
        [],
    ),
    "library in a folder of its own": (
        files(),
        {UWSGI: {**WHOLE, "libraries": ["libpcre.so.1"]}},
        {},
        [{**MASTER, "loaded": ["libpcre.so.1.2.12"]}],
    ),
    "told where libraries are": (
        {**files(), UNIT: STARTED.replace("User=app", "User=app\nEnvironment=LD_LIBRARY_PATH=/opt/lib")},
        {UWSGI: {**WHOLE, "libraries": ["libpcre.so.1"]}},
        {},
        [],
    ),
    "read as it was written": (
        files(),
        {},
        {CONF: {"kind": "file", "changed": 1001}, INI: {"kind": "file", "changed": 1000}},
        [RUNS, {**MASTER, "read": 1000}],
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_where_nothing_is_lacking(name):
    assert found(*SOUND[name]) == []


def test_a_loaded_module_may_bring_any_directive():
    main = f"load_module modules/brotli.so; http {{ {conf(f'brotli on; location / {{ {ASKED} }}')} }}"
    given = {"/etc/nginx/nginx.conf": main, INI: HEALTHY, UNIT: STARTED}
    assert found(given, {NGINX: OURS}, {}, [RUNS]) == []


def test_each_binary_is_asked_for_what_its_configuration_needs():
    ini = HEALTHY + "plugins = python3,0:router_redirect\nplugins-dir = /opt/p\nharakri = 9\n"
    stack = doctor.Stack(host(files=files(conf(around="map $uri $a { x 1; }"), ini), processes=[RUNS, MASTER]))
    asked = doctor_programs.asked(stack)
    assert set(asked) == {UWSGI, NGINX}
    assert asked[UWSGI]["plugins"] == ["python3", "router_redirect"] and asked[UWSGI]["folders"] == ["/opt/p"]
    assert {"module", "master", "ini"} <= set(asked[UWSGI]["names"]) and "harakri" not in asked[UWSGI]["names"]
    assert {"uwsgi_pass", "map"} <= set(asked[NGINX]["names"]) and "x" not in asked[NGINX]["names"]


def test_a_binary_that_is_called_by_its_plugin_loads_it():
    unit = STARTED.replace("/usr/bin/uwsgi ", "/usr/bin/uwsgi_python311 ")
    asked = doctor_programs.asked(doctor.Stack(host(files={**files(), UNIT: unit})))
    assert asked["/usr/bin/uwsgi_python311"]["plugins"] == ["python311"]


@pytest.mark.parametrize("watched", ["/srv/vassals", "dir:///srv/vassals", "/srv/vassals/*.ini", "vassals"])
def test_a_vassal_is_started_by_the_emperor_of_a_command(watched):
    unit = f"[Service]\nUser=app\nWorkingDirectory=/srv\nExecStart=/usr/bin/uwsgi --emperor {watched}\n"
    given = {"/etc/systemd/system/emperor.service": unit, "/srv/vassals/a.ini": HEALTHY}
    [source] = doctor.Stack(host(files=given)).sources
    assert [(one.kind, one.program) for one in source.starters] == [("emperor", UWSGI)]
