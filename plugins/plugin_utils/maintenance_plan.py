"""Maintenance of an application: what nginx answers meanwhile, and what is written of it whether it is on or not.

Each location that leads to the application asks for a file of root's, the flag, before all else. Switching is making or
removing that file: no server block changes, nothing is reloaded and no connection ends. Where the flag is there, nginx
goes on in a location of its own, whose answer needs neither a file nor the application.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import access_plan, layout
from .model import Maintenance, Question
from .nginx_tree import Directive, quoted, slug
from .problem import Problems
from .site_listen import name_of
from .site_location import asks_program

# Below this no application has anything, and a visitor who asks for it finds nothing.
_PLACE = "/.graceful-maintenance"
# nginx reads its configuration by 4096 bytes, into which one word must fit, with what quotes it.
_PIECE = 1800
# As many pieces as one word can name variables of.
MOST = 36 * _PIECE
TYPES = {".html": "text/html", ".htm": "text/html", ".txt": "text/plain", ".json": "application/json"}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Down for maintenance</title></head>
<body><h1>Down for maintenance</h1><p>This site is being worked on. Please try again in a few minutes.</p></body>
</html>
"""
RETRY_AFTER = 600
# What the playbook gives where it was told nothing.
MISSING = "-"
# What -f says no to, for whoever may pass.
_NEVER = "/"
_ON = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of a user's, as the controller has it."""

    text: str = ""
    # Why there is none.
    wrong: str = ""


def read(apps: Any, find: Callable[[str], str], open_file: Callable[[str], bytes]) -> dict[str, Page]:
    """The pages that applications name, by application; ``find`` looks for a file as Ansible does."""
    found = {}
    for app in apps if isinstance(apps, list) else ():
        given = app.get("maintenance") if isinstance(app, Mapping) else None
        page = given.get("page") if isinstance(given, Mapping) else None
        if not page or not isinstance(page, str) or not isinstance(app.get("name"), str):
            continue
        try:
            found[app["name"]] = Page(open_file(find(page)).decode())
        except UnicodeDecodeError:
            found[app["name"]] = Page(wrong="is not UTF-8")
        # Ansible's own error of a file that is nowhere is no OSError.
        except Exception:
            found[app["name"]] = Page(wrong="is not there, or cannot be read")
    return found


def _given(app: Mapping[str, Any]) -> dict[str, Any]:
    stated = app.get("maintenance") or {}
    return {"page": None, "retry_after": RETRY_AFTER, "allow": [], **stated}


def check(app: Mapping[str, Any], path: str, pages: Mapping[str, Page], problems: Problems) -> None:
    """Refuse a page that cannot be sent, and what else nginx would not take."""
    given, at = _given(app), f"{path}.maintenance"
    if given["retry_after"] < 0:
        problems.add(f"{at}.retry_after", f"{given['retry_after']} is too few", "write seconds, or 0 for none")
    for index, text in enumerate(given["allow"]):
        access_plan.check_address(text, f"{at}.allow[{index}]", problems)
    page = given["page"]
    if not page:
        return
    if posixpath.splitext(page)[1].lower() not in TYPES:
        hint = f"let its name end in one of {', '.join(TYPES)}"
        problems.add(f"{at}.page", f"{page!r} is a page of no kind that is known by its name", hint)
    found = pages.get(app["name"], Page(wrong="is not there, or cannot be read"))
    if found.wrong:
        hint = "name a file of the controller, such as files/down.html in the inventory's folder"
        problems.add(f"{at}.page", f"{page!r} {found.wrong}", hint)
    elif len(found.text.encode()) > MOST:
        hint = "let what is large, such as pictures, lie elsewhere"
        problems.add(f"{at}.page", f"{page!r} has more than {MOST} bytes", hint)
    elif "\0" in found.text:
        problems.add(f"{at}.page", f"{page!r} is no text", "write a page in UTF-8")


def _variable(own: str, app: str) -> str:
    """nginx's variable with the path of the flag; for who may pass, a path that is no file.

    ``own``: how the variables of the site begin. Each site has its own, so that it stands by itself where the set names
    the application, or another of its sites, no more.
    """
    return f"${own}_{slug(app)}_down"


def _place(app: str) -> str:
    # The last part has no dot, by which nginx would take what is behind it for a kind of file.
    return f"{_PLACE}/{app}/page"


def guard(own: str, app: str) -> Directive:
    """What leads a request away from an application in maintenance."""
    return ["if", f"(-f {_variable(own, app)})", [["rewrite", f"^ {_place(app)} last", None]]]


def location(own: str, app: Mapping[str, Any], headers: list[Directive]) -> Directive:
    """The location that answers for it. ``headers``: of the site, which would be lost beside one of its own."""
    given = _given(app)
    kind = TYPES.get(posixpath.splitext(given["page"] or ".html")[1].lower(), "text/html")
    block: list[Directive] = [["internal", "", None], *headers]
    if given["retry_after"]:
        block.append(["add_header", f"Retry-After {given['retry_after']} always", None])
    block += [
        ["charset", "utf-8", None],
        ["default_type", kind, None],
        # Sent for any method, and once what the client sends is read.
        ["return", f"503 {_variable(own, app['name'])}_page", None],
    ]
    return ["location", f"= {_place(app['name'])}", block]


