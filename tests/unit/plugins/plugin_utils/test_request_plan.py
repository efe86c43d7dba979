"""What requests may be like between nginx and uWSGI: sizes, bodies, and what is logged of them."""

import re
from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, request_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}
SLOW = [str(request_plan.SLOW)]


def attempt(apps, sites=(), nginx=None):
    """(plan, problems) of these variables."""
    problems = []
    values = spec.check({"publish_apps": list(apps), "publish_sites": list(sites)}, SPECS["publish"], problems)
    assert not problems, [str(problem) for problem in problems]
    roles = {"nginx": spec.check(nginx or {}, SPECS["nginx"], []), "uwsgi": spec.check({}, SPECS["uwsgi"], [])}
    return plain(publish_plan.plan(values, {}, roles))


def planned(*args, **kwargs):
    plan, problems = attempt(*args, **kwargs)
    assert not problems, [str(problem) for problem in problems]
    return plan


def app(**more):
    return {"name": "shop", "source": "apps/shop", "module": "manage", **more}


def site(*locations, **more):
    return {"server_name": ["a.test"], "locations": list(locations), **more}


def values_of(plan, option):
    return [value for name, value in plan["instances"][0]["options"] if name == option]


def planned_site(plan):
    """The plan of the only site, and the directives of its locations by their paths."""
    (file,) = [file for file in plan["site_bundle"]["files"] if "site" in file.get("vars", {})]
    found = file["vars"]["site"]
    return found, {value: children for name, value, children in found["server"][2] if name == "location"}


def told(**more):
    plan = planned([app(**more)])
    names = ("disable-logging", "log-slow", "log-4xx", "log-5xx")
    return {name: values_of(plan, name) for name in names if values_of(plan, name)}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"disable-logging": ["true"], "log-5xx": ["true"], "log-slow": SLOW}),
        ({"log_requests": True}, {}),
        ({"websocket": True}, {"disable-logging": ["true"], "log-5xx": ["true"]}),
        ({"options": {"log-slow": 50}}, {"disable-logging": ["true"], "log-5xx": ["true"], "log-slow": ["50"]}),
        (
            {"options": {"log-4xx": True}},
            {"disable-logging": ["true"], "log-5xx": ["true"], "log-slow": SLOW, "log-4xx": ["true"]},
        ),
        ({"options": {"log-5xx": False}}, {"disable-logging": ["true"], "log-slow": SLOW, "log-5xx": ["false"]}),
        ({"options": {"disable-logging": True}}, {"disable-logging": ["true"], "log-5xx": ["true"], "log-slow": SLOW}),
        ({"options": {"disable-logging": False}}, {"disable-logging": ["false"]}),
        ({"options": {"disable-logging": "off"}}, {"disable-logging": ["off"]}),
        ({"options": {"logformat": "%(uri)"}}, {}),
        ({"options": {"req-logger": "file:/var/log/x"}}, {}),
        ({"options": {"log-x-forwarded-for": True}}, {}),
        ({"log_requests": True, "options": {"disable-logging": False}}, {"disable-logging": ["false"]}),
    ],
)
def test_requests_are_logged_where_asked_or_where_options_shape_their_lines(more, expected):
    assert told(**more) == expected


def test_log_requests_beside_disable_logging_is_refused():
    _plan, problems = attempt([app(log_requests=True, options={"disable-logging": True})])
    assert [problem.path for problem in problems] == ["publish_apps[0].options.disable-logging"]


def test_buffers_are_as_large_as_a_packet_unless_options_state_others():
    plan = planned([app()])
    assert values_of(plan, "buffer-size") == ["65535"]
    assert values_of(plan, "post-buffering") == ["65536"]
    # Headers of 11 bytes each fill the packet before they fill the table, of which a variable takes two places.
    assert int(values_of(plan, "max-vars")[0]) * 2 > 65535 / 11
    plan = planned([app(options={"buffer-size": 4096, "post-buffering": 0, "max-vars": 99})])
    assert values_of(plan, "buffer-size") == ["4096"]
    assert (values_of(plan, "post-buffering"), values_of(plan, "max-vars")) == (["0"], ["99"])


