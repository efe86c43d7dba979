"""What an application's plan becomes: files, instances to start and to reload, code to release, upstreams."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from . import (
    app_secrets,
    layout,
)
from .app_plan import alike, variable
from .model import App, Code, File, FirstQuestion, Instance, Preflight, Probe, Release, Reload, UwsgiInstance
from .nginx_tree import Directive, idle

# The role's own template of a unit's drop-in, which prints what the plan says of its service and nothing else.
INSTANCE_TEMPLATE = "instance.conf.j2"


def _xml(text: str) -> str:
    """A value as uWSGI's XML reads all of it: with an entity in it, it would take what stands before that."""
    return f"<![CDATA[{text}]]>" if "&" in text or "<" in text else text


def shared(apps: Iterable[App], name: str, nginx_version: str = "") -> list[Directive]:
    """What the applications of a set need outside of all server blocks: upstreams and their maps."""
    apps = list(apps)
    secure = f"${variable(name)}_secure"
    http: list[Directive] = []
    if any(app.affinity == "cookie" for app in apps):
        http.append(["map", f"$scheme {secure}", [["https", '"; Secure"', None], ["default", '""', None]]])
    for app in apps:
        if not app.upstream:
            continue
        servers: list[Directive] = [
            # One that fails once is not left for ten seconds: its sessions are nobody else's.
            ["server", f"unix:{unit.link}{' max_fails=0' if app.affinity else ''}", None]
            for unit in app.instances
        ]
        if app.affinity == "cookie":
            cookie = app.cookie
            # Nothing of what a client sends is sent back, and what is not ours counts as no cookie.
            ours, new = '"~^[0-9a-f]{32}$"', f'"{cookie}=$request_id; Path=/; HttpOnly; SameSite=Lax{secure}"'
            children = [[ours, f"$cookie_{cookie}", None], ["default", "$request_id", None]]
            http.append(["map", f"$cookie_{cookie} ${cookie}_key", children])
            # nginx leaves out a header that is empty.
            http.append(["map", f"$cookie_{cookie} ${cookie}_new", [[ours, '""', None], ["default", new, None]]])
            servers.insert(0, ["hash", f"${cookie}_key consistent", None])
        elif app.affinity == "address":
            servers.insert(0, ["hash", "$binary_remote_addr consistent", None])
        http.append(["upstream", app.upstream, servers + idle(nginx_version)])
    return http


def _document(planned: Instance) -> dict[str, Any]:
    """The configuration for languages whose keys are unique: a repeated option is a list."""
    gathered: dict[str, list[str]] = {}
    for name, value in planned.options:
        gathered.setdefault(name, []).append(value)
    return {"uwsgi": {name: found if len(found) > 1 else found[0] for name, found in gathered.items()}}


def _template(planned: Instance) -> str:
    """The template of the application's configuration."""
    return planned.template or f"app.{planned.config_format}.j2"


def _vars(planned: Instance) -> dict[str, Any]:
    """The variables of that template."""
    elements = [[name, _xml(value)] for name, value in planned.options]
    return {"app": planned, "document": _document(planned), "elements": elements}


def files(planned: Instance, instance_template: str) -> list[File]:
    """The files of an instance."""
    found = [
        File(
            dest=planned.config,
            template=_template(planned),
            vars=_vars(planned),
            # Options of the user may hold secrets; the master reads this as the application's user.
            mode="0640",
            group=planned.group,
            belongs_to=planned.app,
        ),
        File(dest=planned.dropin, template=instance_template, vars={"app": planned}, belongs_to=planned.app),
    ]
    if planned.log_file:
        owner, group = planned.user, planned.group
        found.append(File(dest=planned.log_file, content="", force=False, owner=owner, group=group, mode="0640"))
    return found


def instance(planned: Instance) -> UwsgiInstance:
    """The instance as it is started, restarted and reloaded."""
    # With cheaper uWSGI starts fewer, and more as they are needed.
    cheaper = any(name.startswith("cheaper") for name, _value in planned.options)
    own = alike(UwsgiInstance, vars(planned)) | {
        "unit_files": [
            layout.UWSGI_UNIT,
            planned.dropin,
            # systemd reads it when the instance starts, and uWSGI keeps its environment over a reload.
            *([planned.env_file] if planned.env_file else []),
            *planned.secret_files,
        ],
        "standby": layout.standby_socket(planned.socket_dir) if planned.socket_dir else None,
        "processes": 1 if cheaper else planned.processes,
    }
    return UwsgiInstance(**own)


def reload(planned: Instance, probe: Probe | None) -> Reload:
    """The instance as it is reloaded by name."""
    return Reload(name=planned.name, pidfile=planned.pidfile, config=planned.config, probe=probe)


def preflight(
    app: dict[str, Any], planned: App, instance_template: str, probe: Probe | None, question: FirstQuestion
) -> Preflight:
    """The application as its new code is loaded before it goes live."""
    # Of several instances the first one's unit says what all of them have.
    first = planned.instances[0]
    own = instance_template != INSTANCE_TEMPLATE
    return Preflight(
        name=app["name"],
        user=planned.user,
        group=planned.group,
        options=planned.options,
        # Where a unit hands them over, by the file that it names and that is not live yet.
        environment=app_secrets.words(app),
        files=app_secrets.contents(app, posixpath.dirname(first.config)),
        secret_files=planned.secret_files,
        # What another template makes of the options is not known here.
        format=planned.config_format if planned.template else None,
        template=_template(planned) if planned.template else None,
        vars=_vars(planned) if planned.template else None,
        probe=probe,
        question=question,
        unit=first.unit,
        dropin=first.dropin,
        service=first.service,
        code=Code(
            path=planned.code,
            module=app["module"],
            requirements=app["requirements"],
            virtualenv=app["virtualenv"],
        ),
        service_template=instance_template if own else None,
        service_vars={"app": first} if own else None,
    )


def release(app: dict[str, Any], planned: App, values: dict[str, Any], limits: Mapping[str, list[str]]) -> Release:
    """The code of the application. ``limits``: what pip is to keep to, ``bounds`` and ``constraints``."""
    kept_to = limits if app["requirements"] else {}
    return Release(
        name=app["name"],
        home=planned.home,
        group=planned.group,
        user=planned.user,
        source=app["source"],
        archive=app["archive"],
        repo=app["repo"],
        version=app["version"] or "HEAD",
        path=app["path"],
        exclude=values["publish_exclude"] + app["exclude"],
        requirements=app["requirements"],
        auto=app.get("auto"),
        bounds=kept_to.get("bounds"),
        constraints=kept_to.get("constraints"),
        shared=app["shared"] or None,
        writable=app["writable"] or None,
    )
