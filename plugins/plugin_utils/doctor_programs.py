"""What the binaries of an existing stack lack that its configuration asks for, and what runs that is no longer there.

The host tells it of the bytes of each binary and of /proc (module_utils/stack_programs.py); nothing of them is run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import import_uwsgi, uwsgi_options
from .doctor_findings import Finding
from .import_apps import located
from .import_nginx import Node
from .import_sites import address
from .import_uwsgi import Option, Source
from .uwsgi_meanings import FOLDERS, LOADS

if TYPE_CHECKING:
    from .doctor import Stack

# What is in a uWSGI without ssl, and in one without PCRE, each in place of what it then cannot do.
NO_SSL = "you need to build uWSGI with SSL support to use the websocket handshake"
# What nginx says where a module of its own was left out, and which directive of a listening socket then fails.
NGINX_TEXTS = {
    "ssl": 'the "ssl" parameter requires ngx_http_ssl_module',
    "http2": 'the "http2" parameter requires ngx_http_v2_module',
    "quic": 'the "quic" parameter requires ngx_http_v3_module',
}
NO_REGEX = "requires PCRE library"
# In these stand values, and no directives.
_VALUES = {"map", "geo", "types", "split_clients", "charset_map"}
_PYTHON_APPS = ("module", "wsgi", "wsgi-file", "w", "virtualenv", "home", "pyhome", "venv", "pythonpath")
HOMES = ("virtualenv", "home", "pyhome", "venv", "H")
# What is newer than a process by no more than this may have been read by it.
SLACK = 2


def programs_of(source: Source) -> dict[str, str]:
    """{binary: the word that starts it} of all that start an application."""
    return {one.program: one.called for one in source.starters if one.program.startswith("/")}


def _asked_plugins(source: Source, called: str) -> list[str]:
    """The plugins that an application names, or its binary by its own name, as uwsgi_python311 does."""
    options: dict[str, list[str]] = {}
    for option in source.options:
        options.setdefault(option.name, []).append(option.value)
    by_name = re.fullmatch(r"uwsgi_(\w+)", posixpath.basename(called))
    named = [name for _option, name in uwsgi_options.plugins(options)]
    return [*dict.fromkeys([*named, *([by_name[1]] if by_name else [])])]


def _options(source: Source) -> list[Option]:
    """The options that an application counts on, those that name a file of others too."""
    commands = [import_uwsgi.command_options(one.command, one.file, one.line) for one in source.starters]
    files = [option for options in commands for option in options if option.name in import_uwsgi.FILES]
    return [
        one
        for one in (*source.options, *files)
        if not one.condition
        and len(one.name) > 1
        and one.name not in source.used
        and (one.name in uwsgi_options.OPTIONS or uwsgi_options.feature_of(one.name))
    ]


def asked(stack: Stack) -> dict[str, dict[str, list[str]]]:
    """{binary: what has to be known of it}, as the module existing_stack takes it."""
    found: dict[str, dict[str, set[str]]] = {}

    def add(path: str, **more: Iterable[str]) -> None:
        one = found.setdefault(path, {"names": set(), "texts": set(), "plugins": set(), "folders": set()})
        for key, values in more.items():
            one[key].update(values)

    for source in stack.sources:
        folders = [one.value for one in source.options if one.name in FOLDERS and one.value.startswith("/")]
        for path, called in programs_of(source).items():
            plugins = _asked_plugins(source, called)
            add(path, names=[one.name for one in _options(source)], texts=[NO_SSL], plugins=plugins, folders=folders)
    for path in _nginx(stack):
        add(path, names={node.name for node in _directives(stack)}, texts=[*NGINX_TEXTS.values(), NO_REGEX])
    return {path: {key: sorted(values) for key, values in one.items()} for path, one in found.items()}


def paths(stack: Stack) -> set[str]:
    """The paths of which has to be known what is there."""
    found = {option.value for source in stack.sources for option in source.options if option.name in HOMES}
    if any(one.get("read") for one in stack.processes):
        found.update(stack.nginx_files, (source.file for source in stack.sources))
    return {path for path in found if path.startswith("/")}


def _nginx(stack: Stack) -> list[str]:
    found = [str(one.get("program") or "") for one in stack.processes if one.get("kind") == "nginx"]
    return [*dict.fromkeys(path for path in found if path.startswith("/"))]


def _directives(stack: Stack) -> Iterator[Node]:
    """All directives of nginx's, without what stands in a block of values, or one of another language."""
    todo = [*stack.main, *stack.events, *stack.http]
    while todo:
        node = todo.pop()
        yield node
        if node.name not in _VALUES and not node.name.endswith("_block"):
            todo += node.children or []


def _at(kind: str, where: Node | Option, evidence: str) -> Finding:
    return Finding(kind, where.file, where.line, evidence)


# -- uWSGI -----------------------------------------------------------------------------------------------------------


def uwsgi(stack: Stack) -> Iterator[Finding]:
    """What an application asks of a uWSGI that was built without it."""
    for source in stack.sources:
        for path, called in programs_of(source).items():
            about = stack.programs.get(path)
            if about is not None:
                yield from _application(stack, source, path, called, about)


