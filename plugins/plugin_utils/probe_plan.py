"""What is asked once something has gone live, and what is asked of new code before: one judgement of both.

Each site that leads to an application is asked through nginx as a visitor would ask it; a probe is asked over the
application's own socket besides, before it goes live and after. Whatever no site leads to is asked over its socket.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from . import layout, site_listen
from .layout import NGINX_LOG_DIR
from .model import App, FirstQuestion, Instance, Probe, Question, Site
from .problem import Problems
from .site_location import Path
from .text_values import ANY_HOST
from .uwsgi_meanings import COUNTED_ON

Endpoint = tuple[str, int | None]
_OFF = {"false", "no", "off", "0", "n", "f"}
_ON = {"true", "yes", "on", "1", "y", "t"}
# Of a visitor who has no other name to ask for.
_NAMELESS = "localhost"


def check(app: dict[str, Any], path: str, problems: Problems) -> None:
    """Refuse a probe that is none of: a mapping, false, or nothing."""
    given = app["probe"]
    asked = given.get("path") if isinstance(given, Mapping) else None
    if isinstance(asked, str) and not re.fullmatch(r"/[^\s#]*", asked):
        found = re.sub(r"\A\w+://[^/]*", "", asked).partition("#")[0].strip().replace(" ", "%20")
        hint = f"write {found if found.startswith('/') else '/' + found}, and a name with host"
        problems.add(f"{path}.probe.path", f"{asked!r} is no path that can be asked for", hint)
    if given is None or isinstance(given, Mapping) or str(given).strip().lower() in _OFF | _ON:
        return
    hint = "write probe: {path: /}, or probe: false for no question at all"
    problems.add(f"{path}.probe", f"{given!r} is neither a mapping nor false", hint)


def is_off(app: Mapping[str, Any]) -> bool:
    """Whether nothing is to be asked."""
    return app["probe"] is not None and str(app["probe"]).strip().lower() in _OFF


def stated(app: Mapping[str, Any]) -> dict[str, Any]:
    """The probe as the user states it; empty where he states none."""
    given = app["probe"]
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, Mapping) else {}


def _named(name: str) -> str | None:
    """A name that a server_name answers to; None where a visitor's is not to be told from it."""
    if name == "_" or name.startswith("~") or not name.strip('"'):
        return None
    if name.startswith("."):
        return name[1:]
    return name.replace("*", "www", 1) if name.startswith("*.") else re.sub(r"\.\*\Z", ".com", name)


def _ascii(name: str) -> str:
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def host_of(site: Mapping[str, Any], default: bool) -> str | None:
    """The first name of a site that a visitor can ask for. ``default``: the site answers for any name."""
    names = site["server_name"] or ["_"]
    found = next((name for name in map(_named, names) if name), None)
    if found:
        return _ascii(found)
    if default:
        return _NAMELESS
    # nginx takes it for a name like any other.
    return "_" if "_" in names else None


def _has_name(site: Mapping[str, Any], host: str) -> bool:
    """Whether the site's own server block answers to this name."""
    for name in site["server_name"] or ["_"]:
        if name.lower() == host.lower():
            return True
        if name.startswith((".", "*.")) and host.lower().endswith(name.lstrip("*").lower()):
            return True
        if name.endswith(".*") and host.lower().startswith(name[:-1].lower()):
            return True
    return False


