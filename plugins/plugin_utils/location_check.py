"""What is refused of a location."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import access_plan
from .nginx_tree import directives
from .problem import Problems, close_match
from .site_location import Path, address_of, upstream_of
from .text_values import check_text

TARGETS = ("app", "proxy_pass", "upstream", "static", "redirect", "return")


def _check_targets(location: dict[str, Any], path: str, problems: Problems) -> None:
    given = [key for key in TARGETS if location[key]]
    if given == ["app", "static"] and not location["static"].startswith("/"):
        return
    if given == ["app", "proxy_pass"]:
        hint = "give exactly one of them: app for one of publish_apps, proxy_pass for anything else"
        problems.add(path, "has both app and proxy_pass", hint)
    elif len(given) > 1:
        hint = "give exactly one of them; static beside app is a folder in its code"
        problems.add(path, f"has {' and '.join(given)}", hint)
    elif not given:
        problems.add(path, "says nothing of where it leads", f"give exactly one of {', '.join(TARGETS)}")
    elif given == ["static"] and not location["static"].startswith("/"):
        hint = "write the whole path on the host, or name the app in whose code it lies"
        problems.add(f"{path}.static", f"{location['static']!r} is not absolute", hint)


def _check_proxy(location: dict[str, Any], path: str, upstreams: Mapping[str, Any], problems: Problems) -> None:
    proxy, where = location["proxy_pass"], Path(location["path"])
    base, rest = address_of(location)
    strip = location["strip_prefix"]
    if not proxy and not location["upstream"]:
        if strip is not None:
            hint = "write mount: true" if location["app"] else "leave it out"
            problems.add(f"{path}.strip_prefix", "goes with proxy_pass and upstream only", hint)
        return
    name = location["upstream"]
    if name and name not in upstreams:
        meant = close_match(name, upstreams)
        hint = f"did you mean {meant}?" if meant else "add it to publish_upstreams, or name one of them"
        problems.add(f"{path}.upstream", f"there is no upstream {name!r}", hint)
    if proxy and not proxy.startswith(("http://", "https://", "$")):
        problems.add(f"{path}.proxy_pass", f"{proxy!r} is no address", "write http://host:port or https://host:port")
        return
    if re.search(r"\s", proxy or ""):
        problems.add(f"{path}.proxy_pass", f"{proxy!r} holds a blank", "write %20 for it")
    behind = upstream_of(location, upstreams) or {"protocol": "http"}
    if proxy and behind["protocol"] == "uwsgi":
        message = f"asks by HTTP, and {behind['name']} speaks uwsgi"
        problems.add(f"{path}.proxy_pass", message, f"write upstream: {behind['name']}")
    if strip is not None and behind["protocol"] == "uwsgi":
        message = "strip_prefix is for HTTP, and this upstream is asked by uwsgi_pass"
        problems.add(f"{path}.strip_prefix", message, "leave it out, and mount the application where it runs")
    elif "$" in (proxy or ""):
        # nginx sends such an address as it comes out, whatever the location.
        if strip is not None:
            message = "does not work with a variable in the address, which says the whole path itself"
            problems.add(f"{path}.strip_prefix", message, "leave it out, or write the address without variables")
    elif rest and strip is not None:
        message = f"contradicts the path in {proxy!r}, which takes the place of the location's"
        problems.add(f"{path}.strip_prefix", message, "leave it out, or the path of the address")
    elif where.regex or where.named:
        kind = "a regex" if where.regex else "a named location"
        if rest:
            message = f"has the path {rest}, and in {kind} there is no prefix that it could take the place of"
            problems.add(f"{path}.proxy_pass", message, f"write {base}")
        if strip:
            problems.add(
                f"{path}.strip_prefix", f"is true, and {kind} has no prefix", "leave it out, or write a prefix"
            )
    elif where.exact:
        if strip:
            problems.add(f"{path}.strip_prefix", "would leave nothing of an exact path", f"write {base}/ as proxy_pass")
    elif rest and rest.endswith("/") != where.text.endswith("/"):
        wrong = f"{where.text}a would be asked for as {rest}a" if where.bare else f"{where.text}/a as {rest}/a"
        hint = f"let both end in a slash, or neither: {where.text.rstrip('/')}/ and {base}{rest.rstrip('/')}/"
        problems.add(f"{path}.proxy_pass", f"has the path {rest}, and the location {where.text}: {wrong}", hint)
    elif strip and not where.bare:
        message = f"is true, and {where.text} does not end in a slash: of {where.text}a it would leave a"
        problems.add(f"{path}.strip_prefix", message, f"write {where.text}/")


def _check_static(location: dict[str, Any], path: str, problems: Problems) -> None:
    static, where = location["static"], Path(location["path"])
    if not static:
        return
    if ".." in static.split("/"):
        problems.add(f"{path}.static", f"{static!r} holds ..", "write the path without it")
    if where.regex and re.search(r"\$\{?\d", static):
        message = f"{static!r} holds what the regex found, and the whole path is looked for below that"
        problems.add(f"{path}.static", message, "write the folder, and a path without a regex, such as /static/")
    if where.prefix and not where.text.endswith("/"):
        message = f"is served under {where.text}, and {where.text}../ would lead out of it"
        problems.add(f"{path}.path", message, f"write {where.text}/")


def _check_mount(location: dict[str, Any], path: str, problems: Problems) -> None:
    where = Path(location["path"])
    if not location["mount"]:
        return
    if not location["app"] or location["static"]:
        problems.add(f"{path}.mount", "goes with app only", "leave it out; proxy_pass has strip_prefix")
    elif not where.bare or re.search(r"[\s=%$@(),;{}\"'\\]", where.text):
        message = f"is true, and an application cannot be mounted at {location['path']}"
        problems.add(f"{path}.mount", message, "write a path such as /shop/, which begins and ends with a slash")


def _check_slash(location: dict[str, Any], path: str, taken: Iterable[Any], problems: Problems) -> None:
    where, slash = Path(location["path"]), location["slash"]
    if not slash:
        return
    if not where.bare or location["redirect"] or location["return"] or location["internal"]:
        message = "is for a path that ends in a slash and leads to an application or a folder"
        problems.add(f"{path}.slash", message, "leave it out")
    elif ("", where.bare) in taken or ("=", where.bare) in taken:
        problems.add(f"{path}.slash", f"the site has a location for {where.bare} itself", "leave one of the two out")
    elif slash == "serve" and location["static"]:
        problems.add(f"{path}.slash", "cannot be serve for a folder of files", "write redirect or 404")


def check_location(
    location: dict[str, Any],
    path: str,
    apps: Iterable[str],
    upstreams: Mapping[str, Any],
    taken: Iterable[Any],
    problems: Problems,
) -> None:
    app, where = location["app"], Path(location["path"])
    _check_targets(location, path, problems)
    if app and app not in apps:
        meant = close_match(app, apps)
        hint = f"did you mean {meant}?" if meant else "add it to publish_apps, or name one of them"
        problems.add(f"{path}.app", f"there is no application {app!r}", hint)
    if (where.prefix or where.exact) and not where.text.startswith("/"):
        problems.add(f"{path}.path", f"no request has a path such as {where.text}", "begin it with a slash")
    _check_proxy(location, path, upstreams, problems)
    _check_static(location, path, problems)
    _check_mount(location, path, problems)
    _check_slash(location, path, taken, problems)
    access_plan.check(location, path, problems)
    for key in ("uwsgi_chdir", "uwsgi_script"):
        if location[key] and not app:
            problems.add(f"{path}.{key}", "goes with app only", "leave it out")
    if location["websocket"] and not (app or location["proxy_pass"] or location["upstream"]):
        problems.add(f"{path}.websocket", "goes with app, proxy_pass and upstream only", "leave it out")
    if location["timeout"] and not access_plan.TIME.match(location["timeout"]):
        problems.add(f"{path}.timeout", f"{location['timeout']!r} is no time", "write e.g. 90s or 5m")
    elif location["timeout"] and not re.search("[1-9]", location["timeout"]):
        message = f"{location['timeout']!r} ends each request at once, and nothing means for ever"
        problems.add(f"{path}.timeout", message, "write e.g. 1h")
    if location["redirect"] and not re.match(r"/|\$|[A-Za-z][A-Za-z0-9+.-]*:", location["redirect"]):
        message = (
            f"{location['redirect']!r} is neither an address nor a path, and leads below the one that was asked for"
        )
        problems.add(f"{path}.redirect", message, f"write https://{location['redirect']} or /{location['redirect']}")
    for name in ("uwsgi_pass", "proxy_pass"):
        if name in location["options"]:
            message = "the role writes it itself, so that it fits the application's socket"
            problems.add(
                f"{path}.options.{name}", message, "name the application with app, or use proxy_pass of the location"
            )
    directives(location["options"], f"{path}.options", problems)
    own = {key: location[key] for key in ("path", "proxy_pass", "return", "expires")}
    directives({f"location {own.pop('path')}": {}, **own}, path, problems)
    check_text({key: value for key, value in location.items() if key != "options"}, path, problems)
