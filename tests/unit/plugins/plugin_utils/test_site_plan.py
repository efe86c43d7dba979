"""Sites, locations and upstreams: what is refused, and what nginx and uWSGI are told of the rest."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_preflight
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    client_plan,
    nginx_tree,
    publish_plan,
    site_listen,
    site_plan,
    spec,
)

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}
GROUPS = {
    "": ["web", "backends", "nobody"],
    "backends": [{"address": "10.0.0.1", "weight": 3}, {"address": "fd00::2", "weight": "1", "backup": "yes"}],
    "nobody": [],
    "heavy": [{"address": "10.0.0.1", "weight": "much"}],
}
TLS = {"certificate": "/etc/ssl/c.pem", "key": "/etc/ssl/k.pem"}
ZABBIX = "http://127.0.0.1:8881"


def attempt(sites, upstreams=(), apps=("shop",), nginx=None, **more):
    """(plan, problems) of these sites; an application is a name or a mapping."""
    apps = [{"name": app} if isinstance(app, str) else app for app in apps]
    apps = [{"source": "x", "module": "manage", **app} for app in apps]
    values = {"publish_apps": apps, "publish_sites": list(sites), "publish_upstreams": list(upstreams), **more}
    problems = []
    values = spec.check(values, SPECS["publish"], problems)
    if problems:
        return {}, problems
    roles = {"nginx": spec.check(nginx or {}, SPECS["nginx"], []), "uwsgi": spec.check({}, SPECS["uwsgi"], [])}
    return plain(publish_plan.plan(values, {"groups": GROUPS}, roles))


def planned(*args, **kwargs):
    plan, problems = attempt(*args, **kwargs)
    assert not problems, [str(problem) for problem in problems]
    return plan


def site(*locations, **more):
    return {"server_name": ["a.test"], "locations": list(locations), **more}


def at(path, **more):
    return {"path": path, **more}


def to_app(path="/", **more):
    return {"path": path, "app": "shop", **more}


def files(plan):
    found = plan["site_bundle"]["files"]
    return [file["vars"]["site"] for file in found if "site" in file.get("vars", {})]


def shared(plan):
    found = [file for file in plan["site_bundle"]["files"] if file["dest"].startswith("/etc/nginx/conf.d/publish-")]
    return found[0]["vars"]["http"] if found else []


def refusing(sites, **more):
    """The servers that refuse unknown names, each by its lines of listen."""
    found = planned(sites, **more)["site_bundle"]["files"]
    servers = [file["vars"]["http"] for file in found if file["dest"].startswith("/etc/nginx/default.d/")]
    return {tuple(lines(block, "listen")): block for _name, _value, block in (servers[0] if servers else [])}


def server(sites, index=0, **more):
    """A server block but for what is of maintenance in it, see test_maintenance_plan.py."""
    block = files(planned(sites, **more))[index]["server"][2]
    return [
        [name, value, children and [line for line in children if not line[1].startswith("(-f ")]]
        for name, value, children in block
        if not value.startswith("= /.graceful-maintenance/")
    ]


def beside(plan):
    """What stands outside of the first site's server block, but for what is of maintenance."""
    return [line for line in files(plan)[0]["http"] if line[0] != "geo"]


def lines(block, name):
    return [value for directive, value, _children in block if directive == name]


def locations(block):
    return {value: children for name, value, children in block if name == "location"}


SERVERS = [{"address": "10.0.0.1:80"}, {"address": "10.0.0.2:80"}]
LIMIT = {"rate": "1r/s"}


def upstream(**more):
    return {"name": "u", "servers": SERVERS, **more}