def _leads(site: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    """The location that nginx takes for a path."""
    best: dict[str, Any] | None = None
    location: dict[str, Any]
    for location in site["locations"]:
        where = Path(location["path"])
        if where.exact and where.text == path:
            return location
        if (
            where.prefix
            and path.startswith(where.text)
            and (best is None or len(where.text) > len(Path(best["path"]).text))
        ):
            best = location
    if best is not None and Path(best["path"]).modifier == "^~":
        return best
    for location in site["locations"]:
        where = Path(location["path"])
        if not where.regex:
            continue
        try:
            if re.search(where.text, path, re.IGNORECASE if where.modifier == "~*" else 0):
                return location
        except re.error:
            # PCRE knows more than Python's expressions do.
            continue
    return best


def _asks(location: Mapping[str, Any] | None, app: str) -> bool:
    return bool(location and location["app"] == app and not location["static"] and not location["internal"])


def _path(site: Mapping[str, Any], app: str, probe: Mapping[str, Any]) -> str | None:
    """The path to ask a site for, so that it leads to this application."""
    if probe and _asks(_leads(site, probe["path"].partition("?")[0]), app):
        return str(probe["path"])
    own = [location for location in site["locations"] if _asks(location, app)]
    # A WebSocket's path takes no plain request; the shortest path is the one that visitors begin with.
    own.sort(key=lambda location: (location["websocket"], len(Path(location["path"]).text)))
    paths = [Path(location["path"]).text for location in own if _plain(location)]
    return next((quote(text, safe="/%:@!$&'()*+,;=~-._") for text in paths if _asks(_leads(site, text), app)), None)


def _plain(location: Mapping[str, Any]) -> bool:
    where = Path(location["path"])
    return bool((where.prefix or where.exact) and where.text.startswith("/"))


def _address(line: str) -> str:
    """Where a visitor on the host itself reaches what a line of listen says."""
    host, port = site_listen.endpoint(line)
    if port is None:
        return host.removeprefix("unix:")
    return f"{'127.0.0.1' if host in ANY_HOST and host != '[::]' else '[::1]' if host == '[::]' else host}:{port}"


def _door(site: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The line of listen at which the site itself answers, and whether TLS is spoken there."""
    spoken = [(line, tls) for line, tls in site_listen.sockets(dict(site)) if "quic" not in line.split()]
    lines = [(line, tls or "ssl" in line.split()) for line, tls in spoken]
    return next((one for one in lines if one[1]), lines[0] if lines else None)


def _generations(unit: str) -> list[str]:
    return [unit, layout.standby_unit(unit)]


def _log(instances: Iterable[Instance]) -> dict[str, Any]:
    """Where it stands why an answer of these is wrong, as a Question has it."""
    instances = list(instances)
    return {
        "logs": [one.log_file for one in instances if one.log_file],
        "unit_files": [one.dropin for one in instances]
        + sorted({file for one in instances for file in one.secret_files}),
        # Its second generation, which may serve as it is asked, has a journal of its own.
        "units": [name for one in instances if not one.log_file for name in _generations(one.unit)],
    }


def _socket(instance: Instance) -> str:
    return instance.link or instance.socket


def _through(
    site: dict[str, Any],
    default: set[Endpoint],
    app: App,
    probe: Mapping[str, Any],
    dest: str,
    own_template: bool,
) -> Question | None:
    """The question to one site about one application; None where nothing can be asked of it."""
    path, door = _path(site, app.app, probe), _door(site)
    if path is None or door is None:
        return None
    line, tls = door
    host = host_of(site, site_listen.endpoint(line) in default)
    if probe.get("host") and _has_name(site, probe["host"]):
        host = probe["host"]
    if host is None:
        return None
    error_log = site["error_log"].split()[0]
    if error_log == "system":
        error_log = posixpath.join(NGINX_LOG_DIR, f"{site_listen.name_of(site)}.error.log")
    return Question(
        app=app.app,
        instances=[one.name for one in app.instances],
        file=dest,
        nginx=_address(line),
        tls=tls,
        proxy_protocol="proxy_protocol" in line.split(),
        sure=not own_template,
        host=host,
        path=path,
        error_log=error_log,
        # In maintenance nginx lets nobody through, and the application itself is asked.
        maintenance=layout.maintenance(app.app),
        socket=_socket(app.instances[0]),
        protocol=app.instances[0].protocol,
        **_log(app.instances),
    )


def _direct(app: App, probe: Probe | None, seen: Mapping[str, Any]) -> list[Question]:
    """A question to each instance itself."""
    return [
        Question(
            app=app.app,
            instances=[one.name],
            socket=_socket(one),
            protocol=one.protocol,
            tls=seen["tls"],
            host=seen["host"],
            path=seen["path"],
            status=probe.status if probe else None,
            text=probe.text if probe else None,
            **_log([one]),
        )
        for one in app.instances
    ]


class Asked(NamedTuple):
    """What an application is asked, once it is live and before."""

    # Requests to it once it is live; none where its user says so.
    questions: list[Question]
    # The probe with the host said, or None.
    probe: Probe | None
    # How its new code is judged before it goes live.
    first: FirstQuestion


def plan(values: Mapping[str, Any], apps: Mapping[str, App], sites: Iterable[Site]) -> dict[str, Asked]:
    """What each application is asked, by name. ``apps`` and ``sites``: their plans."""
    found: dict[str, Asked] = {}
    defaults = site_listen.defaults(values["publish_sites"])
    files = [(site.file, site.template != "site.conf.j2") for site in sites]
    for given in values["publish_apps"]:
        app, told, probe = apps[given["name"]], stated(given), None
        through = [
            question
            for site, default, (dest, own) in zip(values["publish_sites"], defaults, files, strict=True)
            if (question := _through(site, default, app, told, dest, own))
        ]
        first = through[0] if through else None
        seen: dict[str, Any] = {"host": _NAMELESS, "path": "/", "tls": False}
        if first:
            seen = {"host": first.host, "path": first.path, "tls": first.tls}
        if told:
            more = {"status": [200], **told, "host": told.get("host") or seen["host"], "tls": seen["tls"]}
            probe = Probe(**more)
            seen = {"host": probe.host, "path": probe.path, "tls": probe.tls}
        questions = (_direct(app, probe, seen) if probe or not through else []) + through
        off = is_off(given)
        found[given["name"]] = Asked([] if off else questions, probe, _first(given, app, off, seen))
    return found


def _first(given: Mapping[str, Any], app: App, off: bool, seen: Mapping[str, Any]) -> FirstQuestion:
    """How what new code answers without a probe is judged before it goes live: by what the live one answers."""
    options = {str(name).replace("_", "-") for name in given["options"]}
    judged = not off and not any(COUNTED_ON.match(name) for name in options)
    first = app.instances[0]
    named = given["module"] or given["wsgi_file"]
    name = named if ":" in named else f"{named}:{given['callable']}"
    live, protocol = _socket(first), first.protocol
    return FirstQuestion(judged=judged, live=live, protocol=protocol, callable=name, **seen)
