"""Who the client is: scheme, host, port and address as applications are told them, row by row, and what options say."""

import json
import subprocess
from pathlib import Path

import publishing
import pytest
import yaml
from one_host import HOST, play, put, sh

ROWS = yaml.safe_load((Path(__file__).parent / "client_rows.yml").read_text())
TLS = {"certificate": "/etc/ssl/trial/cert.pem", "key": "/etc/ssl/trial/key.pem"}
# Each way to an application; the path names its protocol.
PLACES = ("uwsgi/", "http/", "uwsgi-ws/", "http-ws/", "upstream/", "uwsgi-upstream/", "proxied/")
PORTS = {"loose.test": 8089}
APPS = {True: "ch", False: "cu"}
REAL = {"from": ["127.0.0.2", "10.0.0.0/8"]}
ASK = r"""
import http.client, json, socket, ssl, sys
answers = []
context = ssl._create_unverified_context()
for ask in json.load(sys.stdin):
    plain = socket.create_connection(("127.0.0.1", ask["port"]), 20, (ask["from"], 0))
    with (context.wrap_socket(plain, server_hostname=ask["name"]) if ask["tls"] else plain) as sock:
        sock.sendall(("\r\n".join([ask["line"], *ask["headers"], "Connection: close", "", ""])).encode())
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        answers.append([answer.status, dict(answer.getheaders()), answer.read().decode()])
print(json.dumps(answers))
"""


def client_app(name, **more):
    source = str(publishing.CHECKOUT / "tests/apps/client")
    return {"name": name, "source": source, "module": "manage", "env": {"NAME": name}, **more}


def places():
    """The locations of a site that lead to both applications, each in all ways that there are."""
    found = {
        "uwsgi/": {"app": "cu"},
        "http/": {"app": "ch"},
        "uwsgi-ws/": {"app": "cu", "websocket": True},
        "http-ws/": {"app": "ch", "websocket": True},
        "upstream/": {"upstream": "client-http", "strip_prefix": True},
        "uwsgi-upstream/": {"upstream": "client-uwsgi"},
        "proxied/": {"proxy_pass": "http://unix:/run/wsgi/ch.sock:/"},
    }
    return [{"path": f"/{path}", **location} for path, location in found.items()]


def asked(row, place):
    """A row as it is sent."""
    site, tls = row["site"], row.get("tls", False)
    headers = {"Host": site, **row.get("headers", {})}
    return {
        "from": row.get("from", "127.0.0.3"),
        "port": 443 if tls else PORTS.get(site, 80),
        "tls": tls,
        "name": site,
        "line": f"GET {row.get('target', '/PLACE').replace('PLACE', place)} HTTP/1.1",
        "headers": [f"{name}: {value}" for name, value in headers.items()] + row.get("lines", []),
    }


