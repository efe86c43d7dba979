"""The plan of the publish role: both ends fit, and what cannot be is refused with its path and mend."""

import posixpath
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.module_utils.instances import former
from ansible_collections.graceful.wsgi.plugins.plugin_utils import group_plan, publish_plan, spec, uwsgi_values
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

ROLES = Path(__file__).resolve().parents[4] / "roles"


def options(role):
    return yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]


SPECS = {role: options(role) for role in ("nginx", "uwsgi", "publish")}
HOST = {
    "uwsgi": {
        "binary": "/opt/uwsgi/2.0.31-python3.11/bin/uwsgi",
        "options": [
            *(
                "cheaper",
                "gevent",
                "harakiri",
                "route",
                "route-if-not",
                "ignore-sigpipe",
                "plugin",
                "http",
                "worker-reload-mercy",
            ),
        ],
    },
    "requirements": {"listed": ["# gevent", "flask"], "fine": ["Flask==3", "GEVENT==25", ""], "more": ["-r a", "b"]},
}


def attempt(apps=(), sites=(), **more):
    """(plan, problems) of these variables; the spec's own problems among them."""
    problems = []
    variables = dict(more, publish_apps=list(apps), publish_sites=list(sites))
    values = spec.check(variables, SPECS["publish"], problems)
    if problems:
        return {}, problems
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    return plain(publish_plan.plan(values, dict(HOST), roles))


def planned(apps=(), sites=(), **more):
    plan, problems = attempt(apps, sites, **more)
    assert not problems, [str(problem) for problem in problems]
    return plan


def app(name="shop", **more):
    return dict({"name": name, "source": "apps/shop", "module": "manage"}, **more)


def site(*locations, **more):
    return dict({"server_name": ["example.com"], "locations": list(locations)}, **more)


def values_of(plan, option, index=0):
    return [value for name, value in plan["instances"][index]["options"] if name == option]


def location(plan, index=0):
    """The directives in a site's only location, as (name, value), but for what is of maintenance."""
    sites = [file["vars"]["site"] for file in plan["site_bundle"]["files"] if "site" in file.get("vars", {})]
    server = sites[index]["server"]
    found = [
        children
        for name, value, children in server[2]
        if name == "location" and not value.startswith("= /.graceful-maintenance/")
    ]
    assert len(found) == 1
    return [(name, value) for name, value, _children in found[0] if not value.startswith("(-f ")]


