"""Of a log what one request has to do with it: its traceback and no line more."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import request_log
from ansible_collections.graceful.wsgi.plugins.module_utils.request_log import callable_fault, traceback

ACCESS = "[pid: 7|app: 0|req: 1/1] 127.0.0.1 () {20 vars in 189 bytes} [Fri] GET / => generated 0 bytes (HTTP/1.1 500)"
FIRST = """Traceback (most recent call last):
  File "/srv/manage.py", line 3, in page
    raise KeyError("a")
KeyError: 'a'"""
SECOND = """Traceback (most recent call last):
  File "/srv/manage.py", line 9, in page
    raise LookupError("b")
LookupError: b"""
LINKED = FIRST + "\n\nDuring handling of the above exception, another exception occurred:\n\n" + SECOND


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("\n".join([ACCESS, FIRST, ACCESS]), None, FIRST),
        ("\n".join(["hello", FIRST, "hello", SECOND]), None, FIRST),
        ("\n".join(["Exception on /a [GET]", FIRST, "Exception on /b [GET]", SECOND]), "/b", SECOND),
        ("\n".join(["Internal Server Error: /b", FIRST, ACCESS]), "/b", FIRST),
        ("\n".join([ACCESS, LINKED, ACCESS]), None, LINKED),
        # Not all of it is there yet, or another worker's is in between.
        ("\n".join(FIRST.splitlines()[:1]), None, ""),
        ("\n".join(FIRST.splitlines()[:3]), None, ""),
        ("Traceback (most recent call last):\n" + SECOND, None, SECOND),
        (ACCESS, None, ""),
        ("", None, ""),
    ],
)
def test_the_traceback_of_a_request_is_found(text, path, found):
    assert traceback(text, path) == found


def test_a_deep_one_is_shortened():
    deep = ["Traceback (most recent call last):"] + ['  File "a.py", line 1, in f'] * 900 + ["RecursionError: deep"]
    found = traceback("\n".join(deep)).splitlines()
    assert len(found) == request_log.HEAD + request_log.TAIL + 1
    assert (found[0], found[-1]) == (deep[0], deep[-1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("TypeError: app() missing 1 required positional argument: 'send'", "is an ASGI application"),
        ("TypeError: C.__call__() missing 1 required positional argument: 'send'", "a2wsgi's ASGIMiddleware(app)"),
        ("TypeError: 'coroutine' object is not iterable", "is asynchronous"),
        ("TypeError: 'async_generator' object is not iterable", "is asynchronous"),
        ("TypeError: K.__init__() takes 2 positional arguments but 3 were given", "takes other arguments"),
        ("TypeError: create_app() takes 0 positional arguments but 2 were given", "app = create_app()"),
        ("TypeError: create_app() takes from 0 to 1 positional arguments but 2 were given", "app = create_app()"),
        ("TypeError: create_app() takes no arguments (2 given)", "app = create_app()"),
        ("TypeError: 'Flask' object is not iterable", "returns no list of bytes"),
        ("TypeError: 'NoneType' object is not iterable", "returns None"),
        ("TypeError: 'int' object is not callable", "cannot be called"),
        ("[ERROR] Unhandled object from iterator: 'text' (0x7fd34e39c018)", "encode() it"),
    ],
)
def test_what_is_no_wsgi_application_is_named(line, message):
    fault = callable_fault("\n".join(["WSGI app 0 (mountpoint='') ready", line, ACCESS]), "manage:app")
    assert fault.startswith("manage:app ") and message in fault, fault


def test_an_error_in_the_code_is_no_fault_of_the_callable():
    inner = FIRST.replace("KeyError: 'a'", "TypeError: app() missing 1 required positional argument: 'send'")
    assert callable_fault(inner, "manage:app") is None
    assert callable_fault("TypeError: something else", "manage:app") is None