# What is wrong, the site's or upstream's variables, the path and a piece of what is said or of the mend.
REFUSED_LOCATIONS = [
    ("a redirect to itself", at("/", redirect="/new/?from=old"), ".redirect", "add a location for /new/"),
    ("a block of headers", to_app(options={"add_header": {"X-A": "b"}}), ".options.add_header", "['X-A …']"),
    ("a header without a name", to_app(options={"add_header": '""'}), ".options.add_header", "a name and its value"),
    ("no header at all", to_app(options={"proxy_set_header": [" "]}), ".options.proxy_set_header[0]", "a name and"),
    ("no parameter", to_app(options={"uwsgi_param": "'' x"}), ".options.uwsgi_param", "a name and its value"),
    ("a location without a block", to_app(options={"location": "/x"}), ".options.location", "below 'location …'"),
    ("an if without a block", to_app(options={"if ($a)": True}), ".options.if ($a)", "below 'if …'"),
    ("a star for all", to_app("/api/*"), ".path", "write /api/"),
    ("a converter of Flask's", to_app("= /user/<int:id>"), ".path", "write /user/"),
    ("a name without a scheme", at("/a", redirect="www.b.test/a"), ".redirect", "https://www.b.test/a"),
    ("no time at all", at("/", proxy_pass="http://127.0.0.1:1", timeout="0s"), ".timeout", "write e.g. 1h"),
    ("a found folder", at("~ ^/static/(.*)$", static="/srv/$1"), ".static", "without a regex"),
    ("two targets", at("/", app="shop", redirect="/x"), "", "exactly one"),
    ("app and proxy", at("/", app="shop", proxy_pass="http://a"), "", "exactly one"),
    ("upstream and proxy", at("/", upstream="u", proxy_pass="http://a"), "", "exactly one"),
    ("no target", at("/"), "", "exactly one of app, proxy_pass, upstream, static, redirect, return"),
    ("absolute static of an app", to_app(static="/srv/x"), "", "folder in its code"),
    ("relative static of no app", at("/", static="x"), ".static", "whole path"),
    ("static that leads out", at("/s/", static="/srv/../etc"), ".static", "without it"),
    ("static without a slash", at("/s", static="/srv"), ".path", "write /s/"),
    ("unknown app", at("/", app="shp"), ".app", "did you mean shop?"),
    ("unknown upstream", at("/", upstream="v"), ".upstream", "add it to publish_upstreams"),
    ("misspelt upstream", at("/", upstream="node"), ".upstream", "did you mean nodes?"),
    ("no slash in front", at("x/", app="shop"), ".path", "begin it with a slash"),
    ("no slash in an exact path", at("= x", app="shop"), ".path", "begin it with a slash"),
    ("no address", at("/", proxy_pass="a:80"), ".proxy_pass", "http://"),
    ("a blank in the address", at("/", proxy_pass="http://h/a b/"), ".proxy_pass", "%20"),
    ("strip for an app", to_app("/a/", strip_prefix=True), ".strip_prefix", "mount: true"),
    ("strip of a static", at("/a/", static="/srv", strip_prefix=True), ".strip_prefix", "leave it out"),
    ("strip beside a path", at("/a/", proxy_pass="http://h/b/", strip_prefix=True), ".strip_prefix", "the path of the"),
    (
        "no strip beside a path",
        at("/a/", proxy_pass="http://h/", strip_prefix=False),
        ".strip_prefix",
        "takes the place",
    ),
    ("strip in a regex", at("~ ^/a/", proxy_pass="http://h", strip_prefix=True), ".strip_prefix", "no prefix"),
    ("strip in an exact path", at("= /a", proxy_pass="http://h", strip_prefix=True), ".strip_prefix", "http://h/"),
    ("strip with a variable", at("/a/", proxy_pass="http://$h", strip_prefix=True), ".strip_prefix", "variable"),
    ("strip without a slash", at("/a", proxy_pass="http://h", strip_prefix=True), ".strip_prefix", "write /a/"),
    ("strip by uwsgi", at("/a/", upstream="by-uwsgi", strip_prefix=True), ".strip_prefix", "uwsgi_pass"),
    ("http to uwsgi", at("/", proxy_pass="http://by-uwsgi"), ".proxy_pass", "write upstream: by-uwsgi"),
    ("path in a regex", at("~ ^/a/", proxy_pass="http://h/b/"), ".proxy_pass", "write http://h"),
    ("path in a named location", at("@a", proxy_pass="http://h/b/"), ".proxy_pass", "write http://h"),
    (
        "/zbx/ to /zabbix",
        at("/zbx/", proxy_pass="http://h/zabbix"),
        ".proxy_pass",
        "/zbx/a would be asked for as /zabbixa",
    ),
    ("/zbx to /zabbix/", at("/zbx", proxy_pass="http://h/zabbix/"), ".proxy_pass", "/zbx/ and http://h/zabbix/"),
    ("mount of a proxy", at("/a/", proxy_pass="http://h", mount=True), ".mount", "strip_prefix"),
    ("mount of files", to_app("/a/", static="x", mount=True), ".mount", "app only"),
    ("mount at the root", to_app("/", mount=True), ".mount", "/shop/"),
    ("mount without a slash", to_app("/a", mount=True), ".mount", "/shop/"),
    ("mount at a regex", to_app("~ ^/a/", mount=True), ".mount", "/shop/"),
    ("mount at an equals sign", to_app("/a=b/", mount=True), ".mount", "/shop/"),
    ("slash without one", to_app("/a", slash="serve"), ".slash", "ends in a slash"),
    ("slash of the root", to_app("/", slash="serve"), ".slash", "ends in a slash"),
    ("slash of a regex", to_app("~ /a/", slash="redirect"), ".slash", "ends in a slash"),
    ("slash of a redirect", at("/a/", redirect="/b", slash="404"), ".slash", "leave it out"),
    ("served files", at("/a/", static="/srv", slash="serve"), ".slash", "redirect or 404"),
    ("unknown slash", to_app("/a/", slash="keep"), ".slash", "redirect, serve, 404"),
    ("chdir of no app", at("/", proxy_pass="http://a", uwsgi_chdir=True), ".uwsgi_chdir", "leave it out"),
    ("websocket of files", at("/a/", static="/srv", websocket=True), ".websocket", "leave it out"),
    ("no time", to_app(timeout="long"), ".timeout", "5m"),
    ("no size", to_app(client_max_body_size="big"), ".client_max_body_size", "16m"),
    ("no status", at("/", redirect="/x", redirect_status=200), ".redirect_status", "301"),
    ("directive in return", at("/", **{"return": "200; deny all"}), ".return", "quotes"),
    ("directive in expires", to_app(expires="1d; deny all"), ".expires", "quotes"),
    ("directive in a path", to_app("/a {"), "", "leave off the {"),
    ("line break", at("/", redirect="/x\n"), ".redirect", "one line"),
    ("own proxy_pass", to_app(options={"proxy_pass": "http://a"}), ".options.proxy_pass", "app"),
    ("no address in allow", to_app(allow=["10.0.0"]), ".allow[0]", "10.0.0.0/8"),
    ("no address in deny", to_app(deny=["example.com"]), ".deny[0]", "10.0.0.0/8"),
    ("both allowed and denied", to_app(allow=["10.0.0.1"], deny=["10.0.0.1/32"]), ".deny", "one of them"),
    ("empty pattern", to_app(deny_uri=[" "]), ".deny_uri[0]", "leave it out"),
    ("no rate", to_app(limit_requests={"burst": 1}), ".limit_requests.rate", "set it"),
    ("unknown rate", to_app(limit_requests={"rate": "10/s"}), ".limit_requests.rate", "10r/s"),
    ("unknown key", to_app(limit_requests={**LIMIT, "key": "cookie a"}), ".limit_requests.key", "header NAME"),
    ("small zone", to_app(limit_requests={**LIMIT, "zone_size": "8k"}), ".limit_requests.zone_size", "32k"),
    ("negative burst", to_app(limit_requests={**LIMIT, "burst": -1}), ".limit_requests.burst", "0 or more"),
    ("friendly refusal", to_app(limit_requests={**LIMIT, "status": 200}), ".limit_requests.status", "429"),
    ("no connections", to_app(limit_connections=0), ".limit_connections", "1 or more"),
    ("no header", to_app(headers={"X Y": "1"}), ".headers.X Y", "letters"),
    ("no text in a header", to_app(headers={"X": ["1"]}), ".headers.X", "null"),
    ("misspelt setting", to_app(strip_prefx=True), ".strip_prefx", "did you mean strip_prefix?"),
]
REFUSED_SITES = [
    ("a header without a name", site(to_app(), options={"add_header": '""'}), ".options.add_header", "a name and"),
    ("a location without a block", site(to_app(), options={"location": ["/x"]}), ".options.location[0]", "mapping"),
    ("path twice, one with ^~", site(to_app("/a"), to_app("^~ /a")), ".locations[1].path", "join"),
    (
        "slash and a location for it",
        site(to_app("/a"), to_app("/a/", slash="serve")),
        ".locations[1].slash",
        "leave one",
    ),
    ("slash and an exact one", site(to_app("/a/", slash="404"), to_app("= /a")), ".locations[0].slash", "leave one"),
    ("a port in a name", site(name="a", server_name=["a.test:80"]), ".server_name[0]", "write a.test, the port into"),
    ("an address for a name", site(server_name=["https://a.test/x"]), ".server_name[0]", "write a.test"),
    ("two names in a text", site(server_name=["a.test, b.test"]), ".server_name[0]", "[a.test, b.test]"),
    ("an address without brackets", site(name="a", server_name=["fd00::2"]), ".server_name[0]", "write [fd00::2]"),
    ("a wildcard in the middle", site(server_name=["b.test", "a.*.test"]), ".server_name[1]", "*.example.com"),
    ("a wildcard alone", site(name="a", server_name=["*"]), ".server_name[0]", "write _"),
    ("any name for an alias", site(aliases=["_"]), ".aliases[0]", "publish a site for it"),
    ("an address for an alias", site(aliases=["http://b.test"]), ".aliases[0]", "write b.test"),
    ("a port twice", site(listen=["80", "80"]), ".server_name", "twice in the site"),
    ("a log switched off in YAML", site(access_log=False), ".access_log", "in quotes"),
    ("a header that nginx has", site(headers={"Content-Type": "text/plain"}), ".headers.Content-Type", "default_type"),
    ("no key", site(tls={"certificate": "/c"}), ".tls.key", "set it"),
    ("relative certificate", site(tls={**TLS, "certificate": "c.pem"}), ".tls.certificate", "whole path"),
    ("relative key", site(tls={**TLS, "key": "k.pem"}), ".tls.key", "whole path"),
    ("a port too high", site(listen=["65536"]), ".listen[0]", "127.0.0.1:80"),
    ("an address of IPv6 without brackets", site(listen=["::1:80"]), ".listen[0]", "'[::1]:80'"),
    ("a port that YAML took for a fraction", site(listen=["80.0"]), ".listen[0]", "write a port"),
    ("no address", site(listen=["127.0.0.256:80"]), ".listen[0]", "write a port"),
    ("brackets without an address", site(listen=["[:1]:80"]), ".listen[0]", "write a port"),
    ("a relative socket", site(listen=["unix:run/s"]), ".listen[0]", "unix:/absolute"),
    ("a port of TLS too high", site(tls={**TLS, "listen": ["0.0.0.0:99999"]}), ".tls.listen[0]", "write a port"),
    ("no TLS port", site(tls={**TLS, "listen": []}), ".tls.listen", "443"),
    ("one port for both", site(listen=["443"], tls=TLS), ".tls.listen[0]", "one of them"),
    ("negative hsts", site(tls={**TLS, "hsts": -1}), ".tls.hsts", "0 for none"),
    ("old protocol", site(tls={**TLS, "protocols": ["TLSv1.2", "TLSv1"]}), ".tls.protocols[1]", "TLSv1.3"),
    ("no protocol", site(tls={**TLS, "protocols": []}), ".tls.protocols", "TLSv1.2"),
    ("directive in ciphers", site(tls={**TLS, "ciphers": "A; b"}), ".tls.ciphers", "quotes"),
    ("directive in a name", site(server_name=["a.test; b"], name="a"), ".server_name[0]", "quotes"),
    ("nowhere to listen", site(listen=[]), ".listen", "80"),
    ("aliases of nobody", site(server_name=["_"], aliases=["b.test"]), ".aliases", "whole name"),
    ("aliases of many", site(server_name=["*.a.test"], aliases=["b.test"]), ".aliases", "whole name"),
    ("redirect to a path", site(redirect="/x"), ".redirect", "https://www.example.com"),
    ("redirect with a variable", site(redirect="https://$host"), ".redirect", "https://www.example.com"),
    ("redirect beside locations", site(to_app(), redirect="https://b.test"), ".locations", "locations or redirect"),
    (
        "redirect beside aliases",
        site(aliases=["b.test"], redirect="https://b.test"),
        ".aliases",
        "aliases or redirect",
    ),
    ("no proxy that is believed", site(real_ip={}), ".real_ip.from", "set it"),
    ("all proxies", site(real_ip={"from": ["all"]}), ".real_ip.from[0]", "10.0.0.0/8"),
    (
        "no header of a proxy",
        site(real_ip={"from": ["10.0.0.1"], "header": "a b"}),
        ".real_ip.header",
        "X-Forwarded-For",
    ),
    ("no default, says one", site(default_server=False, listen=["80 default_server"]), ".default_server", "leave one"),
    ("no size", site(client_max_body_size="1 m"), ".client_max_body_size", "16m"),
    ("no address", site(allow=["localhost"]), ".allow[0]", "10.0.0.0/8"),
]
REFUSED_UPSTREAMS = [
    ("unsafe name", [upstream(name="a b")], "[0].name", "letters"),
    ("same name", [upstream(), upstream(name="U")], "[1].name", "rename"),
    ("no servers", [upstream(servers=[])], "[0]", "exactly one"),
    ("servers and group", [upstream(group="backends", port=80)], "[0]", "exactly one"),
    ("unknown group", [upstream(servers=[], group="backend", port=80)], "[0].group", "did you mean backends?"),
    ("empty group", [upstream(servers=[], group="nobody", port=80)], "[0].group", "put hosts into it"),
    ("group without a port", [upstream(servers=[], group="backends")], "[0].port", "listen on"),
    ("port without a group", [upstream(port=80)], "[0].port", "each server's address"),
    ("no port", [upstream(servers=[], group="backends", port=0)], "[0].port", "65535"),
    ("no weight of a host", [upstream(servers=[], group="heavy", port=80)], "[0].group.weight", "1 or more"),
    ("no address", [upstream(servers=[{"address": "http://a"}])], "[0].servers[0].address", "host:port"),
    ("same address", [upstream(servers=[SERVERS[0], SERVERS[0]])], "[0].servers[1].address", "weight"),
    ("no weight", [upstream(servers=[{**SERVERS[0], "weight": 0}])], "[0].servers[0].weight", "1 or more"),
    ("negative fails", [upstream(servers=[{**SERVERS[0], "max_fails": -1}])], "[0].servers[0].max_fails", "0 or more"),
    ("no time", [upstream(servers=[{**SERVERS[0], "fail_timeout": "soon"}])], "[0].servers[0].fail_timeout", "10s"),
    ("only a backup", [upstream(servers=[{**SERVERS[0], "backup": True}])], "[0]", "neither"),
    ("all down", [upstream(servers=[{**SERVERS[0], "down": True}])], "[0]", "neither"),
    (
        "backup by address",
        [upstream(balance="address", servers=[SERVERS[0], {**SERVERS[1], "backup": True}])],
        "[0].servers[1].backup",
        "round_robin",
    ),
    ("unknown balance", [upstream(balance="random")], "[0].balance", "least_conn"),
    ("hash of nothing", [upstream(balance="hash user")], "[0].balance", "variable"),
    ("no idle connections", [upstream(keepalive=0)], "[0].keepalive", "1 or more"),
    ("idle by uwsgi", [upstream(keepalive=1, protocol="uwsgi")], "[0].keepalive", "protocol: http"),
]


