"""What a request may be like between nginx and uWSGI: the size of its headers, its body, and what is logged of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .nginx_tree import Directive
from .problem import Problems
from .uwsgi_meanings import REQUEST_LINES

# A packet of the uwsgi protocol, and uWSGI's buffer for it, end here.
LARGEST = 65535
# The shortest variable that nginx makes of a header: two lengths, HTTP_, a letter and a value.
SHORTEST = 11
# What the tables of all greenlets' variables may take together; they are mapped, and used only as requests need it.
TABLES = 64 * 1024 * 1024
# A body of this size or more is read into a file, one below it into memory.
IN_MEMORY = 65536
# Milliseconds from which a request is logged although the others are not.
SLOW = 1000
# nginx's own defaults: number and size of large_client_header_buffers, and client_header_buffer_size.
BUFFERS, FIRST = (4, 8192), 1024
# By which nginx knows most of the bytes of a request's headers, whatever the version of HTTP.
HEADERS = "$http_cookie$http_authorization$http_referer$http_user_agent"
_SIZE = re.compile(r"(\d+)([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


def _given(app: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in app["options"].items()}


def _on(value: Any) -> bool:
    return str(value).strip().lower() not in ("false", "no", "off", "0")


def check(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    for name, value in app["options"].items():
        if name.replace("_", "-") == "disable-logging" and app["log_requests"] and _on(value):
            message = "has nothing logged of requests, and log_requests is true"
            problems.add(f"{path}.options.{name}", message, "leave one of them out")


def _logging(app: Mapping[str, Any], given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """nginx's access log has a line for each request already; a second one takes a fifth of the throughput."""
    asked = "disable-logging" in given and not _on(given["disable-logging"])
    if app["log_requests"] or asked or REQUEST_LINES.intersection(given):
        return []
    # A WebSocket is one request, as long as it is open.
    slow = [] if app["websocket"] else [("log-slow", SLOW)]
    return [("disable-logging", True), ("log-5xx", True), *slow]


def options(app: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The application's options of uWSGI but those that the user states himself."""
    given = _given(app)
    cores = app["gevent"] or app["threads"] or 1
    # Each header takes a place in a table beside its bytes.
    most = min(LARGEST // SHORTEST // 2 + 50, TABLES // (64 * cores))
    wanted: list[tuple[str, Any]] = [
        # Cookies and long addresses of today do not fit into uWSGI's 4 KiB, and an address comes twice, as
        # REQUEST_URI and as PATH_INFO and QUERY_STRING.
        ("buffer-size", LARGEST),
        ("max-vars", most),
        # uWSGI closes a connection whose body nobody has read by a reset, which has nginx drop the answer (502). So
        # all of a body is read before the application is called, what is large into an unlinked file in TMPDIR.
        ("post-buffering", IN_MEMORY),
        *_logging(app, given),
    ]
    return [(name, value) for name, value in wanted if name not in given]


def packet_size(app: Mapping[str, Any]) -> int:
    """How many bytes of headers and address the application's uWSGI takes, an address counted twice."""
    value = str(_given(app).get("buffer-size", LARGEST)).strip()
    whole = min(int(value), LARGEST) if value.isdigit() else LARGEST
    # The variables that nginx adds, and what a header is longer as one of them.
    return max((whole - 1024 - whole // 32) // 100 * 100, 200)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2].lower()] if found else 0


def _words(options: Mapping[str, Any], name: str) -> list[str]:
    value = options.get(name)
    return str(value[-1] if isinstance(value, list) and value else value).split() if value else []


def _buffers(options: Mapping[str, Any], buffers: tuple[int, int], first: int) -> tuple[tuple[int, int], int]:
    large, own = _words(options, "large_client_header_buffers"), _words(options, "client_header_buffer_size")
    if len(large) == 2 and large[0].isdigit():
        buffers = int(large[0]), _size(large[1])
    return buffers, _size(own[0]) if own else first


def lets_in(http: Mapping[str, Any], sites: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The longest request line and the longest request header that nginx takes.

    The line is read before nginx knows for whom it is, by what the first server of the address says.
    """
    usual = _buffers(http, BUFFERS, FIRST)
    line = whole = 0
    for options in ({}, *(site["options"] for site in sites)):
        (number, size), first = _buffers(options, *usual)
        line, whole = max(line, size, first), max(whole, number * size + first)
    return line, whole


def _at_least(number: int) -> str:
    """A regular expression of the numbers from this one on."""
    text = str(number)
    head = text.rstrip("0")
    found = []
    for index, digit in enumerate(head):
        least = int(digit) + (index < len(head) - 1)
        if least <= 9:
            found.append(f"{text[:index]}[{least}-9][0-9]{{{len(text) - index - 1}}}")
    return f"(?:{'|'.join([*found, f'[0-9]{{{len(text) + 1},}}'])})"


def refused(takes: int, let_in: tuple[int, int], name: str) -> tuple[list[Directive], list[Directive]]:
    """What has nginx answer 400 where it lets in more than uWSGI takes: lines beside the server, and of a location.

    Without them uWSGI closes the connection without a word (502). nginx cannot add, so that steps of the length of
    the header stand beside what is left for the address. By HTTP/2 the length is that of compressed headers.
    """
    line, whole = let_in
    if line + whole <= takes:
        return [], []
    # An address is a part of the header, so that nothing shorter than half of it is too long.
    step = 2000 if takes > 16000 else 200
    rows: list[Directive] = [["default", "0", None]]
    for length in range(takes // 2 // step * step, takes, step):
        left = max(takes - length - step, 1)
        if left < line:
            rows.append([f'"~^{_at_least(length)}:.{{{left},}}"', "1", None])
    twice: list[Directive] = [["default", f"${name}_long", None], [f'"~^.{{{takes},}}"', "1", None]]
    http: list[Directive] = [
        ["map", f'"$request_length:$request_uri" ${name}_long', rows],
        ["map", f'"$request_uri$request_uri{HEADERS}" ${name}_large', twice],
    ]
    return http, [["if", f"(${name}_large)", [["return", "400", None]]]]


def _off(chain: Iterable[Mapping[str, Any]], name: str) -> bool:
    """What the innermost of these blocks that states the directive says."""
    for options in chain:
        if name in options:
            return not _on(options[name])
    return False


def check_sites(
    sites: Iterable[Mapping[str, Any]], apps: Mapping[str, Any], http: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse a chunked body that would reach uWSGI's http-socket as it is: WSGI has no way to hand it on."""
    for index, site in enumerate(sites):
        for number, location in enumerate(site["locations"]):
            app = apps.get(location["app"] or "")
            if not app or app["protocol"] != "http" or location["static"]:
                continue
            chain = (location["options"], site["options"], http)
            version = str(location["options"].get("proxy_http_version", ""))
            websocket = app["websocket"] or location["websocket"]
            if _off(chain, "proxy_request_buffering") and (websocket or version == "1.1"):
                where = f"publish_sites[{index}].locations[{number}]"
                message = (
                    f"{'is a WebSocket' if websocket else 'speaks HTTP/1.1'}, and with proxy_request_buffering off a "
                    "chunked body would reach uWSGI's http-socket as it is, where no WSGI application sees it"
                )
                hint = "set proxy_request_buffering: true in its options"
                if not websocket:
                    hint += ", or leave proxy_http_version out"
                problems.add(where, message, hint + ", or protocol: uwsgi in the application")
