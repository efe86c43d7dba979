"""The plan of the role remove: what is named, and where the other roles have put what may go."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from . import account_plan, layout
from .log_plan import SHARED
from .model import Places, RemovePlan, Wanted
from .problem import Problem, Problems
from .text_values import SAFE_NAME

# What is read of the other roles' variables: where things are, and which accounts were made. Nothing else of an
# inventory matters here: what it publishes may be wrong by now, or gone.
READ = {
    "nginx": ("nginx_user", "nginx_build_user", "nginx_artifact_dir"),
    "uwsgi": (
        "uwsgi_home",
        "uwsgi_conf_dir",
        "uwsgi_log_dir",
        "uwsgi_user",
        "uwsgi_build_user",
        "uwsgi_artifact_dir",
    ),
    "publish": ("publish_root", "publish_build_user", "publish_git_user", "publish_lock_timeout"),
}


def plan(
    values: dict[str, Any], host: dict[str, Any], roles: dict[str, dict[str, Any]]
) -> tuple[RemovePlan | None, list[Problem]]:
    """What graceful.wsgi.removal is asked; ``roles``: the variables of the other roles, defaults where unknown."""
    problems = Problems()
    if values["remove_apps"] is not None and not values["remove_apps"] and values["remove_set"]:
        message = "is an empty list, and remove_set without one takes the whole set"
        problems.add("remove_apps", message, "leave it out where the whole set is to go, or name its applications")
    values = {**values, "remove_apps": values["remove_apps"] or []}
    named = [f"remove_{name}" for name in ("apps", "set") if values[f"remove_{name}"]]
    if values["remove_all"] and named:
        message = f"takes all off the host, and {' and '.join(named)} only a part of it"
        problems.add("remove_all", message, "say one of the two")
    if values["remove_data"] and not named and not values["remove_all"]:
        message = "is true, and nothing says what is to go"
        problems.add("remove_data", message, "name it by remove_apps, remove_set or remove_all")
    for index, name in enumerate(values["remove_apps"]):
        if not SAFE_NAME.match(name):
            problems.add(f"remove_apps[{index}]", f"{name!r} is no name of an application", "write one of publish_apps")
    if values["remove_set"] and not SAFE_NAME.match(values["remove_set"]):
        problems.add("remove_set", f"{values['remove_set']!r} is no name of a set", "write one as publish_set has it")
    nginx, uwsgi, publish = roles["nginx"], roles["uwsgi"], roles["publish"]
    folders = {"publish_root": publish["publish_root"]}
    folders |= {name: uwsgi[name] for name in ("uwsgi_home", "uwsgi_conf_dir", "uwsgi_log_dir")}
    for name, folder in folders.items():
        if not folder.startswith("/"):
            problems.add(name, f"{folder!r} is not absolute", "write the whole path, as it was when it was published")
    if problems:
        return None, problems
    # As the host has them: no slash at the end, and one at the beginning.
    root, home, conf_dir, log_dir = (re.sub(r"\A//+", "/", posixpath.normpath(folder)) for folder in folders.values())
    return RemovePlan(
        nothing=not (named or values["remove_all"]),
        wanted=Wanted(
            apps=values["remove_apps"],
            set=values["remove_set"],
            all=values["remove_all"],
            data=values["remove_data"],
        ),
        roots=[root, log_dir, *layout.GIT_ROOTS],
        # Everybody's folders are not ours, be they empty.
        places=Places(root="" if root in SHARED else root, homes=root, uwsgi_home=home, conf_dir=conf_dir),
        caches={"nginx": nginx["nginx_artifact_dir"], "uwsgi": uwsgi["uwsgi_artifact_dir"]},
        accounts={name: account_plan.own_account(name) for name in values["remove_apps"]},
        made={
            nginx["nginx_user"]: "/var/cache/nginx",
            nginx["nginx_build_user"]: "/nonexistent",
            uwsgi["uwsgi_user"]: "/nonexistent",
            publish["publish_git_user"]: layout.GIT_HOME,
        },
        web_user=nginx["nginx_user"],
        lock_timeout=publish["publish_lock_timeout"],
    ), problems