def cases(table):
    return pytest.mark.parametrize(
        ("given", "path", "piece"), [row[1:] for row in table], ids=[row[0] for row in table]
    )


def assert_refused(problems, path, piece):
    assert [
        problem for problem in problems if problem.path == path and piece in f"{problem.message}; {problem.hint}"
    ], [str(problem) for problem in problems]


@cases(REFUSED_LOCATIONS)
def test_refuses_a_location(given, path, piece):
    upstreams = [upstream(name="nodes"), upstream(name="by-uwsgi", protocol="uwsgi")]
    plan, problems = attempt([site(given)], upstreams)
    assert plan == {}
    if given["path"] == "/a {":
        path = ".location /a {"
    assert_refused(problems, f"publish_sites[0].locations[0]{path}", piece)


@cases(REFUSED_SITES)
def test_refuses_a_site(given, path, piece):
    plan, problems = attempt([given])
    assert plan == {}
    assert_refused(problems, f"publish_sites[0]{path}", piece)


@pytest.mark.parametrize("kind", ["proxy_redirect", "proxy_hide_header", "proxy_cookie_path"])
def test_a_line_of_empty_quotes_beside_an_include_is_planned(kind):
    options = {kind: '""', "include": ["/etc/nginx/mine.conf"]}
    assert planned([site(at("/", proxy_pass="http://127.0.0.1:1", options=options))])


@cases(REFUSED_UPSTREAMS)
def test_refuses_an_upstream(given, path, piece):
    plan, problems = attempt([], given)
    assert plan == {}
    assert_refused(problems, f"publish_upstreams{path}", piece)


def test_the_shared_file_is_no_sites():
    _plan, problems = attempt([site(name="publish-main")])
    assert_refused(problems, "publish_sites[0].name", "another name")
    planned([site(name="publish-main")], publish_set="other")


def test_one_default_server_a_port():
    sites = [
        site(name="a", default_server=True),
        site(name="b", server_name=["b.test"], listen=["81", "80 default_server"]),
    ]
    _plan, problems = attempt(sites)
    assert_refused(problems, "publish_sites[1].default_server", "publish_sites[0] is the default server on 80 already")


def test_an_alias_is_a_name_like_another():
    _plan, problems = attempt([site(aliases=["b.test"]), site(name="b", server_name=["b.test"])])
    assert_refused(problems, "publish_sites[1].server_name", "'b.test' on port 80")


def test_a_port_of_tls_is_no_applications():
    apps = [{"name": "shop", "socket": "127.0.0.1:443"}]
    _plan, problems = attempt([site(tls=TLS)], apps=apps)
    assert_refused(problems, "publish_sites[0].listen", "different ports")


def listening(sites, index=0):
    return lines(server(sites, index), "listen")


def test_the_site_of_no_name_is_the_default():
    other = site(name="b", server_name=["_"], listen=["80", "[::]:80", "127.0.0.1:81"])
    assert listening([site(), other], 0) == ["80"]
    assert listening([site(), other], 1) == [
        "80 default_server",
        "[::]:80 default_server",
        "127.0.0.1:81 default_server",
    ]


def test_who_says_so_is_the_default_instead():
    other = site(name="b", server_name=["_"], listen=["80", "81"])
    assert listening([site(default_server=True), other], 1) == ["80", "81 default_server"]
    assert listening([site(listen=["80 default_server"]), other], 1) == ["80", "81 default_server"]
    assert listening([site(), {**other, "default_server": False}], 1) == ["80", "81"]


def test_ipv6_is_the_twin_of_each_port():
    given = site(ipv6=True, listen=["80", "127.0.0.1:81", "*:82 backlog=9", "83", "[::]:83"], default_server=True)
    found = [listen.replace(" default_server", "") for listen in listening([given])]
    assert found == ["80", "127.0.0.1:81", "*:82 backlog=9", "83", "[::]:83", "[::]:80", "[::]:82 backlog=9"]


@pytest.mark.parametrize(
    ("version", "listen", "directive"), [("1.25.1", "443 ssl", ["on"]), ("1.24.0", "443 ssl http2", [])]
)
def test_http2_in_the_words_of_the_version(version, listen, directive):
    block = server([site(to_app(), tls=TLS)], nginx={"nginx_version": version})
    assert lines(block, "listen") == [listen]
    assert lines(block, "http2") == directive


def test_http2_can_be_left_out():
    block = server([site(to_app(), tls=TLS, http2=False)])
    assert (lines(block, "listen"), lines(block, "http2")) == (["443 ssl"], [])


@pytest.mark.parametrize(("listen", "port"), [(["443"], ""), (["8443"], ":8443"), (["8443", "443"], "")])
def test_plain_ports_lead_to_tls(listen, port):
    plan = planned([site(to_app(), tls={**TLS, "listen": listen}, listen=["8080"], aliases=["b.test"])])
    plain, alias = [children for name, _value, children in files(plan)[0]["http"] if name == "server"]
    assert (lines(plain, "listen"), lines(plain, "server_name")) == (["8080"], ["a.test"])
    assert lines(plain, "return") == [f"301 https://$host{port}$request_uri"]
    assert lines(alias, "return") == [f"301 https://a.test{port}$request_uri"]
    assert lines(alias, "ssl_certificate") == ["/etc/ssl/c.pem"]


def test_both_where_plain_is_not_to_lead_to_tls():
    plan = planned([site(to_app(), tls={**TLS, "redirect": False})])
    assert beside(plan) == []
    assert lines(files(plan)[0]["server"][2], "listen") == ["80", "443 ssl"]