def test_tables_of_many_greenlets_stay_small():
    most = int(values_of(planned([app(gevent=2000)]), "max-vars")[0])
    assert most >= 500 and most * 64 * 2000 <= 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("http", "sites", "expected"),
    [
        ({}, [], (8192, 1024 + 4 * 8192)),
        ({"large_client_header_buffers": "4 16k"}, [{}], (16384, 1024 + 4 * 16384)),
        (
            {"large_client_header_buffers": "4 16k"},
            [{"large_client_header_buffers": "2 4k"}],
            (16384, 1024 + 4 * 16384),
        ),
        (
            {},
            [{"large_client_header_buffers": "8 64k"}, {"client_header_buffer_size": "1M"}],
            (2**20, 2**20 + 4 * 8192),
        ),
        ({}, [{"large_client_header_buffers": ["4 32K"]}], (32768, 1024 + 4 * 32768)),
        # nginx refuses it by itself.
        ({}, [{"large_client_header_buffers": "many"}], (8192, 1024 + 4 * 8192)),
    ],
)
def test_what_nginx_lets_in_is_the_most_of_all_sites(http, sites, expected):
    assert request_plan.lets_in(http, [{"options": options} for options in sites]) == expected


@pytest.mark.parametrize("number", [1, 9, 10, 200, 999, 1000, 32000, 62400])
def test_numbers_from_one_on(number):
    found = re.compile(f"^{request_plan._at_least(number)}:")
    tried = {*range(max(number - 1200, 0), number + 1200), number * 10, number * 99}
    assert {one for one in tried if found.match(f"{one}:")} == {one for one in tried if one >= number}


def refusing(takes, let_in):
    """Whether a header of this length with an address of that one would be refused, by the lines of the plan."""
    http, _lines = request_plan.refused(takes, let_in, "x")
    rows = [re.compile(row[0].strip('"')[1:]) for row in http[0][2] if row[0] != "default"]
    return lambda length, address: any(row.match(f"{length}:{'a' * address}") for row in rows)


@pytest.mark.parametrize(
    ("takes", "let_in"),
    [(62400, (65536, 600000)), (62400, (32768, 140000)), (30000, (8192, 33792)), (7000, (8192, 33792))],
)
def test_what_does_not_fit_is_refused_and_little_else(takes, let_in):
    refused = refusing(takes, let_in)
    for length in range(100, takes + 5000, 700):
        for address in range(1, min(length, let_in[0]), 500):
            whole = length + address
            if whole > takes:
                assert refused(length, address), (length, address)
            elif whole < takes - 4100:
                assert not refused(length, address), (length, address)


def test_nothing_is_refused_where_all_fits():
    assert request_plan.refused(request_plan.packet_size({"options": {}}), (8192, 33792), "x") == ([], [])
    _site, locations = planned_site(planned([app()], [site({"path": "/", "app": "shop"})]))
    # Only maintenance asks for its flag.
    assert [line[1][:4] for line in locations["/"] if line[0] == "if"] == ["(-f "]


@pytest.mark.parametrize(
    ("options", "more", "nginx"),
    [
        ({"large_client_header_buffers": "4 32k"}, {}, {}),
        ({}, {}, {"nginx_conf_options": {"large_client_header_buffers": "4 16k"}}),
        ({}, {"options": {"buffer-size": 8192}}, {}),
        ({}, {"options": {"buffer-size": "32768"}}, {}),
    ],
)
def test_only_locations_of_applications_refuse(options, more, nginx):
    locations = [
        {"path": "/", "app": "shop"},
        {"path": "/p/", "proxy_pass": "http://h.test"},
        {"path": "/s/", "static": "/srv"},
    ]
    plan = planned([app(**more)], [site(*locations, options=options)], nginx)
    planned_, found = planned_site(plan)
    assert [path for path, lines in found.items() if any(line[0] == "if" for line in lines)] == ["/"]
    assert sum(line[0] == "map" for line in planned_["http"]) == 2


def test_bodies_of_http_sockets_have_a_length():
    _site, locations = planned_site(planned([app(protocol="http")], [site({"path": "/", "app": "shop"})]))
    assert ["proxy_http_version", "1.0", None] in locations["/"]


@pytest.mark.parametrize(
    ("more", "place", "own", "fine"),
    [
        ({}, {"proxy_request_buffering": False, "proxy_http_version": "1.1"}, {}, False),
        ({}, {"proxy_http_version": 1.1}, {"proxy_request_buffering": "off"}, False),
        ({"websocket": True}, {"proxy_request_buffering": "off"}, {}, False),
        ({"websocket": True}, {"proxy_request_buffering": True}, {"proxy_request_buffering": "off"}, True),
        ({}, {"proxy_request_buffering": False}, {}, True),
        ({}, {"proxy_http_version": "1.1"}, {}, True),
        ({"protocol": "uwsgi"}, {"uwsgi_request_buffering": False}, {}, True),
    ],
)
def test_a_chunked_body_that_wsgi_cannot_see_is_refused(more, place, own, fine):
    one = {"path": "/", "app": "shop", "options": place}
    _plan, problems = attempt([app(**{"protocol": "http", **more})], [site(one, options=own)])
    assert [problem.path for problem in problems] == ([] if fine else ["publish_sites[0].locations[0]"])