REFUSED = [
    (
        "unknown app",
        [app()],
        [site({"path": "/", "app": "shp"})],
        "publish_sites[0].locations[0].app",
        "did you mean shop",
    ),
    ("both", [app()], [site({"path": "/", "app": "shop", "proxy_pass": "http://a"})], "locations[0]", "exactly one"),
    ("neither", [app()], [site({"path": "/"})], "publish_sites[0].locations[0]", "exactly one"),
    ("no address", [], [site({"path": "/", "proxy_pass": "a:80"})], "locations[0].proxy_pass", "http://"),
    ("same port", [app("a", socket="127.0.0.1:5"), app("b", socket=":5")], [], "publish_apps[1].socket", "own port"),
    ("same socket", [app("a", socket="/s/x"), app("b", socket="/s//x")], [], "publish_apps[1].socket", "own"),
    ("port of nginx", [app(socket="127.0.0.1:80")], [site()], "publish_sites[0].listen", "different ports"),
    ("same name", [app("a"), app("a")], [], "publish_apps[1].name", "rename"),
    ("same site", [], [site(), site()], "publish_sites[1].server_name", "join"),
    ("same site on one of two", [], [site(listen=["81", "80"]), site(listen=["*:80 default_server"])], "[1]", "join"),
    ("same file", [], [site(), site(listen=["81"])], "publish_sites[1].name", "of its own"),
    ("unsafe name", [app("../x")], [], "publish_apps[0].name", "letters"),
    ("unsafe site", [], [site(server_name=["~^a/b$"])], "publish_sites[0].server_name", "a name"),
    ("threads under gevent", [app(threads=2, gevent=10)], [], "publish_apps[0].threads", "leave threads out"),
    ("daemonize", [app(options={"daemonize": "/x"})], [], "publish_apps[0].options.daemonize", "log"),
    ("daemonize2", [app(options={"daemonize2": "/x"})], [], "publish_apps[0].options.daemonize2", "log"),
    ("second socket", [app(options={"http_socket": ":1"})], [], "publish_apps[0].options.http_socket", "protocol"),
    ("misspelt option", [app(options={"harakri": 1})], [], "publish_apps[0].options.harakri", "did you mean harakiri?"),
    ("no such option", [app(options={"project": "/x"})], [], "publish_apps[0].options.project", "set-placeholder"),
    ("second protocol", [app(options={"protocol": "http"})], [], "publish_apps[0].options.protocol", "state it with"),
    ("mapping for an option", [app(options={"route": [{"^/a": "b"}]})], [], "options.route[0]", "a=b"),
    ("bytes in kilobytes", [app(options={"buffer-size": "32k"})], [], "options.buffer-size", "write 32768"),
    ("bytes in megabytes", [app(options={"limit_post": "10 MB"})], [], "options.limit_post", "write 10485760"),
    ("seconds in minutes", [app(options={"harakiri": "5m"})], [], "options.harakiri", "write 300"),
    ("megabytes in gigabytes", [app(options={"reload-on-rss": "1G"})], [], "options.reload-on-rss", "write 1024"),
    (
        "kilobytes in megabytes",
        [app("listed", options={"plugin": "x", "websocket-max-size": "8m"})],
        [],
        "options.websocket-max-size",
        "write 8192",
    ),
    ("half a megabyte", [app(options={"log-maxsize": "1.5m"})], [], "options.log-maxsize", "a number of bytes"),
    (
        "mapping for a directive",
        [app(service_options={"Environment": {"A": "b"}})],
        [],
        "publish_apps[0].service_options.Environment",
        "list of texts",
    ),
    ("directive in small letters", [app(service_options={"limitnofile": 9})], [], "limitnofile", "LimitCORE"),
    ("directive of [Unit]", [app(service_options={"After": "redis.service"})], [], "service_options.After", "drop-in"),
    ("end of a unit", [app(service_options={"RuntimeMaxSec": 60})], [], "options.RuntimeMaxSec", "leave it out"),
    ("second listen", [app()], [site(options={"listen": 81})], "publish_sites[0].options.listen", "with listen of"),
    ("one more", [app()], [site(options={"listen": ["443 quic", "[::]:81"]})], "options.listen", "or of its tls"),
    (
        "second name",
        [app()],
        [site(options={"server_name x.test": None})],
        "options.server_name x.test",
        "state it with server_name of the site",
    ),
    ("code that is all", [{"name": "a", "path": "/", "module": "m"}], [], "publish_apps[0].path", "own folder"),
    ("code in /tmp", [{"name": "a", "path": "/tmp/a", "module": "m"}], [], "publish_apps[0].path", "elsewhere"),
    ("commit of eights", [app(source=None, repo="r", version=42798)], [], "publish_apps[0].version", "in quotes"),
    ("second command", [app(service_options={"ExecStart": "/bin/x"})], [], "service_options.ExecStart", "leave it out"),
    ("relative virtualenv", [app(virtualenv="venv")], [], "publish_apps[0].virtualenv", "whole path"),
    ("requirement for a file", [app(requirements="flask==3.1.2")], [], "publish_apps[0].requirements", "['flask==3"),
    ("probe without a slash", [app(probe={"path": "healthz"})], [], "publish_apps[0].probe.path", "write /healthz"),
    ("address for a probe", [app(probe={"path": "https://a.test/x"})], [], "[0].probe.path", "write /x, and a name"),
    ("own pidfile", [app(options={"pidfile": "/x"})], [], "publish_apps[0].options.pidfile", "leave it out"),
    ("no code", [{"name": "a", "module": "m"}], [], "publish_apps[0]", "list of requirements"),
    ("two codes", [app(path="/a")], [], "publish_apps[0]", "exactly one"),
    ("version without repo", [app(version="v1")], [], "publish_apps[0].version", "repo"),
    ("nothing to run", [{"name": "a", "source": "x"}], [], "publish_apps[0]", "module"),
    ("no processes", [app(processes=0)], [], "publish_apps[0].processes", "1 or more"),
    ("bad socket", [app(socket="5051")], [], "publish_apps[0].socket", "127.0.0.1:5051"),
    ("unit's folder", [app(socket="/run/uwsgi-a/s")], [], "publish_apps[0].socket", "that nginx may enter"),
    ("unit's, by way", [app(socket="/run/x/../uwsgi-b/s")], [], "publish_apps[0].socket", "leave it out"),
    ("private folder", [app(socket="/tmp/x.sock")], [], "publish_apps[0].socket", "/run"),
    ("bad port", [app(socket="a:70000")], [], "publish_apps[0].socket", "127.0.0.1:5051"),
    ("relative path", [{"name": "a", "path": "x", "module": "m"}], [], "publish_apps[0].path", "whole path"),
    ("line break", [app(module="a\nplugin = x")], [], "publish_apps[0].module", "one line"),
    ("line break in a variable", [app(env={"A": "1\n2"})], [], "publish_apps[0].env.A", "one line"),
    ("name of no variable", [app(env={"A-B": "1"})], [], "publish_apps[0].env", "NAME: value"),
    ("uWSGI's own variable", [app(env={"UWSGI_HTTP": ":1"})], [], "publish_apps[0].env.UWSGI_HTTP", "options"),
    ("systemd's variable", [app(env={"NOTIFY_SOCKET": "x"})], [], "publish_apps[0].env.NOTIFY_SOCKET", "another name"),
    ("list for a variable", [app(env={"A": ["b"]})], [], "publish_apps[0].env.A", "to_json"),
    (
        "line break in an option",
        [app(options={"route": ["a", "b\n"]})],
        [],
        "publish_apps[0].options.route[1]",
        "one line",
    ),
    ("uWSGI's variable", [app(module="$(HOME)")], [], "publish_apps[0].module", "write what it stands for"),
    ("blank at the end", [app(callable="x ")], [], "publish_apps[0].callable", "leave the blank out"),
    ("comment in yaml", [app(chdir="a#b", config_format="yaml")], [], "publish_apps[0].chdir", "ini"),
    ("unknown log", [app(log="logs")], [], "publish_apps[0].log", "journal"),
    ("requirements outside", [app(requirements="../r.txt")], [], "publish_apps[0].requirements", "below"),
    ("two virtualenvs", [app(requirements="r", virtualenv="/v")], [], "publish_apps[0].requirements", "leave"),
    ("misspelt key", [app(proceses=4)], [], "publish_apps[0].proceses", "did you mean processes"),
    ("wrong type", [app(processes="many")], [], "publish_apps[0].processes", "whole number"),
    ("unknown protocol", [app(protocol="https")], [], "publish_apps[0].protocol", "uwsgi, http"),
    ("no name", [{"source": "a", "module": "m"}], [], "publish_apps[0].name", "set it"),
    ("processes for sockets", [app(websocket=True, processes=4)], [], "publish_apps[0].processes", "instances: 4"),
    (
        "processes for sessions",
        [app(instances=3, affinity="address", processes=2)],
        [],
        "publish_apps[0].processes",
        "instances: 3",
    ),
    ("threads for sockets", [app(websocket=True, threads=2)], [], "publish_apps[0].threads", "websocket out"),
    ("no gevent", [app(websocket=True, requirements=["flask"])], [], "publish_apps[0].requirements", "add gevent"),
    ("no gevent asked for", [app(gevent=9, requirements=["flask"])], [], "publish_apps[0].requirements", "gevent out"),
    ("no gevent in a file", [app("listed", websocket=True, requirements="r")], [], "[0].requirements", "add gevent"),
    ("one socket for several", [app(instances=2, socket=":5051")], [], "publish_apps[0].socket", "leave it out"),
    ("affinity to one", [app(affinity="cookie")], [], "publish_apps[0].affinity", "instances"),
    ("no instances", [app(instances=0)], [], "publish_apps[0].instances", "1 or more"),
    ("no mercy", [app(websocket=True, websocket_mercy=0)], [], "publish_apps[0].websocket_mercy", "1 or more"),
    ("an instance's name", [app("a", instances=3), app("a-3")], [], "publish_apps[1].name", "rename"),
    ("an instance's name before", [app("a-3"), app("a", instances=3)], [], "publish_apps[1].name", "rename"),
    ("harakiri", [app(websocket=True, options={"harakiri": 9})], [], "publish_apps[0].options.harakiri", "leave"),
    (
        "mercy of uWSGI's own",
        [app(websocket=True, options={"worker_reload_mercy": 9})],
        [],
        "options.worker_reload_mercy",
        "websocket_mercy",
    ),
    ("unknown affinity", [app(instances=2, affinity="ip")], [], "publish_apps[0].affinity", "cookie, address"),
    (
        "directive breaks out",
        [app()],
        [site({"path": "/", "app": "shop", "options": {"a": "b; c d"}})],
        "options.a",
        "",
    ),
    (
        "own uwsgi_pass",
        [app()],
        [site({"path": "/", "app": "shop", "options": {"uwsgi_pass": "x"}})],
        "uwsgi_pass",
        "app",
    ),
    ("path twice", [app()], [site({"path": "/", "app": "shop"}, {"path": "/", "app": "shop"})], "[1].path", "join"),
    (
        "chdir of no app",
        [],
        [site({"path": "/", "proxy_pass": "http://a", "uwsgi_chdir": True})],
        "uwsgi_chdir",
        "leave",
    ),
]