def test_an_alias_keeps_scheme_and_port():
    plan = planned([site(to_app(), aliases=["b.test", "c.test"])])
    ((_name, _value, alias),) = beside(plan)
    assert lines(alias, "server_name") == ["b.test c.test"]
    assert lines(alias, "return") == ["301 $scheme://a.test$publish_main_port$request_uri"]


def test_a_site_that_has_moved():
    block = server([site(redirect="https://b.test/", redirect_status=308, tls=TLS)])
    assert lines(block, "return") == ["308 https://b.test$request_uri"]
    assert lines(block, "listen") == ["80", "443 ssl"]


# A location, and what asks for what: the directives that decide it.
LEADS = [
    (
        at("/zbx/", proxy_pass=f"{ZABBIX}/zabbix/"),
        {"rewrite": ["^/zbx/(.*)$ /zabbix/$1 break"], "proxy_pass": [ZABBIX]},
    ),
    (at("/kept/", proxy_pass=ZABBIX), {"rewrite": [], "proxy_pass": [ZABBIX]}),
    (at("/kept/", proxy_pass=ZABBIX, strip_prefix=False), {"rewrite": [], "proxy_pass": [ZABBIX]}),
    (at("/cut/", proxy_pass=ZABBIX, strip_prefix=True), {"rewrite": ["^/cut/(.*)$ /$1 break"], "proxy_pass": [ZABBIX]}),
    (at("/cut/", proxy_pass=f"{ZABBIX}/"), {"rewrite": ["^/cut/(.*)$ /$1 break"], "proxy_pass": [ZABBIX]}),
    (at("/a.b", proxy_pass=f"{ZABBIX}/c"), {"rewrite": [r'"^/a\.b(.*)$" /c$1 break'], "proxy_pass": [ZABBIX]}),
    (at("= /a", proxy_pass=f"{ZABBIX}/b"), {"rewrite": [], "proxy_pass": [f"{ZABBIX}/b"]}),
    (at("~ ^/a", proxy_pass=ZABBIX), {"rewrite": [], "proxy_pass": [ZABBIX]}),
    (at("/a/", proxy_pass="http://$host/b"), {"rewrite": [], "proxy_pass": ["http://$host/b"]}),
    (
        at("/a/", proxy_pass="http://unix:/run/s:/b/"),
        {"rewrite": ["^/a/(.*)$ /b/$1 break"], "proxy_pass": ["http://unix:/run/s"]},
    ),
    (
        at("/a/", proxy_pass=f"{ZABBIX}/b/", options={"rewrite": "x y"}),
        {"rewrite": ["x y"], "proxy_pass": [f"{ZABBIX}/b/"]},
    ),
    (at("/u/", upstream="nodes"), {"proxy_pass": ["http://publish-main-nodes"], "proxy_http_version": ["1.1"]}),
    (at("/u/", proxy_pass="https://nodes"), {"proxy_pass": ["https://publish-main-nodes"]}),
    (
        at("/u/", proxy_pass="http://nodes/b/"),
        {"rewrite": ["^/u/(.*)$ /b/$1 break"], "proxy_pass": ["http://publish-main-nodes"]},
    ),
    (at("/u/", proxy_pass="http://nodes:81"), {"proxy_pass": ["http://nodes:81"]}),
    (at("/u/", upstream="by-uwsgi"), {"uwsgi_pass": ["publish-main-by-uwsgi"], "include": ["uwsgi_params"]}),
    (at("/u/", upstream="kept"), {"proxy_http_version": ["1.1"], "proxy_pass": ["http://publish-main-kept"]}),
    (at("/w/", proxy_pass=ZABBIX, websocket=True), {"proxy_http_version": ["1.1"], "proxy_read_timeout": ["1h"]}),
    (
        to_app("/w/", websocket=True),
        {"uwsgi_read_timeout": ["1h"], "uwsgi_send_timeout": ["1h"], "proxy_http_version": []},
    ),
    (to_app("/w/", timeout="5m"), {"uwsgi_read_timeout": ["5m"]}),
    (at("/s/", static="/srv/x"), {"alias": ["/srv/x/"], "root": []}),
    (at("/", static="/srv/x/"), {"root": ["/srv/x"], "alias": []}),
    (at("= /robots.txt", static="/srv/r"), {"alias": ["/srv/r"]}),
    (at(r"~ \.css$", static="/srv/x"), {"root": ["/srv/x"]}),
    (to_app("/s/", static="web/static"), {"alias": ["/srv/wsgi/shop/current/web/static/"]}),
    (at("/s/", static="/srv/x", internal=True, expires="1d"), {"internal": [""], "expires": ["1d"]}),
    (at("/r/", redirect="/x y"), {"return": ['301 "/x y"']}),
    (at("/r", **{"return": '200 "it is up"'}), {"return": ['200 "it is up"']}),
    (to_app("/b/", client_max_body_size="1g"), {"client_max_body_size": ["1g"]}),
    (to_app("/l/", limit_requests={"rate": "1r/s", "burst": 0}), {"limit_req": ["zone=publish_location_0_a_requests"]}),
    (
        to_app("/l/", limit_requests=LIMIT, limit_connections=3),
        {
            "limit_req": ["zone=publish_location_0_a_requests burst=20 nodelay"],
            "limit_req_status": ["429"],
            "limit_conn": ["publish_location_0_a_connections 3"],
            "limit_conn_status": ["429"],
        },
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), LEADS, ids=[f"{row[0]['path']}-{number}" for number, row in enumerate(LEADS)]
)
def test_where_a_location_leads(given, expected):
    upstreams = [
        upstream(name="nodes"),
        upstream(name="by-uwsgi", protocol="uwsgi"),
        upstream(name="kept", keepalive=2),
    ]
    block = locations(server([site(given, name="a")], upstreams=upstreams))[given["path"]]
    assert {name: lines(block, name) for name in expected} == expected


def test_a_stripped_prefix_is_told():
    block = locations(server([site(at("/cut/", proxy_pass=ZABBIX, strip_prefix=True))]))["/cut/"]
    assert "X-Forwarded-Prefix /cut" in lines(block, "proxy_set_header")
    block = locations(server([site(at("/kept/", proxy_pass=ZABBIX))]))["/kept/"]
    assert [line for line in lines(block, "proxy_set_header") if "Prefix" in line] == ['X-Forwarded-Prefix ""']


SLASHES = [
    (to_app("/a/"), [("return", "301 /a/$is_args$args")]),
    (at("/a/", static="/srv"), [("return", "301 /a/$is_args$args")]),
    (to_app("^~ /a/", slash="404"), [("return", "404")]),
    (to_app("/a/", slash="serve"), [("include", "uwsgi_params"), ("uwsgi_pass", "unix:/run/wsgi/shop.sock")]),
    (at("/a/", proxy_pass=f"{ZABBIX}/b/", slash="serve"), [("proxy_pass", f"{ZABBIX}/b")]),
    (at("/a/", proxy_pass=ZABBIX, strip_prefix=True, slash="serve"), [("proxy_pass", f"{ZABBIX}/")]),
    (at("/a/", proxy_pass=f"{ZABBIX}/", slash="serve"), [("proxy_pass", f"{ZABBIX}/")]),
    (at("/a/", proxy_pass=ZABBIX, slash="serve"), [("proxy_pass", ZABBIX)]),
    (at("/a/", upstream="u", slash="serve"), [("proxy_pass", "http://publish-main-u")]),
    (at("/a/", upstream="u", strip_prefix=True, slash="serve"), [("proxy_pass", "http://publish-main-u/")]),
    (to_app("/a/", slash="404", deny=["10.0.0.1"]), [("if", "($publish_location_0_b_denied)"), ("return", "404")]),
]


@pytest.mark.parametrize(("given", "expected"), SLASHES)
def test_the_path_without_its_slash(given, expected):
    block = locations(server([site(given, name="b")], upstreams=[upstream()]))["= /a"]
    beside = ("proxy_set", "proxy_redirect", "proxy_http_version", "uwsgi_param")
    assert [(name, value) for name, value, _children in block if not name.startswith(beside)] == expected


def test_what_is_said_of_http_for_all_locations_is_not_contradicted():
    for more in ({"options": {"proxy_http_version": "1.0"}}, {}):
        found = server([site(at("/a/", proxy_pass=ZABBIX), at("/w/", proxy_pass=ZABBIX, websocket=True), **more)])
        versions = [lines(locations(found)[path], "proxy_http_version") for path in ("/a/", "/w/")]
        assert versions == [[] if more else ["1.1"], ["1.1"]]