def _pieces(text: str) -> list[str]:
    found: list[str] = []
    piece: list[str] = []
    size = 0
    for letter in text:
        length = len(letter.encode())
        if size + length > _PIECE:
            found.append("".join(piece))
            piece, size = [], 0
        piece.append(letter)
        size += length
    return [*found, "".join(piece)]


def _literal(name: str, text: str) -> Directive:
    """A variable of this very text: of all that nginx has, geo alone finds no variables in a value."""
    return ["geo", name, [["default", quoted(text, always=True), None]]]


def led_to(sites: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """{application: [files of the sites that lead to it]}."""
    found: dict[str, list[str]] = {}
    for site in sites:
        for app in dict.fromkeys(one["app"] for one in site["locations"] if one["app"] and asks_program(one)):
            found.setdefault(app, []).append(layout.site(name_of(site)))
    return found


def outside(own: str, app: Mapping[str, Any], pages: Mapping[str, Page]) -> list[Directive]:
    """What stands outside of the server block for an application that the site leads to."""
    name, given = _variable(own, app["name"]), _given(app)
    allowed = dict.fromkeys(access_plan.network(text) for text in given["allow"])
    lines: list[Directive] = [["default", layout.maintenance(app["name"]), None]]
    found: list[Directive] = [["geo", name, lines + [[text, _NEVER, None] for text in allowed]]]
    pieces = _pieces(pages[app["name"]].text if given["page"] else PAGE)
    if len(pieces) == 1:
        return [*found, _literal(f"{name}_page", pieces[0])]
    # Short, for all of their names have to fit into one word.
    short = hashlib.sha256(name.encode()).hexdigest()[:8]
    parts = [f"$publish_page_{short}_{number}" for number in range(len(pieces))]
    found += [_literal(part, piece) for part, piece in zip(parts, pieces, strict=True)]
    joined = quoted("".join(f"${{{part[1:]}}}" for part in parts), always=True)
    return [*found, ["map", f"$host {name}_page", [["default", joined, None]]]]


def _cached(*options: Mapping[str, Any]) -> bool:
    """Whether nginx remembers which files are there, so that it takes new workers to see the flag."""
    return any(str(given.get("open_file_cache") or "off").split()[0] != "off" for given in options)


def check_all(values: Mapping[str, Any], pages: Mapping[str, Page], problems: Problems) -> None:
    """Refuse what applications say of maintenance, and what is asked of it."""
    for index, app in enumerate(values["publish_apps"]):
        check(app, f"publish_apps[{index}]", pages, problems)
    wanted(values, problems)


def wanted(values: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what the playbook graceful.wsgi.maintenance cannot be asked."""
    app, state = values["publish_maintenance_app"], values["publish_maintenance_state"]
    names = [item["name"] for item in values["publish_apps"]]
    if not app and not state:
        return
    # One that this host does not have may be another host's: the role says so, and fails where no host has it.
    if not app:
        problems.add("app", "is missing", f"write one of {', '.join(names) or 'publish_apps, which names none'}")
    if str(state).strip().lower() not in _ON:
        message = "is missing" if state in ("", MISSING) else f"{state!r} is not known"
        problems.add("state", message, "write on or off, as in -e app=shop -e state=on")


def _source(nginx: str, proxy_protocol: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that nginx sees of whoever asks at this address of the same host; None for a unix socket."""
    if nginx.startswith("/"):
        return None
    host = "127.0.0.1" if proxy_protocol else nginx.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _passes(question: Question, given: Mapping[str, Any]) -> bool:
    """Whether a question that the host itself asks comes from an address that may pass."""
    address = _source(question.nginx or "", bool(question.proxy_protocol))
    networks = [ipaddress.ip_network(text, strict=False) for text in given["allow"]]
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


def plan(
    values: Mapping[str, Any], questions: Mapping[str, list[Question]], nginx: Mapping[str, Any]
) -> list[Maintenance]:
    """The switch that was asked for, none where none was.

    ``questions``: what is asked, by application; ``nginx``: the variables of that role.
    """
    found = []
    for app in values["publish_apps"]:
        if app["name"] != values["publish_maintenance_app"]:
            continue
        through = [question for question in questions[app["name"]] if question.nginx]
        options = [nginx["nginx_conf_options"]]
        for site in values["publish_sites"]:
            options += [site["options"], *(one["options"] for one in site["locations"])]
        found.append(
            Maintenance(
                app=app["name"],
                enabled=_ON[str(values["publish_maintenance_state"]).strip().lower()],
                files=led_to(values["publish_sites"]).get(app["name"], []),
                reload=_cached(*options),
                questions=through,
                passing=[one.nginx for one in through if one.nginx and _passes(one, _given(app))],
            )
        )
    return found