@pytest.mark.parametrize(
    ("apps", "sites", "path", "hint"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refuses(apps, sites, path, hint):
    plan, problems = attempt(apps, sites)
    assert plan == {}
    assert [problem for problem in problems if path in problem.path and hint in problem.hint], problems


def test_all_problems_come_at_once():
    _plan, problems = attempt(
        [app("a/b", options={"daemonize": "x"})], [site({"path": "/", "app": "c"}, {"path": "/d"})]
    )
    assert len(problems) == 4


def test_the_same_name_on_another_port_is_another_site():
    planned([], [site(name="a"), site(name="b", listen=["8080"])])


def test_ports_on_different_addresses_do_not_meet():
    planned([app("a", socket="127.0.0.1:5"), app("b", socket="127.0.0.2:5")])


@pytest.mark.parametrize(
    ("given", "bound", "passed"),
    [
        ({}, ("socket", "/run/wsgi/shop.d/sock"), ("uwsgi_pass", "unix:/run/wsgi/shop.sock")),
        ({"socket": "127.0.0.1:5051"}, ("socket", "127.0.0.1:5051"), ("uwsgi_pass", "127.0.0.1:5051")),
        (
            {"socket": ":5051", "socket_clients": ["10.0.0.0/8"]},
            ("socket", ":5051"),
            ("uwsgi_pass", "127.0.0.1:5051"),
        ),
        ({"socket": "[::1]:5051"}, ("socket", "[::1]:5051"), ("uwsgi_pass", "[::1]:5051")),
        (
            {"protocol": "http"},
            ("http-socket", "/run/wsgi/shop.d/sock"),
            ("proxy_pass", "http://unix:/run/wsgi/shop.sock"),
        ),
        (
            {"protocol": "http", "socket": "0.0.0.0:80"},
            ("http-socket", "0.0.0.0:80"),
            ("proxy_pass", "http://127.0.0.1:80"),
        ),
    ],
)
def test_both_ends(given, bound, passed):
    plan = planned([app(**given)], [site({"path": "/", "app": "shop"}, listen=["8000"])])
    assert values_of(plan, bound[0]) == [bound[1]]
    assert passed in location(plan)
    assert ("include", "uwsgi_params") in location(plan) or bound[0] == "http-socket"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["uwsgi", "http"]),
            st.one_of(st.none(), st.integers(1024, 65535).map("127.0.0.1:{}".format), st.just("/run/x/{}")),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda pair: pair[1] if pair[1] and ":" in pair[1] else object(),
    )
)
def test_a_mismatch_cannot_be_written_down(transports):
    """Whatever the transports, each location leads to the socket that its application binds, in its own protocol."""
    apps = [
        app(f"a{index}", protocol=protocol, socket=socket.format(index) if socket else None)
        for index, (protocol, socket) in enumerate(transports)
    ]
    sites = [site({"path": "/", "app": item["name"]}, server_name=[item["name"]]) for item in apps]
    plan = planned(apps, sites)
    leads_to = {item["link"]: item["socket"] for item in plan["uwsgi_instances"]}
    for index, (protocol, _socket) in enumerate(transports):
        directive, option = {"uwsgi": ("uwsgi_pass", "socket"), "http": ("proxy_pass", "http-socket")}[protocol]
        address = dict(location(plan, index))[directive].removeprefix("http://").removeprefix("unix:")
        assert values_of(plan, option, index) == [leads_to.get(address, address)]
        assert len([name for name, _value in location(plan, index) if name.endswith("_pass")]) == 1