def ask(rows):
    """What the host's nginx answers, each as (status, headers, text)."""
    words = ["docker", "exec", "-i", HOST, "python3", "-c", ASK]
    ran = subprocess.run(words, input=json.dumps(rows), capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def flaws(row, place, answer):
    """What is not as the row has it."""
    status, headers, text = answer
    wanted = {"status": row.get("status", 200), "location": row.get("location")}
    got = {"status": status, "location": headers.get("Location")}
    if status == 200:
        seen = json.loads(text)
        names = {"scheme": "scheme", "address": "REMOTE_ADDR", "port": "SERVER_PORT", "host": "HTTP_HOST"}
        wanted.update({key: row[key] for key in names if key in row})
        got.update({key: seen.get(name) for key, name in names.items() if key in row})
        arrives = {name.upper().replace("-", "_"): value for name, value in row.get("arrives", {}).items()}
        arrives.update((name.upper().replace("-", "_"), None) for name in row.get("gone", []))
        wanted.update(arrives, https="on" if seen["scheme"] == "https" else None, app=APPS[place.startswith("http")])
        if place.startswith(("upstream", "proxied")):
            wanted["app"] = APPS[True]
        if place.startswith("upstream") and "X_FORWARDED_PREFIX" in wanted:
            # What is stripped is told, whatever the client says.
            wanted["X_FORWARDED_PREFIX"] = "/upstream"
        got.update({name: seen.get(f"HTTP_{name}") for name in arrives}, https=seen.get("HTTPS"), app=seen["app"])
    return [f"{place}: {key} {got[key]!r}, not {wanted[key]!r}" for key in wanted if got[key] != wanted[key]]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One play for all tests here."""
    pair = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=tls.test"]
    subprocess.run(
        ["openssl", *words, "-keyout", str(pair / "key"), "-out", str(pair / "cert")], check=True, capture_output=True
    )
    put(TLS["certificate"], (pair / "cert").read_text())
    put(TLS["key"], (pair / "key").read_text(), mode="0600")
    apps = [client_app("cu", probe={"path": "/", "host": "MÜLLER.test"}), client_app("ch", protocol="http")]
    sites = [
        {"server_name": ["bare.test"], "locations": places()},
        {"server_name": ["tls.test"], "locations": places(), "tls": TLS},
        {"server_name": ["balanced.test"], "aliases": ["alias.test"], "locations": places(), "real_ip": REAL},
        {"server_name": ["both.test"], "locations": places(), "real_ip": REAL, "tls": TLS},
        {
            "server_name": ["loose.test"],
            "locations": places(),
            "listen": [PORTS["loose.test"]],
            "options": {"underscores_in_headers": True},
        },
    ]
    sites.append(
        {
            "server_name": ["müller.test", "Straße.Test.", "*.wild-ü.test"],
            "aliases": ["www.MÜLLER.test"],
            "locations": [
                {"path": "/", "app": "cu"},
                {"path": "/away/", "redirect": "https://bücher.test/ü"},
                {"path": '"/a b/"', "app": "cu"},
            ],
        }
    )
    sites.append({"server_name": ["gone-ü.test"], "redirect": "https://müller.test/neu"})
    sites.append(
        {
            "server_name": ["options.test"],
            "headers": {"X-Site": "1"},
            "options": {
                "proxy_set_header": ["X-Tenant site", "X-Twice site"],
                "uwsgi_param": ["HTTP_X_TENANT site", "TWICE site"],
                "add_header": ["X-Answer site", "X-Twice site"],
                "if ($request_method = 'TRACK')": {"return": 405},
            },
            "locations": [
                {"path": "/uwsgi/", "app": "cu"},
                {"path": "/http/", "app": "ch", "options": {"proxy_set_header": "x-twice location"}},
                {
                    "path": "/more/",
                    "app": "cu",
                    "headers": {"X-More": "1"},
                    "options": {
                        "include": "uwsgi_params",
                        "uwsgi_param": "HTTP_X_TWICE location",
                        "add_header": "x-twice location",
                        "if ($request_method = 'OPTIONS')": {"add_header": "X-If 1", "return": 204},
                        'if ($uri ~ "^/more/[0-9]{3}$")': {"return": "410"},
                        "limit_except GET OPTIONS": {"deny": "all"},
                    },
                },
            ],
        }
    )
    upstreams = [
        {"name": "client-http", "servers": [{"address": "unix:/run/wsgi/ch.sock"}]},
        {"name": "client-uwsgi", "protocol": "uwsgi", "servers": [{"address": "unix:/run/wsgi/cu.sock"}]},
    ]
    status, said = play(apps, sites, publish_upstreams=upstreams)
    assert status == 0, said
    return said


@pytest.mark.parametrize("kind", ROWS)
def test_the_client_is_who_it_is(published, kind):
    pairs = [(row, row["path"][1:] if "path" in row else place) for row in ROWS[kind] for place in PLACES]
    pairs = [pair for index, pair in enumerate(pairs) if pair not in pairs[:index]]
    answers = ask([asked(*pair) for pair in pairs])
    found = [(pair[0], flaws(*pair, answer)) for pair, answer in zip(pairs, answers, strict=True)]
    wrong = [f"{row}\n  " + "\n  ".join(lines) for row, lines in found if lines]
    assert not wrong, "\n".join(wrong)


def requested(path, method="GET"):
    """Status, headers (all of each) and the application's own report of a request to options.test."""
    row = asked({"site": "options.test"}, "")
    status, headers, text = ask([{**row, "line": f"{method} {path} HTTP/1.1"}])[0]
    return status, headers, json.loads(text) if status == 200 else None


def test_what_a_site_says_in_options_reaches_its_locations(published):
    headers = {"X-Site": "1", "X-Answer": "site", "X-Twice": "site", "X-Frame-Options": "SAMEORIGIN"}
    _status, answered, seen = requested("/uwsgi/")
    assert {**answered, **headers} == answered
    assert (seen["HTTP_X_TENANT"], seen["TWICE"]) == ("site", "site")
    _status, _answered, seen = requested("/http/")
    assert (seen["HTTP_X_TENANT"], seen["HTTP_X_TWICE"]) == ("site", "location")
    # What the plan says stands beside it, once: uWSGI would join two by a comma.
    assert (seen["HTTP_HOST"], seen["HTTP_X_FORWARDED_PROTO"]) == ("options.test", "http")
    _status, answered, seen = requested("/more/")
    headers.pop("X-Twice")
    assert {**answered, **headers, "X-More": "1", "x-twice": "location"} == answered
    assert "X-Twice" not in answered
    assert (seen["HTTP_X_TENANT"], seen["HTTP_X_TWICE"], seen["TWICE"]) == ("site", "location", "site")


def test_blocks_of_nginx_in_options_do_what_they_say(published):
    status, answered, _seen = requested("/more/", "OPTIONS")
    assert (status, answered["X-If"], answered["X-Answer"], answered["X-Site"]) == (204, "1", "site", "1")
    assert [requested(path)[0] for path in ("/more/123", "/more/1234")] == [410, 200]
    assert requested("/more/", "DELETE")[0] == 403
    assert requested("/uwsgi/", "TRACK")[0] == 405


NAMES = [
    ("xn--mller-kva.test", "/", 200, None),
    ("XN--MLLER-KVA.test.", "/", 200, None),
    # Not strasse.test, which is another name.
    ("xn--strae-oqa.test", "/a%20b/c", 200, None),
    ("www.xn--wild--ova.test", "/", 200, None),
    ("www.xn--mller-kva.test", "/x", 301, "http://xn--mller-kva.test/x"),
    ("xn--mller-kva.test", "/away/", 301, "https://xn--bcher-kva.test/%C3%BC"),
    ("xn--gone--ova.test", "/x", 301, "https://xn--mller-kva.test/neu/x"),
]


def test_names_are_asked_for_as_browsers_send_them(published):
    rows = [{**asked({"site": name}, ""), "line": f"GET {path} HTTP/1.1"} for name, path, _status, _location in NAMES]
    answers = [(status, headers.get("Location")) for status, headers, _text in ask(rows)]
    assert answers == [(status, location) for _name, _path, status, location in NAMES]


REFUSED = [
    ({"options": {"merge_slashes": False}}, "options.merge_slashes: is read before nginx knows which site"),
    ({"options": {"underscores_in_headers": "on"}}, "options.underscores_in_headers: is read before nginx knows"),
    ({"server_name": ["Case.Test"]}, None),
    ({"server_name": ["case.test"]}, "server_name: 'case.test' on port 80 is answered by publish_sites[2] already"),
    (
        {"server_name": ["~^mü[.]test$"], "name": "re"},
        "server_name[0]: '~^mü[.]test$' is no name that can be asked for",
    ),
    ({"server_name": ["mü ller.test"], "name": "blank"}, "server_name[0]: 'mü ller.test' is no name"),
    ({"at": {"path": "/a%20b/"}}, "locations[0].path: '/a%20b/' is never asked for"),
    ({"at": {"path": "/a?b=c"}}, "locations[0].path: '/a?b=c' holds a ?"),
    (
        {"at": {"options": {"proxy_read_timeout": "9s"}}},
        "proxy_read_timeout: has no effect: the location asks by uwsgi",
    ),
    ({"at": {"app": "ch", "options": {"uwsgi_read_timeout": "9s"}}}, "write proxy_read_timeout"),
    ({"at": {"options": {"proxy_set_header": "X-Tenant a"}}}, "write uwsgi_param: HTTP_X_TENANT a"),
    (
        {"at": {"options": {"if ($uri ~ ^/a{2}$)": {"return": 404}}}},
        'put quotes around the word: if ($uri ~ "^/a{2}$")',
    ),
]


def test_what_would_have_no_effect_is_refused_with_what_to_write():
    sites = []
    for number, (given, _said) in enumerate(REFUSED):
        more = dict(given)
        location = {"path": "/", "app": "cu", **more.pop("at", {})}
        sites.append({"server_name": [f"refused-{number}.test"], "locations": [location], **more})
    status, said = play([client_app("cu"), client_app("ch", protocol="http")], sites)
    assert status != 0
    shown = said.replace('\\"', '"')
    missing = [text for _given, text in REFUSED if text and text not in shown]
    assert not missing, said


def test_what_files_of_the_host_would_undo_is_refused():
    put(
        "/etc/nginx/snippets/trial.conf", "# a distribution's\nproxy_set_header Host $http_host;\nadd_header X-One 1;\n"
    )
    included = {"options": {"include": "snippets/trial.conf"}}
    sites = [
        {"server_name": ["twice.test"], "locations": [{"path": "/", "app": "ch", **included}]},
        {"server_name": ["lost.test"], "locations": [{"path": "/", "app": "ch"}], **included},
        # The set base has a server at this port, which stands before this set's.
        {"server_name": ["slash.test"], "listen": ["80"], "locations": [{"path": "/", "app": "cu"}]},
    ]
    for given in sites:
        given.setdefault("options", {})["merge_slashes"] = False
    status, said = play([client_app("cu"), client_app("ch", protocol="http")], sites)
    assert status != 0
    for text in (
        "publish_sites[0].locations[0].options.include: /etc/nginx/snippets/trial.conf says proxy_set_header of host",
        "publish_sites[0].locations[0].options.include: /etc/nginx/snippets/trial.conf says add_header, by which",
        "publish_sites[1].options.include: /etc/nginx/snippets/trial.conf says proxy_set_header of host, and the",
        "publish_sites[2].options.merge_slashes: is read before nginx knows which site is asked for, and",
    ):
        assert text in said, said


def test_nginx_has_nothing_to_warn_of(published):
    assert "[warn]" not in sh("/usr/sbin/nginx -t")