@pytest.mark.parametrize(
    "given",
    [
        site(to_app("/a/"), to_app("= /a")),
        site(to_app("/a/"), to_app("/a")),
        site(to_app("/a/"), to_app("^~ /a")),
        site(to_app("/a/"), options={"location = /a": {"return": "204"}}),
        site(at("/a/", redirect="/b/")),
        site(at("/a/", static="/srv", internal=True)),
        site(to_app("/")),
        site(to_app("~ ^/a/")),
    ],
)
def test_no_slash_is_added_where_the_user_says_himself_or_there_is_none(given):
    found = locations(server([given]))
    assert list(found) == [location["path"] for location in given["locations"]]


def mounted(*locations_, **more):
    plan = planned([site(*locations_)], apps=[{"name": "shop", **more}])
    wanted = ("module", "wsgi-file", "mount", "manage-script-name", "single-interpreter")
    assert plan["preflights"][0]["options"] == plan["instances"][0]["options"]
    return [(name, value) for name, value in plan["instances"][0]["options"] if name in wanted]


ALWAYS = [("manage-script-name", "true"), ("single-interpreter", "true")]


def test_a_mounted_application_is_loaded_where_it_is_mounted_only():
    assert mounted(to_app("/shop/", mount=True)) == [("mount", "/shop=manage:app"), *ALWAYS]
    given = [to_app("/shop/", mount=True), to_app("^~ /a/b/", mount=True)]
    assert mounted(*given) == [("mount", "/shop=manage:app"), ("mount", "/a/b=manage:app"), *ALWAYS]


def test_the_module_stays_where_it_is_used_unmounted_too():
    assert mounted(to_app("/shop/", mount=True), to_app("/"))[:2] == [
        ("module", "manage"),
        ("mount", "/shop=manage:app"),
    ]
    assert mounted() == [("module", "manage")]
    # Its files do not ask the application.
    assert mounted(to_app("/shop/", mount=True), to_app("/s/", static="s"))[0] == ("mount", "/shop=manage:app")


def test_a_file_is_mounted_by_its_path():
    given = {"module": None, "wsgi_file": "web/app.py"}
    assert mounted(to_app("/shop/", mount=True), **given)[0] == ("mount", "/shop=/srv/wsgi/shop/current/web/app.py")
    given = {"module": "shop.wsgi:application"}
    assert mounted(to_app("/shop/", mount=True), **given)[0] == ("mount", "/shop=shop.wsgi:application")


def test_a_preflight_loads_what_is_mounted():
    given = {"name": "shop", "module": None, "wsgi_file": "app.py"}
    (preflight,) = planned([site(to_app("/shop/", mount=True))], apps=[given])["preflights"]
    loaded = uwsgi_preflight.neutral(preflight["options"], {"/srv/wsgi/shop/current": "/srv/wsgi/shop/releases/2"})
    assert [pair for pair in map(list, loaded) if pair[0] in ("mount", "manage-script-name", "single-interpreter")] == [
        ["mount", "/shop=/srv/wsgi/shop/releases/2/app.py"],
        ["manage-script-name", "true"],
        ["single-interpreter", "true"],
    ]


def test_a_users_own_switch_stands_alone():
    found = mounted(to_app("/shop/", mount=True), options={"single-interpreter": False})
    assert found == [
        ("mount", "/shop=manage:app"),
        ("manage-script-name", "true"),
        ("single-interpreter", "false"),
    ]


def test_mounts_of_all_sites_are_gathered():
    sites = [
        site(to_app("/a/", mount=True)),
        site(to_app("/b/", mount=True), to_app("/a/", mount=True), server_name=["b"]),
    ]
    values = spec.check({"publish_sites": sites}, SPECS["publish"], [])
    assert site_plan.mounts(values["publish_sites"], "shop") == {"mounts": ["/a", "/b"], "unmounted": False}


def added(block):
    return [re.match(r'(\S+) "(.*)" always$', line).groups() for line in lines(block, "add_header")]


def test_a_location_with_headers_keeps_those_of_the_site():
    own = to_app("/a/", headers={"X-Two": "2", "x-frame-options": "DENY"})
    block = server([site(own, to_app("/b/"), headers={"X-One": 'a "b"', "Referrer-Policy": None}, tls=TLS)])
    everywhere = [("X-Content-Type-Options", "$publish_main_x_content_type_options")]
    hsts = ("Strict-Transport-Security", "max-age=15768000")
    assert added(block) == [
        *everywhere,
        ("X-Frame-Options", "$publish_main_x_frame_options"),
        hsts,
        ("X-One", r"a \"b\""),
    ]
    found = locations(block)
    assert added(found["/a/"]) == [
        *everywhere,
        ("x-frame-options", "DENY"),
        hsts,
        ("X-One", r"a \"b\""),
        ("X-Two", "2"),
    ]
    assert lines(found["/b/"], "add_header") == []


def test_a_users_own_add_header_stays_and_ours_beside_it():
    given = site(to_app(options={"add_header": ["X-Frame-Options DENY"]}), options={"add_header": "X-One 1"})
    block = server([given])
    assert lines(block, "add_header")[-1] == "X-One 1"
    assert [line.split()[0] for line in lines(locations(block)["/"], "add_header")] == [
        "X-Content-Type-Options",
        "Referrer-Policy",
        "X-Frame-Options",
        # What the user says for the site holds in a location that says more.
        "X-One",
    ]


def test_an_applications_own_header_is_not_sent_twice():
    maps = {value: children for name, value, children in shared(planned([site(to_app())])) if name == "map"}
    lines_ = maps["$upstream_http_x_frame_options $publish_main_x_frame_options"]
    assert [line[:2] for line in lines_] == [["default", '""'], ['""', "SAMEORIGIN"]]


def test_nothing_of_ours_is_beside_a_directive_of_the_users():
    theirs = {"client_max_body_size": "3m", "gzip": False, "absolute_redirect": True, "limit_req": "zone=x"}
    block = server([site(to_app(), options=theirs, limit_requests=LIMIT)])
    for name, value in theirs.items():
        assert lines(block, name) == [value if isinstance(value, str) else "on" if value else "off"]


def test_nothing_usual_hides_what_all_of_nginx_was_told():
    block = server([site(to_app())], nginx={"nginx_conf_options": {"client_max_body_size": "3m", "gzip_types": "a/b"}})
    assert (lines(block, "client_max_body_size"), lines(block, "gzip_types"), lines(block, "gzip")) == ([], [], ["on"])


def geo(given):
    return {
        value: {name: text for name, text, _children in children}
        for name, value, children in files(planned([given]))[0]["http"]
        if name == "geo"
    }


def test_who_may_ask():
    assert geo(site(allow=["10.0.0.9/8"], deny=["10.0.0.1"], name="a")) == {
        "$publish_site_a_denied": {"default": "1", "10.0.0.0/8": "0", "10.0.0.1": "1"}
    }
    assert geo(site(deny=["fd00::/8"], name="a")) == {"$publish_site_a_denied": {"default": "0", "fd00::/8": "1"}}
    assert geo(site(deny=["all"], name="a")) == {"$publish_site_a_denied": {"default": "1"}}
    assert geo(site(allow=["all"], deny=["10.0.0.1"], name="a")) == {
        "$publish_site_a_denied": {"default": "0", "10.0.0.1": "1"}
    }


def test_a_location_with_a_list_of_its_own_does_not_ask_the_sites():
    block = server([site(to_app("/"), to_app("/b/", allow=["all"]), deny=["10.0.0.1"], name="a")])
    assert lines(block, "if") == []
    assert lines(locations(block)["/"], "if") == ["($publish_site_a_denied)"]
    assert (
        lines(locations(block)["/b/"], "if")
        == lines(locations(block)["= /b"], "if")
        == ["($publish_location_1_a_denied)"]
    )
    block = server([site(to_app("/"), to_app("/b/"), deny=["10.0.0.1"], name="a")])
    assert lines(block, "if") == ["($publish_site_a_denied)"]
    assert lines(locations(block)["/"], "if") == []


def test_what_stands_outside_bears_the_sites_name_or_the_sets():
    sites = [
        site(name="a-b", deny=["10.0.0.1"], limit_requests=LIMIT),
        site(name="a_b", server_name=["b"], deny=["10.0.0.1"]),
    ]
    plan = planned(sites, [upstream(name="U")], publish_set="x-y")
    first, second = (found["http"] for found in files(plan))
    assert not {line[1] for line in first}.intersection(line[1] for line in second)
    # Shared by the set's sites; two sets have different names, however alike they look.
    assert [line[1] for line in shared(plan) if line[0] == "upstream"] == [f"publish-{nginx_tree.slug('x-y')}-u"]
    prefixes = {site_listen.prefix_of(name) for name in ("a-b", "a_b", "a.b")}
    assert len(prefixes) == 3
    assert all(re.fullmatch(r"\w+", prefix) for prefix in prefixes)