def _application(
    stack: Stack, source: Source, path: str, called: str, about: Mapping[str, Any]
) -> Iterator[Finding]:
    first = source.options[0] if source.options else Option("", "", source.file)
    missing = [name for name in about["missing"] if name in _asked_plugins(source, called)]
    for name in missing:
        where = next((one for one in source.options if one.name in LOADS and name in one.value), first)
        folders = ", ".join(about["plugin_folders"]) or "its folders"
        yield _at("missing-plugin", where, f"{name}: {path} has no such plugin in it, and there is none in {folders}")
    lacks = set(about["lacks"])
    apps = [one for one in source.options if one.name in _PYTHON_APPS and one.name in lacks]
    if apps and not missing and not source.has("autoload"):
        yield _at("missing-plugin", apps[0], f"{apps[0].name} = {apps[0].value}, and {path} has no Python in it")
    if not apps and not missing and not source.has("autoload"):
        for option in [one for one in _options(source) if one.name in lacks]:
            feature = uwsgi_options.feature_of(option.name)
            without = f", which was built without {feature}" if feature else ""
            yield _at("lacking-option", option, f"{option.name} is no option of {path}{without}")
    yield from _python(stack, source, path, about)
    wants = next((one for one in source.options if one.name == "http-websockets"), None) or _upgrade(stack, source)
    if NO_SSL in about["texts"] and wants is not None:
        shown = wants.shown() if isinstance(wants, Node) else f"{wants.name} = {wants.value}"
        yield _at("websocket-ssl", wants, f"{shown}, and {path} was built without ssl")


def _python(stack: Stack, source: Source, path: str, about: Mapping[str, Any]) -> Iterator[Finding]:
    """A virtualenv of another Python."""
    for option in [one for one in source.options if one.name in HOMES and not one.condition]:
        there = (stack.looked.get(option.value) or {}).get("pythons") or []
        if about["python"] and there and about["python"] not in there:
            evidence = f"{option.name} = {option.value} is of Python {', '.join(there)}; {path} has {about['python']}"
            yield _at("python-version", option, evidence)


def _upgrade(stack: Stack, source: Source) -> Node | None:
    """What of a location that leads to an application hands on the header of a WebSocket."""
    listens = {
        address(located(source, part.strip()))
        for option in source.options
        if option.name in import_uwsgi.SOCKETS
        for part in option.value.split(",")
    }
    for _server, location in stack.locations():
        leads = location.one("uwsgi_pass") or location.one("proxy_pass")
        hands = [one for one in location.children or [] if any("upgrade" in word.lower() for word in one.args)]
        if leads is not None and hands:
            where = stack.addresses(re.sub(r"\Ahttp://", "", leads.first()))
            if listens.intersection(where):
                return hands[0]
    return None


# -- nginx -----------------------------------------------------------------------------------------------------------


def nginx(stack: Stack) -> Iterator[Finding]:
    """What the configuration asks of an nginx that was built without it."""
    for path in _nginx(stack):
        about = stack.programs.get(path)
        if about is None:
            continue
        loads = any(node.name == "load_module" for node in stack.main)
        for node in _directives(stack):
            if node.name in about["lacks"] and not loads:
                yield _at("nginx-lacks", node, f"{node.name} is no directive of {path}")
            elif node.name == "listen":
                lacking = [word for word in node.args[1:] if NGINX_TEXTS.get(word) in about["texts"]]
                for word in lacking:
                    yield _at("nginx-lacks", node, f"{node.shown()}: {path} was built without {word}")
            elif node.name == "location" and node.args and node.args[0] in ("~", "~*") and NO_REGEX in about["texts"]:
                yield _at("nginx-lacks", node, f"{node.shown()}: {path} was built without PCRE")


# -- what runs -------------------------------------------------------------------------------------------------------


def binaries(stack: Stack) -> Iterator[Finding]:
    """Binaries that do not start again, and processes that run what is no longer there."""
    loaded = [str(name) for one in stack.processes for name in one.get("loaded") or []]
    told = " ".join(text for path, text in stack.files.items() if path.endswith((".service", ".conf")))
    # Some are told to look elsewhere when they start, and have found it.
    elsewhere = "LD_LIBRARY_PATH" in told
    for path, about in sorted(stack.programs.items()):
        for name in about["libraries"] if not elsewhere else ():
            if not any(one.startswith(name) for one in loaded):
                yield Finding("library-gone", path, 0, f"{path} needs {name}, which the loader finds nowhere")
    for one in stack.processes:
        path, who = str(one.get("program") or ""), f"process {one.get('pid')} ({one.get('kind')})"
        if one.get("gone") and path:
            yield Finding("old-binary", path, 0, f"{who} runs a file of this name that was removed or replaced")
        for name in (one.get("old") or [])[:1]:
            more = len(one["old"]) - 1
            evidence = f"{who} runs with a {name} that was removed or replaced{f', and {more} more' if more else ''}"
            yield Finding("old-library", name, 0, evidence)


def configurations(stack: Stack) -> Iterator[Finding]:
    """Masters that run with another configuration than lies there."""
    for one in [one for one in stack.processes if one.get("kind") == "nginx" and one.get("read")]:
        newer = [path for path in stack.nginx_files if _is_newer(stack, path, one)]
        if newer:
            more = f", and {len(newer) - 1} more" if len(newer) > 1 else ""
            evidence = f"process {one['pid']} (nginx) has read it before it changed{more}"
            yield Finding("config-old", newer[0], 0, evidence)
    by_pid = {str(one.get("pid")): one for one in stack.processes if one.get("kind") == "uwsgi"}
    for source in stack.sources:
        for starter in source.starters:
            process = by_pid.get(starter.options.get("pid", "")) if starter.kind == "process" else None
            if process is not None and _is_newer(stack, source.file, process):
                evidence = f"process {process['pid']} (uWSGI) has read it before it changed"
                yield Finding("config-old", source.file, 0, evidence)


def _is_newer(stack: Stack, path: str, process: Mapping[str, Any]) -> bool:
    changed = (stack.looked.get(path) or {}).get("changed", 0)
    return bool(process.get("read")) and changed > process["read"] + SLACK


CHECKS = (uwsgi, nginx, binaries, configurations)