def test_chdir_and_script_are_sent_where_asked():
    asked = {"path": "/", "app": "flask", "uwsgi_chdir": True, "uwsgi_script": True}
    code = {"path": "/home/wyz/flask", "module": "manage", "wsgi_file": "/home/wyz/flask/manage.py"}
    plan = planned([dict(code, name="flask")], [site(asked)])
    assert ("uwsgi_param", "UWSGI_CHDIR /home/wyz/flask") in location(plan)
    assert ("uwsgi_param", "UWSGI_SCRIPT manage:app") in location(plan)
    assert values_of(plan, "wsgi-file") == ["/home/wyz/flask/manage.py"]
    assert values_of(plan, "pythonpath") == ["/home/wyz/flask"]


def test_a_release_is_entered_by_the_workers_only():
    """The master keeps its folder over a chain reload and would hand the old release on."""
    plan = planned([app(chdir="web")])
    assert values_of(plan, "chdir") == ["/"]
    assert values_of(plan, "hook-post-fork") == ["call:chdir /srv/wsgi/shop/current/web"]
    assert values_of(plan, "chdir2") == ["/srv/wsgi/shop/current/web"]


def test_a_header_of_the_user_replaces_ours():
    theirs = {"proxy_set_header": ["HOST $host"]}
    plan = planned([], [site({"path": "/", "proxy_pass": "http://127.0.0.1:1/", "options": theirs})])
    sent = [value for name, value in location(plan) if name == "proxy_set_header"]
    assert [value for value in sent if value.lower().startswith("host ")] == ["HOST $host"]
    assert "X-Real-IP $remote_addr" in sent


CHAT = {"websocket": True, "requirements": ["gevent"]}


def http(plan):
    """What stands in the file that the set's sites share, as {directive and value: its block as {name: values}}."""
    found = [file for file in plan["site_bundle"]["files"] if file["dest"] == "/etc/nginx/conf.d/publish-main.conf"]
    blocks = {}
    for name, value, children in found[0]["vars"]["http"] if found else []:
        # Every site has these.
        if value.startswith(("$http_host ", "$upstream_http_")):
            continue
        block = blocks[f"{name} {value}"] = {}
        for key, text, _children in children:
            block.setdefault(key, []).append(text)
    return blocks


def test_websocket_makes_an_ini_for_sockets():
    plan = planned([app(**CHAT)], [site({"path": "/", "app": "shop"})])
    assert values_of(plan, "processes") == ["1"]
    assert values_of(plan, "gevent") == ["1000"]
    assert values_of(plan, "gevent-early-monkey-patch") == ["true"]
    assert values_of(plan, "worker-reload-mercy") == ["10"]
    assert values_of(plan, "threads") == values_of(plan, "enable-threads") == values_of(plan, "http-websockets") == []
    assert [line for line in location(plan) if line[0] != "uwsgi_param"] == [
        ("include", "uwsgi_params"),
        ("uwsgi_pass", "unix:/run/wsgi/shop.sock"),
        ("uwsgi_read_timeout", "1h"),
        ("uwsgi_send_timeout", "1h"),
    ]
    assert http(plan) == {}
    assert plan["uwsgi_instances"][0]["mercy"] == 10
    assert ["TimeoutStopSec", "10"] in plan["instances"][0]["service"]


def test_what_is_said_of_sockets_counts():
    given = dict(CHAT, gevent=50, websocket_mercy=30, options={"http": ":8000"})
    own = {"path": "/", "app": "shop", "options": {"uwsgi_read_timeout": "5m"}}
    plan = planned([app(**given)], [site(own)])
    assert values_of(plan, "gevent") == ["50"]
    assert values_of(plan, "worker-reload-mercy") == ["30"]
    # uWSGI's own router is in front.
    assert values_of(plan, "http-websockets") == ["true"]
    assert [pair for pair in location(plan) if "timeout" in pair[0]] == [
        ("uwsgi_send_timeout", "1h"),
        ("uwsgi_read_timeout", "5m"),
    ]