def test_a_zone_of_a_location_is_no_other_sites():
    sites = [site(to_app(limit_requests=LIMIT), name="a"), site(name="a_0", server_name=["b"], limit_requests=LIMIT)]
    zones = [found["http"][0][1].split()[1] for found in files(planned(sites))]
    assert zones == ["zone=publish_location_0_a_requests:10m", "zone=publish_site_a_0_requests:10m"]


def test_variables_fit_into_nginxs_hash_however_long_the_names():
    guarded = to_app(deny=["10.0.0.1"], deny_uri=["x"])
    sites = [site(*({**guarded, "path": f"/{number}"} for number in range(101)), name="a-very-long." * 5)]
    plan = planned(sites, publish_set="as-long-as-it-may-be-" * 3)
    http = shared(plan) + files(plan)[0]["http"]
    names = {name for line in http for name in re.findall(r"\$(publish\w+)", str(line))}
    assert len(names) > 300
    assert max(map(len, names)) <= 46


def test_limits_by_a_header():
    http = files(planned([site(limit_requests={"rate": "5r/m", "key": "header X-Api-Key"}, name="a")]))[0]["http"]
    assert http == [["limit_req_zone", "$http_x_api_key zone=publish_site_a_requests:10m rate=5r/m", None]]


def test_behind_a_proxy():
    block = server([site(to_app(), real_ip={"from": ["10.1.2.3/8", "fd00::1"]})])
    assert lines(block, "set_real_ip_from") == ["10.0.0.0/8", "fd00::1"]
    assert (lines(block, "real_ip_header"), lines(block, "real_ip_recursive")) == (["X-Forwarded-For"], ["on"])


def upstream_block(**more):
    ((_name, _value, block),) = [line for line in shared(planned([], [upstream(**more)])) if line[0] == "upstream"]
    return [f"{name} {value}".strip() for name, value, _children in block]


def test_servers_of_an_inventory_group():
    found = upstream_block(servers=[], group="backends", port=7000, balance="least_conn", keepalive=4)
    assert found == [
        "zone publish-main-u 64k",
        "least_conn",
        "server 10.0.0.1:7000 weight=3",
        "server [fd00::2]:7000 backup",
        "keepalive 4",
    ]


def test_what_a_server_says():
    server_ = {"address": "h", "weight": 2, "max_fails": 0, "fail_timeout": "1m", "down": True}
    assert upstream_block(servers=[server_, SERVERS[0]])[1] == "server h weight=2 max_fails=0 fail_timeout=1m down"


@pytest.mark.parametrize(
    ("balance", "expected"),
    [("address", "hash $binary_remote_addr consistent"), ("hash $arg_a$host", "hash $arg_a$host consistent")],
)
def test_balance(balance, expected):
    assert upstream_block(balance=balance)[1] == expected


# What nginx itself resolves is refused.
PATHS = st.text("ab.-", min_size=1, max_size=4).filter(lambda text: text.strip(".")).map(lambda text: f"/{text}/")


@given(PATHS, st.sampled_from(["/", "/c/", "/d/e/"]), st.text("abc/.-", max_size=6))
def test_a_prefix_is_replaced_as_nginx_replaces_it(prefix, replacement, rest):
    block = locations(server([site(at(prefix, proxy_pass=f"{ZABBIX}{replacement}"))]))[prefix]
    pattern, target, _flag = lines(block, "rewrite")[0].replace('"', "").split()
    found = re.sub(pattern, lambda match: target.replace("$1", match[1]), prefix + rest)
    assert found == replacement + rest


def as_nginx_reads(word):
    """A word of nginx's configuration, quotes and backslashes resolved as ngx_conf_read_token does."""
    if word[:1] in "\"'":
        word = word[1:-1]
    known = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}
    return re.sub(r"\\([\s\S])", lambda found: known.get(found[1], found[0]), word)


@given(st.text(r"""ab\"' ;{}#$tn.""", min_size=1, max_size=8))
def test_a_quoted_word_is_one_word_and_says_the_same(text):
    word = nginx_tree.quoted(text)
    problems = []
    assert nginx_tree.directives({"add_header": f"X {word}"}, "", problems) == [["add_header", f"X {word}", None]]
    assert not problems
    assert as_nginx_reads(word) == text
    assert re.fullmatch(r'"(\\.|[^"\\])*"|[^\s"\\\']+', word)


# -- names that no site has ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sites", "listens"),
    [
        ([site(to_app())], [("80",)]),
        ([site(to_app(), listen=["80", "8080"], ipv6=True)], [("80", "8080", "[::]:80", "[::]:8080")]),
        ([site(to_app(), default_server=True)], []),
        ([site(to_app(), server_name=["_"])], []),
        ([site(to_app(), server_name=["_"], default_server=False)], [("80",)]),
        ([site(to_app(), listen=["80 default_server", "81"])], [("81",)]),
        # Another one is the default there.
        ([site(to_app()), site(to_app(), server_name=["b.test"], default_server=True)], []),
        ([site(to_app()), site(to_app(), server_name=["b.test"], listen=["81"], default_server=True)], [("80",)]),
        # What nginx takes from one of a socket's servers only is the site's to say.
        (
            [site(to_app(), listen=["127.0.0.1:80 backlog=9 reuseport so_keepalive=on proxy_protocol ipv6only=on"])],
            [("127.0.0.1:80 proxy_protocol",)],
        ),
        ([site(to_app(), listen=["unix:/run/x.sock"])], [("unix:/run/x.sock",)]),
        ([site(to_app(), tls=TLS)], [("80",), ("443 ssl",)]),
        ([site(to_app(), tls=TLS, options={"listen": "443 quic reuseport"})], [("80",), ("443 ssl", "443 quic")]),
        ([site(to_app(), listen=["8443 ssl"])], [("8443 ssl",)]),
    ],
)
def test_unknown_names_are_refused_where_no_site_is_the_default(sites, listens):
    assert list(refusing(sites)) == listens


def test_the_server_that_refuses_never_says_that_it_is_the_default():
    """Two sets may refuse at one socket, and nginx takes one default_server there."""
    sites = [site(to_app(), tls=TLS)]
    names = set()
    for publish_set in ("one", "two"):
        for listen, block in refusing(sites, publish_set=publish_set).items():
            assert "default_server" not in " ".join(listen)
            names.update(lines(block, "server_name"))
    assert names == {"publish-one.invalid", "publish-two.invalid"}


def test_unknown_names_get_no_answer_and_no_certificate():
    plain, secure = refusing([site(to_app(), tls=TLS)]).values()
    assert lines(plain, "return") == lines(secure, "return") == ["444"]
    assert lines(secure, "ssl_reject_handshake") == ["on"]
    assert not lines(secure, "ssl_certificate") + lines(plain, "ssl_reject_handshake")


@pytest.mark.parametrize(
    ("protocols", "spoken"),
    [([["TLSv1.3"]], "TLSv1.3"), ([["TLSv1.3"], ["TLSv1.2"]], "TLSv1.2 TLSv1.3"), ([["TLSv1.2"]], "TLSv1.2")],
)
def test_the_handshake_is_as_the_sites_say(protocols, spoken):
    sites = [
        site(to_app(), server_name=[f"{index}.test"], tls={**TLS, "protocols": words})
        for index, words in enumerate(protocols)
    ]
    block = refusing(sites)[("443 ssl",)]
    assert lines(block, "ssl_protocols") == [spoken]
    assert lines(block, "ssl_session_tickets") == ["off"]


def test_what_nginx_asks_the_first_server_before_it_knows_the_name_is_as_the_sites_say():
    options = {"client_header_timeout": "9s", "large_client_header_buffers": "4 32k", "ssl_ecdh_curve": "X25519"}
    sites = [site(to_app()), site(to_app(), server_name=["b.test"], options=options, tls={**TLS, "redirect": False})]
    block = refusing(sites)[("80",)]
    assert lines(block, "client_header_timeout") == ["9s"]
    assert lines(block, "large_client_header_buffers") == ["4 32k"]
    assert not lines(block, "ssl_ecdh_curve")
    secure = refusing([site(to_app(), tls={**TLS, "redirect": False}, options=options)])[("443 ssl",)]
    assert lines(secure, "ssl_ecdh_curve") == ["X25519"]


