"""How many requests are served at once: one number and one way, said once."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import app_plan, concurrency_plan
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

APP = {"gevent": None, "websocket": False, "threads": None, "processes": None, "instances": 1, "affinity": None}
UWSGI = {"uwsgi_limit_nofile": 65536, "uwsgi_unit_options": {}}


def said(options, service=None, uwsgi=None, **more):
    app, problems = {**APP, "options": options, "service_options": service or {}, **more}, Problems()
    concurrency_plan.check(app, app_plan.with_defaults(app)["gevent"], "a", {**UWSGI, **(uwsgi or {})}, problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "options, more, path, words",
    [
        ({"async": 30}, {"gevent": 500}, "a.options.async", ["30 requests and sockets at", "the 500", "gevent: 30"]),
        ({"async": 30}, {"websocket": True}, "a.options.async", ["not the 1000 of websocket", "leave async out"]),
        ({"async": "30"}, {"websocket": True, "gevent": 9}, "a.options.async", ["not the 9 of gevent"]),
        ({"async": [500, 1]}, {"gevent": 500}, "a.options.async", ["1 requests", "gevent: NUMBER"]),
        ({"async": True}, {"gevent": 500}, "a.options.async", ["gevent: NUMBER"]),
        ({"ugreen": True}, {"gevent": 5}, "a.options.ugreen", ["leave ugreen out"]),
        ({"greenlet": "true"}, {"websocket": True}, "a.options.greenlet", ["leave websocket out"]),
        ({"stackless": 1}, {"gevent": 5}, "a.options.stackless", ["without a loop engine"]),
        ({"asyncio": 30}, {"gevent": 5}, "a.options.asyncio", ["by asyncio, and gevent by gevent"]),
        ({"tornado": 30}, {"websocket": True}, "a.options.tornado", ["leave tornado out"]),
        ({"loop": "asyncio"}, {"gevent": 5}, "a.options.loop", ["served by asyncio"]),
        ({"max-fd": 100}, {"gevent": 100}, "a.options.max-fd", ["open 100 files", "write 200"]),
        ({"max_fd": 100}, {"websocket": True}, "a.options.max_fd", ["its 1000 greenlets", "write 2000"]),
        ({}, {"gevent": 1}, "a.gevent", ["write 2 or more"]),
        ({}, {"websocket": True, "service": {"LimitNOFILE": 1000}}, "a.service_options.LimitNOFILE", ["1000"]),
        ({}, {"gevent": 9, "service": {"LimitNOFILE": "4:8"}}, "a.service_options.LimitNOFILE", ["open 8 files"]),
        ({}, {"gevent": 70000}, "uwsgi_limit_nofile", ["open 65536 files"]),
        ({}, {"gevent": 9, "uwsgi": {"uwsgi_unit_options": {"LimitNOFILE": 9}}}, "uwsgi_unit_options", ["open 9"]),
        ({}, {"gevent": 9, "service": {"Environment": 'A=1 "UWSGI_ASYNC=3"'}}, "a.service_options.E", ["UWSGI_ASYNC"]),
        ({}, {"gevent": 9, "service": {"Environment": ["A=1", "UWSGI_GEVENT=3"]}}, "a.service_options.Env", ["3 req"]),
        ({"loop": "gevent", "async": 40}, {}, "a.options.loop", ["write gevent: 40", "leave loop and async out"]),
        ({"loop": "gevent"}, {"threads": 3}, "a.options.loop", ["write gevent: NUMBER", "leave loop out"]),
        ({"ugreen": True, "async": 9, "greenlet": True}, {}, "a.options.greenlet", ["ugreen or greenlet out"]),
        ({"asyncio": 9, "tornado": 8}, {}, "a.options.tornado", ["asyncio or tornado out"]),
        ({"asyncio": 9, "loop": "tornado"}, {}, "a.options.loop", ["asyncio or loop out"]),
        ({"asyncio": 9, "greenlet": True, "async": 5}, {}, "a.options.async", ["leave async out"]),
        ({"async": 9, "ugreen": True}, {"threads": 4}, "a.options.async", ["threads: 4", "leave threads out"]),
        ({"tornado": 9}, {"threads": 4}, "a.options.tornado", ["leave tornado out, or leave threads out"]),
        ({"gevent-monkey-patch": True}, {}, "a.options.gevent-monkey-patch", ["state gevent: NUMBER"]),
    ],
)
def test_a_second_number_or_way_is_refused_with_its_place_and_cure(options, more, path, words):
    [line] = said(options, **more)
    assert line.startswith(path) and all(word in line for word in words), line


@pytest.mark.parametrize(
    "options, more",
    [
        ({}, {}),
        ({"loop": "gevent"}, {"gevent": 50}),
        ({"ugreen": False, "greenlet": "off"}, {"gevent": 50}),
        ({"async": None}, {"gevent": 50}),
        ({"gevent-monkey-patch": True, "gevent-wait-for-hub": True}, {"gevent": 50}),
        ({"gevent-monkey-patch": False}, {}),
        ({"async": 30, "ugreen": True}, {}),
        ({"async": 30}, {}),
        ({"async": 30, "loop": "async", "greenlet": True}, {}),
        ({"asyncio": 30, "greenlet": True}, {}),
        ({"max-fd": 5000}, {"websocket": True}),
        ({"max-fd": 10}, {}),
        ({}, {"gevent": 50, "service": {"LimitNOFILE": "infinity"}}),
        ({}, {"gevent": 50, "service": {"LimitNOFILE": "10:4096"}}),
        ({}, {"gevent": 50, "service": {"Environment": "UWSGI_HTTP_KEEPALIVE=1 ASYNC=3 MY_UWSGI_ASYNC=1"}}),
        ({"enable-threads": True}, {"threads": 4}),
    ],
)
def test_what_counts_as_it_is_said_is_taken(options, more):
    assert said(options, **more) == []