def test_over_http_a_socket_is_upgraded_through_a_map():
    plan = planned([app(protocol="http", **CHAT)], [site({"path": "/", "app": "shop"})])
    assert ("proxy_set_header", "Upgrade $http_upgrade") in location(plan)
    assert ("proxy_set_header", "Connection $publish_main_connection") in location(plan)
    assert ("proxy_http_version", "1.1") in location(plan)
    assert ("proxy_read_timeout", "1h") in location(plan)
    assert http(plan) == {"map $http_upgrade $publish_main_connection": {"default": ["upgrade"], '""': ['""']}}


@pytest.mark.parametrize(
    ("given", "ok"),
    [
        ({"requirements": ["gevent[recommended]==25.9.1"]}, True),
        ({"requirements": ["-r other.txt"]}, True),
        ({"name": "fine", "requirements": "r.txt"}, True),
        ({"name": "more", "requirements": "r.txt"}, True),
        ({"name": "unread", "requirements": "r.txt"}, True),
        ({"virtualenv": "/v"}, True),
        ({"requirements": ["Flask-SocketIO"]}, False),
    ],
)
def test_gevent_is_missed_only_where_the_requirements_are_known(given, ok):
    assert (attempt([app(**{"websocket": True, **given})])[1] == []) is ok


def test_a_file_of_one_application_or_site_says_whose_it_is():
    apps = [app("shop", instances=2, env={"A": "1"}), app("blog", log="project")]
    sites = [{"server_name": [name], "locations": [{"path": "/", "app": "shop"}]} for name in ("a.test", "b.test")]
    plan = planned(apps, sites)
    found = {
        file["dest"]: file.get("belongs_to")
        for bundle in ("app_bundle", "site_bundle")
        for file in plan[bundle]["files"]
        if file.get("force") is not False
    }
    shared = {path for path, name in found.items() if name is None}
    assert {path.rpartition("/")[2] for path in shared} <= {
        "publish-main-apps.conf",
        "publish-main-apps",
        "publish-main-sites",
        "publish-main.conf",
    }
    assert {name for name in found.values() if name} == {"shop", "blog", "a.test", "b.test"}
    for path, name in found.items():
        # Their names happen to tell it here.
        assert name is None or name in path


def test_instances_are_units_of_one_release():
    plan = planned([app(instances=2, **CHAT), app("other")], [site({"path": "/", "app": "shop"})])
    assert plan["instances_by_app"] == {"shop": ["shop-1", "shop-2"], "other": ["other"]}
    assert [item["name"] for item in plan["instances"]] == ["shop-1", "shop-2", "other"]
    assert [item["unit"] for item in plan["uwsgi_instances"]][:2] == ["uwsgi@shop-1.service", "uwsgi@shop-2.service"]
    assert [item["name"] for item in plan["preflights"]] == ["shop", "other"]
    assert [item["name"] for item in plan["releases"]] == ["shop", "other"]
    release = ["/srv/wsgi/shop/current", "/srv/wsgi/shop/current/.venv"]
    assert [item["links"] for item in plan["uwsgi_instances"][:2]] == [release, release]
    for key in ("config", "pidfile", "socket", "run_dir", "link", "log_file"):
        assert len({item[key] for item in plan["uwsgi_instances"]}) == 3
    files = [file["dest"] for file in plan["app_bundle"]["files"]]
    assert len(files) == len(set(files))
    assert "/etc/systemd/system/uwsgi@shop-2.service.d/10-publish-shop.conf" in files
    assert "/var/log/uwsgi/shop/server-2.log" in files
    assert values_of(plan, "socket", 1) == ["/run/wsgi/shop-2.d/sock"]
    # What is preflighted does not change with the number of instances.
    assert plan["preflights"][0]["options"] == planned([app(**CHAT)])["preflights"][0]["options"]


COOKIE = "publish_main_shop"


def test_a_cookie_leads_to_the_same_instance():
    plan = planned([app(instances=3, **CHAT)], [site({"path": "/", "app": "shop"})])
    assert ("uwsgi_pass", "instances-main-shop") in location(plan)
    assert ("add_header", f"Set-Cookie ${COOKIE}_new always") in location(plan)
    ours = '"~^[0-9a-f]{32}$"'
    assert http(plan) == {
        "map $scheme $publish_main_secure": {"https": ['"; Secure"'], "default": ['""']},
        f"map $cookie_{COOKIE} ${COOKIE}_key": {ours: [f"$cookie_{COOKIE}"], "default": ["$request_id"]},
        f"map $cookie_{COOKIE} ${COOKIE}_new": {
            ours: ['""'],
            "default": [f'"{COOKIE}=$request_id; Path=/; HttpOnly; SameSite=Lax$publish_main_secure"'],
        },
        "upstream instances-main-shop": {
            "hash": [f"${COOKIE}_key consistent"],
            "server": [f"unix:/run/wsgi/shop-{number}.sock max_fails=0" for number in (1, 2, 3)],
            "keepalive": ["0"],
        },
    }