@pytest.mark.parametrize(
    ("version", "tls", "listen", "directive"),
    [
        ("1.24.0", TLS, ("443 ssl http2",), []),
        ("1.30.6", TLS, ("443 ssl",), ["on"]),
        ("1.30.6", {**TLS, "redirect": False}, ("80",), ["on"]),
        ("1.30.6", TLS, ("80",), []),
    ],
)
def test_http2_where_the_first_server_decides(version, tls, listen, directive):
    nginx = {"nginx_version": version, "nginx_checksums": {f"nginx-{version}": "0" * 64}}
    assert lines(refusing([site(to_app(), tls=tls)], nginx=nginx)[listen], "http2") == directive


# -- what nginx reads for whom ---------------------------------------------------------------------------------------


def links(where, block):
    return lines(dict(locations(block))[where] if where else block, "disable_symlinks")


@pytest.mark.parametrize(
    "location",
    [
        at("/f/", static="/srv/f"),
        at("= /f", static="/srv/f"),
        at(r"~ \.css$", static="/srv/f"),
        at("/", static="/srv/f"),
    ],
)
def test_links_to_what_another_account_owns_are_not_followed(location):
    block = server([site(location)])
    assert lines(block, "disable_symlinks") == ["if_not_owner"]
    # What a path leads through may be another account's, all the way.
    assert not lines(dict(locations(block))[location["path"]], "disable_symlinks")


@pytest.mark.parametrize(
    ("app", "said"),
    [({}, ["if_not_owner from=/srv/wsgi/shop/current"]), ({"source": None, "path": "/home/u/shop"}, [])],
)
def test_the_way_to_a_release_is_followed(app, said):
    block = server([site(to_app("/s/", static="web/s"))], apps=[{"name": "shop", **app}])
    assert lines(dict(locations(block))["/s/"], "disable_symlinks") == said


@pytest.mark.parametrize(
    ("more", "nginx"),
    [({"options": {"disable_symlinks": "off"}}, {}), ({}, {"nginx_conf_options": {"disable_symlinks": "off"}})],
)
def test_who_says_which_links_are_followed_is_asked_alone(more, nginx):
    block = server([site(to_app("/s/", static="s"), **more)], nginx=nginx)
    assert lines(block, "disable_symlinks") == (["off"] if more else [])
    assert not lines(dict(locations(block))["/s/"], "disable_symlinks")


def test_an_internal_folder_is_for_its_own_application():
    found = dict(
        locations(
            server(
                [
                    site(
                        to_app("/"),
                        at("/other/", app="other"),
                        at("/far/", proxy_pass="http://h"),
                        to_app("/files/", static="files", internal=True),
                        at("/any/", static="/srv/any", internal=True),
                    )
                ],
                apps=["shop", "other"],
            )
        )
    )
    variable = lines(found["/"], "set")[0].split()[0]
    assert lines(found["/"], "set") == [f"{variable} shop"]
    assert lines(found["/other/"], "set") == [f"{variable} other"]
    assert lines(found["/far/"], "set") == [f"{variable} -"]
    told, condition = lines(found["/files/"], "set")[0], lines(found["/files/"], "if")[0]
    assert told.split(None, 1)[1] == f"{variable}:$upstream_http_x_accel_redirect"
    assert condition.startswith(f"({told.split()[0]} ~ ")
    pattern = re.compile(condition.split()[2].removesuffix(")"))
    for sent, stopped in (
        ("shop:/files/a", False),
        ("other:/files/a", True),
        ("-:/f", True),
        (":/f", True),
        ("other:", False),
    ):
        assert bool(pattern.match(sent)) == stopped, sent
    assert not lines(found["/any/"], "if")


def test_without_an_internal_folder_of_an_application_nothing_is_set():
    found = dict(locations(server([site(to_app("/"), to_app("/files/", static="files"))])))
    assert not lines(found["/"], "set") + lines(found["/files/"], "if")


def test_the_host_is_asked_of_the_way_to_folders_that_are_no_releases():
    apps = [{"name": "shop", "source": None, "path": "/home/u/shop"}, "other"]
    block = site(
        at("/a/", static="/srv/a"),
        to_app("/b/", static="b"),
        at("/c/", app="other", static="c"),
        at("/d/", static="/srv/d", options={"disable_symlinks": "off"}),
        to_app("/"),
    )
    checks = planned([block], apps=apps)["checks"]
    asked = {check["variable"]: check["path"] for check in checks if check["kind"] == "static_link"}
    where = "publish_sites[0].locations"
    assert asked == {f"{where}[0].static": "/srv/a", f"{where}[1].static": "/home/u/shop/b"}


def test_a_right_that_the_unit_lacks_is_refused():
    options = {"proxy_bind": "$remote_addr transparent"}
    block = site(at("/", proxy_pass="http://h", options=options))
    _plan, problems = attempt([block])
    assert_refused(problems, "publish_sites[0].locations[0].options", "CAP_NET_RAW")
    for nginx in ({"nginx_capabilities": ["CAP_NET_RAW"]}, {"nginx_hardening": False}):
        planned([block], nginx=nginx)


@pytest.mark.parametrize(
    ("log", "nginx", "variable"),
    [
        ("/etc/x/access.log timed", {}, "nginx_read_only_system"),
        ("/root/x/../y/access.log", {}, "nginx_read_only_system"),
        ("/home/u/access.log", {"nginx_read_only_home": True}, "nginx_read_only_home"),
        ("/home/u/access.log", {}, None),
        ("/root/access.log", {"nginx_read_only_system": False}, None),
        ("/root/access.log", {"nginx_hardening": False}, None),
        ("/var/log/x/access.log", {}, None),
        ("off", {}, None),
    ],
)
def test_a_log_where_the_unit_may_not_write_is_refused(log, nginx, variable):
    _plan, problems = attempt([site(to_app(), access_log=log)], nginx=nginx)
    if variable:
        assert_refused(problems, "publish_sites[0].access_log", f"{variable}: false")
    else:
        assert not problems


def inherited(option, given, block, **nginx):
    """What a location sends where the site's options say this."""
    sites = [site(*given, options=option)]
    return locations(server(sites, **({"nginx": nginx} if nginx else {})))[block]


PROXIED = at("/p/", proxy_pass=ZABBIX)


def test_headers_that_a_site_says_reach_its_locations():
    option = {"proxy_set_header": ["X-Tenant shop", "host $proxy_host"], "uwsgi_param": "TENANT shop"}
    block = inherited(option, [PROXIED, to_app("/u/")], "/p/")
    sent = {line.split()[0].lower(): line for line in lines(block, "proxy_set_header")}
    assert (sent["x-tenant"], sent["host"]) == ("X-Tenant shop", "host $proxy_host")
    assert len(sent) == len(lines(block, "proxy_set_header"))
    assert lines(block, "uwsgi_param") == []
    assert "TENANT shop" in lines(inherited(option, [PROXIED, to_app("/u/")], "/u/"), "uwsgi_param")


def test_a_location_stands_for_the_site_and_the_site_for_all_of_nginx():
    conf = {"nginx_conf_options": {"proxy_set_header": ["X-A nginx", "X-B nginx", "X-C nginx"]}}
    location = at("/p/", proxy_pass=ZABBIX, options={"proxy_set_header": ["x-c location"]})
    block = inherited({"proxy_set_header": ["X-B site"]}, [location], "/p/", **conf)
    sent = [line for line in lines(block, "proxy_set_header") if line[:2] in ("X-", "x-") and line[3] == " "]
    assert sorted(sent) == ["X-A nginx", "X-B site", "x-c location"]


def test_a_sites_headers_leave_websockets_alone():
    location = at("/ws/", proxy_pass=ZABBIX, websocket=True)
    block = inherited({"proxy_set_header": 'Connection ""'}, [location], "/ws/")
    assert [line for line in lines(block, "proxy_set_header") if line.startswith("Connection")] == [
        "Connection $publish_main_connection"
    ]


def test_headers_of_answers_reach_blocks_within_locations():
    preflight = {"if ($request_method = 'OPTIONS')": {"add_header": "Access-Control-Max-Age 9", "return": 204}}
    location = to_app("/a/", options=preflight)
    block = inherited({"add_header": ["X-One 1", "Set-Cookie a=b"]}, [location], "/a/")
    (inner,) = [children for name, _value, children in block if name.startswith("if (")]
    names = [line.split()[0] for line in lines(inner, "add_header")]
    assert {"X-One", "Set-Cookie", "X-Frame-Options", "Access-Control-Max-Age"} <= set(names)
    assert len(names) == len(set(names))
    # The location itself says none, and nginx hands down the site's.
    assert lines(block, "add_header") == []


