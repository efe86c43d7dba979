"""What of an application is kept with each release that was live, so that a way back takes its configuration along.

It is not the files that are kept, which have secrets in them and lead to sockets and accounts of their time, but what
the variables said: of that the plan makes both ends anew, and nginx and uWSGI cannot come to speak past each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .model import KeptSettings

# What comes back with a release: how its code is run, and what runs beside it.
COMES_BACK = (
    *("module", "wsgi_file", "callable", "pythonpath", "chdir", "virtualenv"),
    *("processes", "threads", "gevent", "websocket", "websocket_mercy"),
    *("env", "workers", "timers", "probe", "log_requests", "options", "service_options"),
)
# What stays as the inventory says it. By what another host's nginx may lead to as well, by whose the data is and where
# things lie, by what is nobody's to keep, and by what a release was made with: that is on the host already.
STAYS = (
    *("protocol", "socket", "socket_clients", "instances", "affinity", "maintenance"),
    *("name", "user", "group", "shared", "log", "config_format", "template"),
    *("secrets", "secrets_file"),
    *("source", "archive", "repo", "version", "path", "exclude", "requirements", "python"),
    *("before_live", "after_live", "writable"),
)


def _said(value: Any) -> Any:
    """The value without what is not said in it, such as options of a worker that it does not have."""
    if isinstance(value, Mapping):
        return {str(key): _said(item) for key, item in value.items() if item is not None}
    return [_said(item) for item in value] if isinstance(value, (list, tuple)) else value


def of(app: Mapping[str, Any]) -> KeptSettings:
    """What is kept of an application: of its secrets the names only."""
    settings = _said({name: app[name] for name in COMES_BACK})
    kept = {"settings": settings, "secrets": sorted(map(str, app["secrets"]))}
    # Unsorted: the order of options means something to uWSGI.
    return KeptSettings(name=app["name"], settings=json.dumps(kept, default=str))


def _env(app: Mapping[str, Any], kept: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """The environment of then with no value in it that is a secret by now, and what of it is worth a line."""
    then, now = kept["settings"].get("env") or {}, app.get("env") or {}
    secrets = app.get("secrets") or {}
    env = {key: value for key, value in then.items() if key not in secrets}
    missing = [key for key in kept["secrets"] if key not in secrets and key not in env]
    env.update((key, now[key]) for key in missing if key in now)
    lost = [key for key in missing if key not in now]
    notes = []
    if lost and not app.get("secrets_file"):
        notes.append(
            f"{name}: its release was live with the secret{'s' if len(lost) > 1 else ''} {', '.join(lost)}, of which"
            " the inventory says nothing any more and no value is kept: it goes without"
        )
    return env, notes


def back(app: Mapping[str, Any], kept: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """An application, yet unchecked, with what is kept of a release, and what of it is worth a line."""
    name, settings = str(app.get("name")), kept["settings"]
    found = {key: value for key, value in app.items() if key not in COMES_BACK}
    found.update((key, value) for key, value in settings.items() if key in COMES_BACK)
    if found.get("virtualenv"):
        found.pop("requirements", None)
    found["env"], notes = _env(app, kept, name)
    unknown = sorted(set(settings).difference(COMES_BACK))
    if unknown:
        notes.append(
            f"{name}: its release was live with {', '.join(unknown)}, which this version of the collection does not"
            " know: it goes without"
        )
    return found, notes


def restored(apps: Any, kept: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The applications, yet unchecked, each with what is kept of the release that it is to have, if anything is."""
    if not isinstance(apps, list):
        return apps, []
    found, notes = [], []
    for app in apps:
        one = kept.get(str(app.get("name"))) if isinstance(app, Mapping) else None
        if one:
            app, told = back(app, json.loads(one["kept"]))
            notes += told
        found.append(app)
    return found, notes


def refused(kept: Mapping[str, Any], names: Iterable[str]) -> str:
    """What to add to problems of variables where some of them are not those of the inventory."""
    told = [f"{name} (release {kept[name]['release']})" for name in sorted(set(kept).intersection(names))]
    if not told:
        return ""
    return (
        f"\nWhat says how the code of {', '.join(told)} runs is what was kept with that release, and not what the"
        " inventory says. -e configuration=inventory goes back with what the inventory says."
    )