@pytest.mark.parametrize(
    ("given", "balanced"),
    [({"affinity": "address"}, {"hash": ["$binary_remote_addr consistent"]}), ({}, {})],
)
def test_other_ways_to_an_instance(given, balanced):
    plan = planned([app(instances=2, protocol="http", **given)], [site({"path": "/", "app": "shop"})])
    assert ("proxy_pass", "http://instances-main-shop") in location(plan)
    assert not [value for name, value in location(plan) if name == "add_header"]
    (upstream,) = http(plan).values()
    assert upstream.pop("server")
    # Of itself nginx would keep 32, and uWSGI closes each connection.
    assert upstream == {**balanced, "keepalive": ["0"]}
    assert values_of(plan, "processes") == ["1"]


def test_names_that_nginx_would_take_for_one_stay_two():
    names = ["a-b", "a.b", "a_b", "A_b", "ab"]
    apps = [app(name, instances=2, **CHAT) for name in names]
    cookies = [value.split()[1] for value in http(planned(apps)) if value.endswith("_key")]
    assert len(set(cookies)) == len(names)
    assert all(set(cookie.lower()) <= set("$abcdefghijklmnopqrstuvwxyz0123456789_") for cookie in cookies)


def test_what_a_plugin_brings_is_not_judged():
    planned([app(options={"plugin": "x", "of-the-plugin": 1})])


def test_a_percent_sign_stays_one():
    plan = planned([app(chdir="100%n", options={"route": "%n"})])
    assert values_of(plan, "hook-post-fork") == ["call:chdir /srv/wsgi/shop/current/100%%n"]
    assert values_of(plan, "route") == ["%n"]


def test_options_repeat_and_keep_their_order():
    plan = planned([app(options={"route": ["a b:c", "d e:f"], "harakiri": 30, "ignore-sigpipe": True})])
    assert plan["instances"][0]["options"][-4:] == [
        ["route", "a b:c"],
        ["route", "d e:f"],
        ["harakiri", "30"],
        ["ignore-sigpipe", "true"],
    ]
    document = plan["app_bundle"]["files"][0]["vars"]["document"]["uwsgi"]
    assert document["route"] == ["a b:c", "d e:f"]
    assert document["harakiri"] == "30"


@pytest.mark.parametrize(
    ("given", "file", "folder_is_ours"),
    [
        ({}, "/var/log/uwsgi/shop/server.log", True),
        ({"log": "project"}, "/srv/wsgi/shop/logs/server.log", True),
        ({"log": "project", "source": None, "path": "/home/x"}, "/home/x/server.log", False),
        ({"log": "/a/b/c.log"}, "/a/b/c.log", True),
        ({"log": "journal"}, None, False),
    ],
)
def test_logs_go_where_asked(given, file, folder_is_ours):
    plan = planned([app(**given)])
    assert values_of(plan, "logto") == ([file] if file else [])
    folders = [item["path"] for item in plan["app_bundle"]["directories"]]
    if file:
        assert (posixpath.dirname(file) in folders) == folder_is_ours
        assert [item["force"] for item in plan["app_bundle"]["files"] if item["dest"] == file] == [False]


def test_a_site_log_outside_nginx_folder_is_made_and_rotated():
    plan = planned([], [site(access_log="/home/x/logs/access.log main", error_log="/var/log/nginx/e.log warn")])
    assert [item["path"] for item in plan["site_bundle"]["directories"]] == ["/home/x/logs", "/etc/nginx/default.d"]
    rotated = plan["site_bundle"]["files"][-1]
    assert [log["path"] for log in rotated["vars"]["logs"]] == ["/home/x/logs/access.log"]


def test_the_unit_names_the_exact_binary_and_the_user():
    plan = planned([app(user="ann", group="staff", config_format="yaml", service_options={"LimitNOFILE": 9})])
    assert plan["instances"][0]["service"] == [
        ["ExecStart", ""],
        ["ExecStart", f"{HOST['uwsgi']['binary']} --yaml /etc/uwsgi/shop.yaml"],
        ["User", "ann"],
        ["Group", "staff"],
        ["RuntimeDirectoryMode", "0700"],
        ["LimitNOFILE", "9"],
    ]


def test_what_is_preflighted_is_what_is_written():
    """The preflight takes the options from the plan, the instance from the file: they are the same."""
    plan = planned([app(probe={"path": "/healthz"}, options={"harakiri": 30})])
    (preflight,) = plan["preflights"]
    assert preflight["options"] == plan["app_bundle"]["files"][0]["vars"]["app"]["options"]
    probe = {"path": "/healthz", "status": [200], "host": "localhost", "tls": False}
    assert preflight["probe"] == plan["reloads"][0]["probe"] == probe
    (question,) = plan["questions"]
    assert {key: question[key] for key in probe} == probe


def test_a_probe_needs_its_path():
    _plan, problems = attempt([app(probe={"host": "x"})])
    assert [problem.path for problem in problems] == ["publish_apps[0].probe.path"]


def test_what_the_reload_playbook_needs():
    plan = planned([app(), app("other", config_format="json")])
    assert plan["reloads"][1] == {
        "name": "other",
        "pidfile": "/run/uwsgi-other/pid",
        "config": "/etc/uwsgi/other.json",
        "probe": {},
    }