def test_a_header_that_a_location_takes_away_stays_away():
    location = to_app("/a/", headers={"X-One": None, "X-Two": "2"})
    block = inherited({"add_header": ["X-One 1", "X-Three 3"]}, [location], "/a/")
    names = [line.split()[0] for line in lines(block, "add_header")]
    assert "X-One" not in names
    assert {"X-Two", "X-Three"} <= set(names)


@pytest.mark.parametrize("real_ip", [None, {"from": ["10.0.0.1"]}])
def test_the_usual_variables_are_sent_once(real_ip):
    option = {"include": "uwsgi_params", "uwsgi_param": ["SERVER_PORT 443", "HTTP_HOST a.test", "X y"]}
    block = locations(server([site(to_app("/a/", options=option), real_ip=real_ip)]))["/a/"]
    names = [line.split()[0] for line in lines(block, "uwsgi_param")]
    assert len(names) == len(set(names))
    assert {"SERVER_PORT 443", "HTTP_HOST a.test", "X y"} <= set(lines(block, "uwsgi_param"))
    # All of the file's, and the file beside them not once more.
    assert {"REQUEST_METHOD", "REMOTE_ADDR", "SERVER_NAME"} <= set(names)
    assert lines(block, "include") == []
    plain = locations(server([site(to_app("/a/", options={"include": "uwsgi_params"}))]))["/a/"]
    assert lines(plain, "include") == ["uwsgi_params"]


def test_the_plan_knows_the_usual_variables():
    text = (ROLES / "nginx/templates/uwsgi_params").read_text()
    found = [line.rstrip(";").split(None, 2)[1:] for line in text.splitlines() if line.startswith("uwsgi_param")]
    assert dict(found) == client_plan.UWSGI_PARAMS


@pytest.mark.parametrize(
    ("version", "kept", "said"),
    [
        ("1.26.3", None, []),
        ("1.29.6", None, []),
        ("1.29.7", None, ["0"]),
        ("1.31.3", None, ["0"]),
        ("1.31.3", 4, ["4"]),
        ("1.26.3", 4, ["4"]),
    ],
)
def test_idle_connections_are_said_to_each_nginx_as_it_knows_them(version, kept, said):
    # Before 1.29.7 nginx kept none and refused 0; from then on it keeps 32 untold.
    given = upstream(keepalive=kept)
    plan = planned([site(at("/", upstream="u"))], upstreams=[given], nginx={"nginx_version": version})
    (block,) = [children for name, _value, children in shared(plan) if name == "upstream"]
    assert lines(block, "keepalive") == said


def believed(given, conf=None):
    """The networks whose headers a site believes."""
    plan = planned([given], nginx={"nginx_conf_options": conf or {}})
    found = [children for name, value, children in files(plan)[0]["http"] if value.endswith("_believed")]
    block = files(plan)[0]["server"][2]
    assert bool(found) == any(value.endswith("_believed") for value in lines(block, "set"))
    assert bool(found) == any("$publish_main_scheme" in value for value in lines(locations(block)["/"], "uwsgi_param"))
    return [network for network, value, _children in found[0] if value == "1"] if found else []


def test_whose_headers_are_believed():
    assert believed(site(to_app())) == []
    assert believed(site(to_app(), real_ip={"from": ["10.1.2.3/8", "fd00::1"]})) == ["10.0.0.0/8", "fd00::1"]
    # What nginx is told by its own directives is the same.
    raw = {"set_real_ip_from": ["10.0.0.1", "unix:", "proxy.test"], "real_ip_header": "X-Forwarded-For"}
    assert believed(site(to_app(), options=raw)) == ["10.0.0.1"]
    assert believed(site(to_app()), raw) == ["10.0.0.1"]
    # A proxy that passes on bytes passes on whatever a client says.
    tunnel = {"from": ["10.0.0.1"], "header": "proxy_protocol"}
    assert believed(site(to_app(), listen=["80 proxy_protocol"], real_ip=tunnel)) == []


def test_other_spellings_of_headers_are_taken_away_where_nginx_lets_them_in():
    def sent(**options):
        block = locations(server([site(to_app(), PROXIED, options=options)]))["/p/"]
        return [line.split()[0] for line in lines(block, "proxy_set_header")]

    assert not [name for name in sent() if "_" in name]
    for options in ({"underscores_in_headers": True}, {"ignore_invalid_headers": "off"}):
        assert {"X_Forwarded_Proto", "X_Forwarded-Proto", "X-Forwarded_Proto", "X_Real_IP"} <= set(sent(**options))


def test_a_proxy_that_ended_tls_is_not_sent_there_again():
    plan = planned([site(to_app(), tls=TLS, real_ip={"from": ["10.0.0.1"]}, aliases=["b.test"])])
    block = files(plan)[0]["server"][2]
    assert lines(block, "listen") == ["80", "443 ssl"]
    (moved,) = [children for name, value, children in block if value == "($publish_main_scheme = http)"]
    assert lines(moved, "return") == ["301 https://$host$request_uri"]
    assert len(shared(plan)) == len({value.split()[-1] for _name, value, _children in shared(plan)})


def test_a_sites_own_header_stands_for_the_usual_one_everywhere():
    option = {"add_header": ["X-Frame-Options DENY always"]}
    conf = {"nginx_conf_options": {"add_header": "Referrer-Policy no-referrer"}}
    location = to_app("/a/", headers={"X-Two": "2"})
    plan = planned([site(location, to_app("/b/", headers={"X-Frame-Options": None}), options=option)], nginx=conf)
    block = files(plan)[0]["server"][2]
    for found in (block, locations(block)["/a/"]):
        sent = [line.split()[:2] for line in lines(found, "add_header")]
        assert ["X-Frame-Options", "DENY"] in sent
        assert ["Referrer-Policy", "no-referrer"] in sent
        assert len(sent) == len({name for name, _value in sent})
    assert not [line for line in lines(locations(block)["/b/"], "add_header") if line.startswith("X-Frame-Options")]


def test_names_that_nginx_answers_to():
    names = [r'"~^\d{2}\.a\.test$"', ".a.test", "*.b.test", "www.c.*", "x_y.test", "localhost", "[::1]", '"d.test"', ""]
    assert lines(server([site(to_app(), name="a", server_name=names)]), "server_name") == [" ".join(names[:-1]) + ' ""']


def test_a_format_or_a_level_stands_behind_the_usual_log():
    block = server([site(to_app(), access_log="system combined", error_log="system debug")])
    assert lines(block, "access_log") == ["/var/log/nginx/a.test.access.log combined"]
    assert lines(block, "error_log") == ["/var/log/nginx/a.test.error.log debug"]


def test_what_is_said_of_a_socket_is_said_once():
    listen = "80 backlog=99 proxy_protocol reuseport so_keepalive=on"
    plan = planned([site(to_app(), listen=[listen], aliases=["b.test"])])
    assert lines(beside(plan)[0][2], "listen") == ["80 proxy_protocol"]
    assert lines(files(plan)[0]["server"][2], "listen") == [listen]


def test_http3_has_the_port_of_https_beside_it():
    tls = {**TLS, "listen": ["443", "443 quic reuseport"]}
    assert lines(server([site(to_app(), tls=tls)]), "listen") == ["443 ssl", "443 quic reuseport"]


def test_a_group_without_a_port_is_one_problem():
    _plan, problems = attempt([site(at("/", upstream="u"))], [{"name": "u", "group": "backends"}])
    assert [problem.path for problem in problems] == ["publish_upstreams[0].port"]


def test_a_redirect_to_another_location_is_none_to_itself():
    leads = ["/shop/", "/$1", "https://a.test/", "//b.test/"]
    for redirect in leads:
        planned([site(at("/", redirect=redirect), to_app("/shop/"))])
    planned([site(at("= /", redirect="/new/"), at("~ /new", proxy_pass="http://127.0.0.1:1"))])


@pytest.mark.parametrize(
    "line",
    ["80", "*:80", ":80", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::]:443 ssl", "localhost:80", "web-1.test"]
    + ["web_1:80", "127.0.0.1:8000-8010", "unix:/run/s", "80 default_server", "[::ffff:10.0.0.1]:80", "10.a.test:80"],
)
def test_what_nginx_takes_for_listen_is_taken(line):
    assert site_listen.wrong(line) is None
