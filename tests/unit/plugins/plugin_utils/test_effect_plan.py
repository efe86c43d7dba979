"""What nginx would take and never act on: refused, with what to write instead."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import effect_plan, publish_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}
TLS = {"certificate": "/etc/ssl/c.pem", "key": "/etc/ssl/k.pem"}
CODE = {"source": "x", "module": "manage"}


def refusals(sites, version="1.30.6", conf=None, apps=()):
    """The problems of these sites, as text."""
    values = {
        "publish_apps": [{"name": "u", **CODE}, {"name": "h", "protocol": "http", **CODE}, *apps],
        "publish_upstreams": [{"name": "by-uwsgi", "protocol": "uwsgi", "servers": [{"address": "10.0.0.1:80"}]}],
        "publish_sites": sites,
    }
    problems = []
    values = spec.check(values, SPECS["publish"], problems)
    assert not problems, [str(problem) for problem in problems]
    roles = {"nginx": spec.check({"nginx_version": version, "nginx_conf_options": conf or {}}, SPECS["nginx"], [])}
    roles["uwsgi"] = spec.check({}, SPECS["uwsgi"], [])
    return [str(problem) for problem in plain(publish_plan.plan(values, {}, roles))[1]]


def site(server_name, *locations, **more):
    return {"server_name": [server_name], "locations": list(locations or [{"path": "/", "app": "u"}]), **more}


def of(location, **options):
    return [site("a.test", {"path": "/", **location, "options": options})]


U, H, OUT, FILES = {"app": "u"}, {"app": "h"}, {"proxy_pass": "http://127.0.0.1:1"}, {"static": "/srv/x", "path": "/x/"}
WITHOUT_EFFECT = [
    (
        of(U, proxy_read_timeout="9s"),
        "proxy_read_timeout: has no effect: the location asks by uwsgi; write uwsgi_read_t",
    ),
    (of(U, proxy_buffering=False), "write uwsgi_buffering"),
    (of(U, proxy_set_header=["X-Tenant shop"]), "write uwsgi_param: HTTP_X_TENANT shop"),
    (of(U, proxy_http_version="1.1"), "leave it out"),
    (of(U, fastcgi_read_timeout="9s"), "has no effect"),
    (of({"upstream": "by-uwsgi"}, proxy_cache="x"), "write uwsgi_cache"),
    (of(H, uwsgi_read_timeout="9s"), "has no effect: the location asks by HTTP; write proxy_read_timeout"),
    (of(H, uwsgi_param="HTTP_X_TENANT shop"), "write proxy_set_header: X-Tenant shop"),
    (of(OUT, uwsgi_send_timeout="9s"), "write proxy_send_timeout"),
    (of(FILES, proxy_read_timeout="9s"), "asks of nobody; leave it out"),
    (
        [site("a.test", options={"proxy_read_timeout": "9s"})],
        "publish_sites[0].options.proxy_read_timeout: has no effect",
    ),
    (
        [site("a.test", options={"ssl_session_timeout": "9m"})],
        "ssl_session_timeout: has no effect: the site speaks no TLS",
    ),
    ([site("a.test", {**FILES, "timeout": "9s"})], ".timeout: has no effect"),
    ([site("a.test", {"path": "/", **H, "uwsgi_chdir": True})], ".uwsgi_chdir: has no effect"),
]
WITH_EFFECT = [
    of(U, uwsgi_read_timeout="9s"),
    of(H, proxy_read_timeout="9s"),
    of(FILES, **{"if ($a)": {"proxy_pass": "http://127.0.0.1"}, "proxy_read_timeout": "9s"}),
    [
        site(
            "a.test", {"path": "/", **U}, {"path": "/h/", **H}, options={"proxy_read_timeout": "9s", "uwsgi_cache": "x"}
        )
    ],
    [site("a.test", options={"proxy_read_timeout": "9s", "location /x/": {"proxy_pass": "http://127.0.0.1"}})],
    [site("a.test", options={"proxy_read_timeout": "9s", "include": "more.conf"})],
    [site("a.test", options={"ssl_session_timeout": "9m"}, tls=TLS)],
]


@pytest.mark.parametrize(("sites", "said"), WITHOUT_EFFECT)
def test_a_directive_without_effect_is_refused(sites, said):
    (problem,) = refusals(sites)
    assert said in problem


@pytest.mark.parametrize("sites", WITH_EFFECT)
def test_a_directive_with_effect_is_taken(sites):
    assert refusals(sites) == []


PATHS = [
    ("/a%20b/", 'write "/a b/"'),
    ("= /%C3%BC", "write = /ü"),
    ("~ ^/a%2Fb", "write ~ ^/a/b"),
    ("/a?b=c", "the path alone"),
    (r"~ ^/a\?b", "the path alone"),
    ("/a#b/", "no browser sends"),
    ("/a//b/", "write /a/b/"),
    ("/a/../b/", "follows . and .."),
]


@pytest.mark.parametrize(("path", "said"), PATHS)
def test_a_path_that_is_never_asked_for_is_refused(path, said):
    (problem,) = refusals([site("a.test", {"path": path, "return": "204"})])
    assert problem.startswith("publish_sites[0].locations[0].path: ")
    assert said in problem


@pytest.mark.parametrize("path", ['"/a b/"', "/100%/", "/ü/", r"~ ^/a?b/(c|d)?$", "/a.b/..c/"])
def test_a_path_that_can_be_asked_for_is_taken(path):
    assert refusals([site("a.test", {"path": path, "return": "204"})]) == []


def test_a_path_with_slashes_is_asked_for_where_they_stay():
    location = {"path": "/a//b/", "return": "204"}
    assert refusals([site("a.test", location, options={"merge_slashes": False})]) == []


OFF = {"options": {"merge_slashes": False}}


def test_a_switch_that_nginx_takes_from_one_site_for_all_is_refused_beside_others():
    (problem,) = refusals([site("a.test"), site("b.test", **OFF)])
    assert problem.startswith("publish_sites[1].options.merge_slashes: is read before nginx knows which site")
    assert "publish_sites[0] says nothing of it; say it in nginx_conf_options.merge_slashes" in problem
    assert refusals([site("a.test", **OFF), site("b.test", **OFF)]) == []
    assert refusals([site("a.test"), site("b.test", options={"merge_slashes": True})]) == []
    assert refusals([site("a.test"), site("b.test", listen=["8080"], **OFF)]) == []
    assert refusals([site("a.test"), site("b.test", **OFF)], conf={"merge_slashes": False}) == []
    # By TLS nginx knows the name first.
    assert refusals([site("a.test", tls=TLS), site("b.test", tls=TLS, **OFF)]) == []


def test_a_size_is_said_by_one_for_all_but_not_by_two_and_not_past_the_default():
    def said(text, **more):
        return {"options": {"large_client_header_buffers": text}, **more}

    assert refusals([site("a.test"), site("b.test", **said("4 32k"))]) == []
    (problem,) = refusals([site("a.test", **said("4 16k")), site("b.test", **said("4 32k"))])
    assert problem.startswith("publish_sites[1].options.large_client_header_buffers")
    (problem,) = refusals([site("a.test", default_server=True), site("b.test", **said("4 32k"))])
    assert "publish_sites[0] says nothing of it" in problem
    assert refusals([site("a.test"), site("b.test", **said("4 32k", default_server=True))]) == []


def test_protocols_that_an_older_nginx_takes_from_one_site_for_all():
    sites = [site("a.test", tls={**TLS, "protocols": ["TLSv1.3"]}), site("b.test", tls=TLS)]
    (problem,) = refusals(sites, version="1.26.3")
    assert problem.startswith("publish_sites[1].tls.protocols: differ from those of publish_sites[0] on port 443")
    assert "1.29.2 or newer" in problem
    assert refusals(sites) == []


def test_names_that_are_one_to_nginx():
    (problem,) = refusals([site("Case.Test"), site("case.test")])
    assert "'case.test' on port 80 is answered by publish_sites[0] already" in problem
    (problem,) = refusals([site("dot.test."), site("dot.test")])
    assert "is answered by publish_sites[0] already" in problem
    (problem,) = refusals([site("müller.test"), site("xn--mller-kva.test")])
    assert "is answered by publish_sites[0] already" in problem
    (problem,) = refusals([site(r"~^mü\.test$", name="a")])
    assert problem.startswith("publish_sites[0].server_name[0]: ")
    assert "mü is sent as xn--m-yha" in problem or "xn--m-" in problem


def asks(location=None, **more):
    return [site("a.test", {"path": "/", **(location or U)}, **more)]


REAL = {"header": "proxy_protocol", "from": ["10.0.0.1"]}
FOUND_NOBODY = [
    (asks(allow=[]), "publish_sites[0].allow: is an empty list, by which everyone may ask; write allow: [all]"),
    (asks(allow=[], deny=[]), "publish_sites[0].allow: is an empty list"),
    (asks({**U, "allow": []}, allow=["10.0.0.0/8"]), "publish_sites[0].locations[0].allow: is an empty list"),
    (asks(real_ip={"from": []}), "publish_sites[0].real_ip.from: is an empty list, by which nobody is believed"),
    (asks(real_ip=REAL), "publish_sites[0].real_ip.header: has no effect: no address in listen speaks the PROXY pro"),
    (asks(real_ip=REAL, listen=["80", "8080"]), "write e.g. listen: ['80 proxy_protocol']"),
]


@pytest.mark.parametrize(("sites", "said"), FOUND_NOBODY)
def test_a_setting_that_lets_everyone_in_or_nobody_is_refused(sites, said):
    assert any(said in problem for problem in refusals(sites)), refusals(sites)


@pytest.mark.parametrize(
    "sites",
    [
        asks(allow=["all"]),
        asks(allow=["10.0.0.0/8"], deny=[]),
        asks(allow=[], deny=["all"]),
        # Nobody is denied, as it says: a list of addresses to keep out may be empty.
        asks(deny=[]),
        asks({**U, "deny": []}, allow=["10.0.0.0/8"]),
        asks(real_ip=REAL, listen=["80 proxy_protocol"]),
        # nginx speaks it at a socket for all of its servers as soon as one says so.
        [*asks(real_ip=REAL), site("b.test", listen=["80 proxy_protocol"])],
        [site("a.test", {"path": "/static/", "app": "u", "static": "static"})],
    ],
)
def test_a_setting_that_says_who_is_let_in_is_taken(sites):
    assert refusals(sites) == []


@pytest.mark.parametrize("static", ["/srv/shop", "/srv/shop/", "/srv", "/", "//srv/shop"])
def test_a_static_folder_that_holds_an_applications_code_is_warned_of(static):
    files = {"path": "/files/", "static": static}
    app = {"name": "shop", "path": "/srv/shop", "module": "manage"}
    sites = [site("a.test", files, {"path": "/", "app": "shop"})]
    found = warned(sites, [app])
    assert found[0].startswith(f"publish_sites[0].locations[0].static: {static!r} holds the code of shop, which anyone")
    assert refusals(sites, apps=[app]) == []
    assert warned([site("a.test", {**files, "static": "/srv/shop/static"})], [app]) == []


@pytest.mark.parametrize("static", [".", "./", "static/.."])
def test_the_whole_release_as_static_files_is_warned_of(static):
    files = {**U, "static": static, "path": "/files/"}
    assert "holds the code of u, which anyone can read" in warned([site("a.test", files)], [])[0]
    assert warned([site("a.test", {**files, "internal": True})], []) == []
    assert warned([site("a.test", {**files, "static": "static"})], []) == []


def warned(sites, apps):
    given = {"publish_apps": [{"name": "u", **CODE}, *apps], "publish_sites": sites}
    return effect_plan.warnings(spec.check(given, SPECS["publish"], []))


RELEASED = "/srv/wsgi/u"


@pytest.mark.parametrize("below", ["", "/", "/current", "/current/", "/releases", "/releases/20261128"])
def test_a_static_folder_that_is_the_code_of_a_release_is_warned_of(below):
    (told,) = warned([site("a.test", {"path": "/files/", "static": RELEASED + below})], [])
    assert "holds the code of u, which anyone can read" in told


@pytest.mark.parametrize("below", ["/current/static", "/shared/media", "/shared", "-files", "/releases/1/static"])
def test_a_static_folder_below_a_release_or_beside_it_is_taken(below):
    assert warned([site("a.test", {"path": "/files/", "static": RELEASED + below})], []) == []


@pytest.mark.parametrize("name", ["*.a.*", ".a.*"])
def test_a_name_with_a_wildcard_at_both_ends_is_refused(name):
    (problem,) = refusals([site(name, name="a")])
    assert problem.startswith(f"publish_sites[0].server_name[0]: {name!r} has a * at both ends")