@pytest.mark.parametrize(("given", "processes"), [({}, 4), ({"cheaper": 1}, 1)])
def test_fewer_workers_are_waited_for_where_uwsgi_starts_fewer(given, processes):
    assert planned([app(processes=4, options=given)])["uwsgi_instances"][0]["processes"] == processes


def test_links_to_sockets_are_made_anew_at_boot():
    plan = planned([app("a"), app("b", socket="127.0.0.1:5051"), app("c", socket="/srv/c/s")], [])
    files = {file["dest"]: file for file in plan["app_bundle"]["files"]}
    assert files["/etc/tmpfiles.d/publish-main-apps.conf"]["content"].splitlines() == [
        "d /run/wsgi 0755 root root -",
        "d /run/wsgi/a.d 0710 wsgi-a nginx -",
        "d /run/wsgi/c.d 0710 wsgi-c nginx -",
        "L /run/wsgi/a.sock - - - - /run/wsgi/a.d/sock",
        "L /run/wsgi/c.sock - - - - /srv/c/s",
    ]
    assert [item["link"] for item in plan["uwsgi_instances"]] == ["/run/wsgi/a.sock", None, "/run/wsgi/c.sock"]
    plan = planned([app("b", socket="127.0.0.1:5051")], [])
    assert not [file for file in plan["app_bundle"]["files"] if "tmpfiles" in file["dest"]]


def test_the_modules_know_where_the_links_are():
    assert former("a")["link"] == planned([app("a")], [])["uwsgi_instances"][0]["link"]
    assert former("a")["run_dir"] == planned([app("a")], [])["uwsgi_instances"][0]["run_dir"]
    assert former("a")["unit"] == planned([app("a")], [])["uwsgi_instances"][0]["unit"]


@pytest.mark.parametrize("variable", ["publish_build_user", "publish_git_user"])
@pytest.mark.parametrize("name", ["root", "", "-x", "a b", "Upper", "a" * 40])
def test_who_builds_and_fetches_is_an_account_of_its_own(variable, name):
    _plan, problems = attempt([app()], **{variable: name})
    assert [problem.path for problem in problems] == [variable]


def test_releases_know_whose_they_are_and_who_builds_them():
    plan = planned([app(user="alice")], publish_build_user="builder")
    assert (plan["build_user"], plan["git_user"], plan["releases"][0]["user"]) == ("builder", "wsgi-git", "alice")


def test_releases_with_requirements_know_the_bounds_of_their_python(monkeypatch):
    uwsgi = {**HOST["uwsgi"], "python": "2.7"}
    monkeypatch.setitem(HOST, "uwsgi", uwsgi)
    monkeypatch.setitem(HOST, "constraints", {"2.7": "Flask<2\n", "3.6": "Flask<2.1\n"})
    first, second = planned([app(requirements=["flask"]), app("other")])["releases"]
    assert (first["bounds"], first["constraints"]) == (["Flask<2"], [])
    assert "bounds" not in second
    monkeypatch.setitem(uwsgi, "python", "3.12")
    assert planned([app(requirements=["flask"])])["releases"][0]["bounds"] == []


def test_logs_are_rotated_where_the_host_can_do_that():
    plan = planned([app(log="system")], [site({"path": "/", "app": "shop"}, access_log="/srv/logs/a.log")])
    for bundle in ("app_bundle", "site_bundle"):
        readers = [file["reader"] for file in plan[bundle]["files"] if "/logrotate.d/" in file["dest"]]
        assert readers == ["logrotate"]


def test_a_number_may_have_the_unit_that_it_has_anyway():
    given = {"harakiri": "60s", "reload-on-rss": "512M", "limit-as": 512, "log-slow": "500ms", "buffer-size": "32768"}
    problems = Problems()
    uwsgi_values.check(app(options=given), "publish_apps[0]", problems)
    assert not problems


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("harakiri", "fast", "'fast' is 0 seconds to uWSGI, which reads no more of it; write a number of seconds"),
        ("harakiri", "1h30m", "'1h30m' is 1 seconds to uWSGI"),
        ("harakiri", "1.5", "'1.5' is 1 seconds to uWSGI"),
        ("harakiri", "5 minutes", "is 5 seconds to uWSGI, which knows no other unit here; write 300"),
        ("http-keepalive", True, "True is 0 seconds to uWSGI"),
        ("buffer-size", "0x8000", "'0x8000' is 0 bytes to uWSGI"),
        ("cache-blocksize", "64k", "write 65536"),
    ],
)
def test_a_number_that_uwsgi_reads_a_part_of_is_refused(name, value, said):
    problems = Problems()
    uwsgi_values.check(app(options={name: value}), "publish_apps[0]", problems)
    (problem,) = problems
    assert said in str(problem)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        # As YAML hands over 0077, 0750, 022 and 0660.
        ({"service_options": {"UMask": 63}}, "service_options.UMask"),
        ({"service_options": {"StateDirectoryMode": [488]}}, "service_options.StateDirectoryMode"),
        ({"options": {"umask": 18}}, "options.umask"),
        ({"options": {"chmod-socket": 432}, "socket": "/run/x/s"}, "options.chmod-socket"),
        ({"options": {"logfile_chmod": [416]}}, "options.logfile_chmod[0]"),
    ],
)
def test_a_mode_that_may_have_lost_its_first_digit_is_refused(more, path):
    problems = [str(problem) for problem in attempt([app(**more)])[1]]
    told = [one for one in problems if one.startswith(f"publish_apps[0].{path}: is the number ")]
    assert len(told) == 1 and "put it in quotes" in told[0], problems


def test_a_mode_that_can_be_told_is_taken():
    service = {"UMask": "0077", "RuntimeDirectoryMode": "0750", "KillMode": "mixed"}
    planned([app(service_options=service)])
    planned([app(service_options={"UMask": 0})])
    problems = Problems()
    given = {"umask": "022", "chmod-socket": 664, "logfile-chmod": "640"}
    for options in (given, {"umask": 0}):
        uwsgi_values.check(app(options=options), "publish_apps[0]", problems)
    assert not problems


@pytest.mark.parametrize("value", ["%(seconds)", "$(SECONDS)", "@(/etc/seconds)", "-1", 0, None, " 60 ", False, "off"])
def test_a_number_that_uwsgi_reads_whole_or_puts_in_first_is_taken(value):
    problems = Problems()
    uwsgi_values.check(app(options={"harakiri": value}), "publish_apps[0]", problems)
    assert not problems


def test_gevent_may_come_as_an_extra():
    planned([app(gevent=9, requirements=["flask", "gunicorn[gevent]==23"])])


@pytest.mark.parametrize(
    "line", ["./wheels/gevent-25.1-cp311.whl", "https://example.com/gevent-25.1.whl", "git+https://x/y.git", "."]
)
def test_what_a_path_or_an_address_brings_along_is_not_known(line):
    planned([app(gevent=9, requirements=["flask", line])])
    # A comment is none.
    assert attempt([app(gevent=9, requirements=["flask  # of https://example.com/"])])[1]


@pytest.mark.parametrize("text", ["git+https://x/y.git", "flask @ https://x", "https://x/y.whl"])
def test_an_address_in_the_place_of_a_file_is_refused(text):
    (problem,) = attempt([app(requirements=text)])[1]
    assert f"write it as a list: [{text!r}]" in str(problem)


def test_a_file_of_requirements_may_have_brackets_in_its_name():
    planned([app(requirements="requirements[1].txt")])


@pytest.mark.parametrize("value", [None, "", [""], ["", None]])
def test_a_unit_without_a_command_is_refused(value):
    (problem,) = attempt([app(service_options={"ExecStart": value})])[1]
    assert "has none in its place" in str(problem)


def test_a_root_in_tmp_is_refused():
    assert [problem.path for problem in attempt([app()], publish_root="/tmp/x")[1]] == ["publish_root"]


def test_the_number_of_a_group_is_asked_of_the_host():
    checks = planned([app(service_options={"SupplementaryGroups": ["27 video", 44]})])["checks"]
    [asked] = [check for check in checks if check["kind"] == "nginx_number"]
    variable = "publish_apps[0].service_options.SupplementaryGroups"
    assert asked == {"kind": "nginx_number", "variable": variable, "numbers": [27, 44], "nginx_group": "nginx"}


def test_a_group_that_a_unit_of_all_adds_is_refused_once():
    problems, more = [], {"uwsgi_unit_options": {"SupplementaryGroups": "nginx"}}
    for index in range(2):
        group_plan.check_more({"service_options": {}}, f"publish_apps[{index}]", "nginx", more, problems)
    assert [problem.path for problem in problems] == ["uwsgi_unit_options.SupplementaryGroups"]


@pytest.mark.parametrize("name", ["PropagatesReloadTo", "JobTimeoutSec", "WantsMountsFor", "DefaultInstance"])
def test_directives_of_other_sections_are_refused(name):
    (problem,) = attempt([app(service_options={name: "x"})])[1]
    assert "stands in another section" in str(problem)


def test_a_relative_virtualenv_of_code_in_place_is_told_its_path():
    given = {**app(virtualenv=".venv"), "source": None, "path": "/srv/shop"}
    (problem,) = attempt([given])[1]
    assert "is not absolute; write /srv/shop/.venv, or state" in str(problem)


def test_a_list_that_begins_empty_takes_the_place_of_the_command():
    assert planned([app(service_options={"ExecStart": ["", "/bin/x"]})])["instances"][0]["service"][-1][1] == "/bin/x"


@pytest.mark.parametrize(
    "known, uwsgi, carried",
    [
        ({"uwsgi": None}, None, {}),
        (
            {
                "uwsgi": {"binary": "/b", "python": "3", "pip": "pip", "venv_command": ["v"], "abi": "x"},
                "waiting": {"name": "nginx"},
            },
            {"binary": "/b", "python": "3", "pip": "pip", "venv_command": ["v"]},
            {"name": "nginx"},
        ),
    ],
)
def test_plan_hands_on_uwsgi_and_what_nginx_left_to_the_sites(monkeypatch, known, uwsgi, carried):
    for name, value in known.items():
        monkeypatch.setitem(HOST, name, value)
    plan = planned([app()])
    assert plan["uwsgi"] == uwsgi
    assert plan["carried"] == carried
