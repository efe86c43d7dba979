"""What a kit holds for hosts that reach nothing, and where the roles' variables lead when one is published from it.

Pure: ``kit`` is what the action plugin knows of the folder: ``folder``, ``collecting`` (it is being filled),
``manifest`` (None where there is none), ``wrong`` (what is wrong with it or its files, as text) and ``texts``
(application to the text of its requirements, None where the controller cannot read them). ``limits(python)`` tells what
pip keeps to for a Python, ``bounds`` and ``constraints``, as uwsgi_plan.limits() does.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import constraints, releases

from .model import Check, KitWheels, NginxPlan, Plan, UwsgiPlan
from .problem import Problem

Limits = Callable[[str], Mapping[str, list[str]]]

FORMAT = 1
# The parts of a kit, each a folder that a variable leads into.
NGINX, UWSGI, TOOLS, WHEELS = "nginx", "uwsgi", "tools", "wheels"
# From this glibc on a platform bears the older name too, by architecture where not all have it.
LEGACY = {17: ("manylinux2014", ()), 12: ("manylinux2010", ("x86_64", "i686")), 5: ("manylinux1", ("x86_64", "i686"))}
# Where the controller cannot know what a requirements file says.
UNKNOWN = "repo", "path"


def command(folder: str) -> str:
    """What fills a kit."""
    return f"ansible-playbook graceful.wsgi.kit -i INVENTORY -e {shlex.quote(f'kit_dir={folder}')}"


def platforms(architecture: str, glibc: str) -> list[str]:
    """The platforms in the names of wheels that run on such a host, the most demanding first."""
    minor = int(glibc.split(".")[1])
    found = []
    for number in range(minor, 4, -1):
        found.append(f"manylinux_2_{number}_{architecture}")
        name, only = LEGACY.get(number, ("", ()))
        if name and (not only or architecture in only):
            found.append(f"{name}_{architecture}")
    return [*found, f"linux_{architecture}"]


def markers(python: str, full: str, architecture: str) -> dict[str, str]:
    """The environment by which the markers of requirements (PEP 508) are judged on such a host."""
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": python,
        "sys_platform": "linux2" if python.startswith("2.") else "linux",
    }


def digest(text: str, limits: Sequence[str]) -> str:
    """Names requirements by what they say, and by the constraints that hold beside them."""
    return hashlib.sha256("\n".join([text, *limits]).encode()).hexdigest()[:16]


def digests(kit: Mapping[str, Any], name: str, limits: Limits) -> dict[str, str]:
    """By Python, what an application's requirements are named in the manifest; empty where nobody can read them."""
    text = kit["texts"].get(name)
    if text is None:
        return {}
    found = {}
    for python in {entry["kind"]["python"] for entry in kit["manifest"]["hosts"]}:
        told = limits(python)
        found[python] = digest(text, constraints.wanted(told["bounds"], told["constraints"], text))
    return found


def publishing(host: Mapping[str, Any]) -> bool:
    """Whether this host is published from a kit, so that nothing is asked of a network or of its package manager."""
    kit = host.get("kit")
    return kit is not None and bool(kit) and not kit["collecting"]


def folders(folder: str) -> dict[str, dict[str, str]]:
    """The variables of each role that lead into a kit."""
    return {
        "nginx": {"nginx_artifact_dir": f"{folder}/{NGINX}"},
        "uwsgi": {"uwsgi_artifact_dir": f"{folder}/{UWSGI}"},
    }


def derived(role: str, values: Mapping[str, Any], kit: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the role's variables are where a kit is filled, or published from, in the place of what they say."""
    if not kit:
        return {}
    found: dict[str, Any] = dict(folders(kit["folder"]).get(role) or {})
    if role == "nginx" and not values["nginx_build_host"]:
        # No host compiles its own; a static one runs on each.
        found.update(nginx_build_host="localhost", nginx_build_toolchain="zig")
    if kit["collecting"]:
        return found
    if role == "uwsgi":
        found.update(
            uwsgi_wheel_dir=f"{kit['folder']}/{TOOLS}",
            uwsgi_pip_no_index=True,
            uwsgi_pip_index_url="",
            uwsgi_manage_packages=False,
        )
    if role == "el":
        found.update(el_repositories=[], el_toolchain="never", el_python="")
    return found


def builder(kit: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """What was known, where the kit was made, of the host that built; it need not be known here."""
    return {"known": True, **((kit["manifest"] or {"builders": {}})["builders"].get(name) or {})}


def _entries(kit: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the kit holds for hosts of this one's distribution and architecture, as far as those are known."""
    known = {"distribution": host.get("distribution"), "major": host.get("version"), "architecture": host.get("arch")}

    def same(name: str, value: Any, told: str) -> bool:
        if value is None:
            return True
        one, other = str(value).lower(), told.lower()
        # Ansible's fact is OracleLinux where its modules, by which kinds are told, say Oracle.
        return one == other or (name == "distribution" and one == f"{other}linux")

    return [
        entry
        for entry in kit["manifest"]["hosts"]
        if all(same(name, value, entry["kind"][name]) for name, value in known.items())
    ]


def relevant(manifest: Mapping[str, Any], host: Mapping[str, Any]) -> list[str]:
    """The files that a host of this kind may take, by their paths in the kit."""
    found: set[str] = set()
    for one in manifest["nginx"].values():
        if host.get("arch") in (None, one["architecture"]):
            found.update(one["files"])
    for entry in _entries({"manifest": manifest}, host):
        found.update(entry["tools"])
        for part in (*entry["uwsgi"].values(), *entry["requirements"].values()):
            found.update(part["files"])
    return sorted(found)


def _apps(values: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(path of the variable, application) of those that have requirements."""
    apps = enumerate(values["publish_apps"])
    return [(f"publish_apps[{index}].requirements", app) for index, app in apps if app["requirements"]]


def included(wanted: list[Any]) -> list[str]:
    """The files that a list of requirements names (-r, -c)."""
    found = [releases._INCLUDE.match(line) for line in releases.as_lines(wanted)]
    return [match[2] for match in found if match and "://" not in match[2]]


def unreadable(values: Mapping[str, Any], kit: Mapping[str, Any] | None) -> list[Problem]:
    """Requirements that no controller can put into a kit, since it cannot read them."""
    if not kit:
        return []
    found = []
    for path, app in _apps(values):
        wanted = app["requirements"]
        files = included(wanted) if isinstance(wanted, list) else [wanted]
        if files and any(app[name] for name in UNKNOWN):
            where = "in a repository" if app["repo"] else "on the host"
            message = f"{files[0]} lies {where}, where no machine that makes a kit reads it"
            hint = "write the requirements as a list, or take the code from source or archive"
            found.append(Problem(path, message, hint))
    return found


def carries(host: Mapping[str, Any], name: str, limits: Limits) -> bool:
    """Whether the kit that this host is published from may have what an application's requirements name."""
    kit = host["kit"]
    entries, named = _entries(kit, host), digests(kit, name, limits)
    return not (named and entries) or any(
        named[entry["kind"]["python"]] in entry["requirements"] for entry in entries
    )


def check(
    values: Mapping[str, Mapping[str, Any]], plans: Mapping[str, Plan], host: Mapping[str, Any], limits: Limits
) -> list[Problem]:
    """What the kit lacks that can be told without asking the host."""
    if not publishing(host):
        return []
    kit = host["kit"]
    again = f"make it where there is a network: {command(kit['folder'])}"
    found = [Problem("publish_kit", said, again) for said in kit["wrong"]]
    manifest = kit["manifest"]
    if not manifest:
        return found
    nginx = plans.get("nginx")
    wanted = nginx.id if isinstance(nginx, NginxPlan) else None
    if wanted and wanted not in manifest["nginx"]:
        held = ", ".join(sorted(manifest["nginx"])) or "none"
        message = f"{kit['folder']} lacks nginx {wanted}, which these variables ask for; it holds {held}"
        found.append(Problem("publish_kit", message, again))
    for path, app in _apps(values["publish"]):
        # What nobody has asked for is left out where the kit lacks it, which the plan tells.
        if app["name"] not in (host.get("unsaid") or ()) and not carries(host, app["name"], limits):
            message = (
                f"{kit['folder']} lacks the wheels of {app['name']}, whose requirements it does not know as they are"
            )
            found.append(Problem(path, message, again))
    return found


def checks(
    values: Mapping[str, Mapping[str, Any]], plans: Mapping[str, Plan], host: Mapping[str, Any], limits: Limits
) -> list[Check]:
    """What only the host can judge: whether the kit is for its kind; see module_utils/kit_checks.py."""
    kit, uwsgi = host.get("kit"), values.get("uwsgi") or {}
    if not kit or kit["collecting"] or not kit["manifest"]:
        return []
    # A play that shows nothing of the role uwsgi has no uWSGI to ask for.
    planned = plans.get("uwsgi")
    build = planned.build if isinstance(planned, UwsgiPlan) else None
    return [
        {
            "kind": "kit",
            "variable": "publish_kit",
            "folder": kit["folder"],
            "command": command(kit["folder"]),
            "python": uwsgi["uwsgi_python"],
            "home": uwsgi["uwsgi_home"],
            "version": uwsgi["uwsgi_version"],
            "features": uwsgi["uwsgi_features"],
            "build": build or {},
            "built": bool(build and uwsgi["uwsgi_build_host"]),
            "entries": [
                {
                    "kind": entry["kind"],
                    "uwsgi": {
                        name: {key: one[key] for key in ("libraries", "packages")}
                        for name, one in entry["uwsgi"].items()
                    },
                    "requirements": sorted(entry["requirements"]),
                }
                for entry in _entries(kit, host)
            ],
            "others": sorted({describe(entry["kind"]) for entry in kit["manifest"]["hosts"]}),
            "apps": [
                {"variable": path, "name": app["name"], "digests": digests(kit, app["name"], limits)}
                for path, app in _apps(values["publish"])
                if kit["texts"].get(app["name"]) is not None
                and (app["name"] not in (host.get("unsaid") or ()) or carries(host, app["name"], limits))
            ],
        }
    ]


def describe(kind: Mapping[str, Any]) -> str:
    """A kind of host in words."""
    return "{distribution} {major} on {architecture} with Python {python} ({abi}) at {interpreter}".format(**kind)


def pip_wheels(kit: Mapping[str, Any] | None) -> dict[str, str]:
    """Python to the wheel of pip for it, by its path below the folder of tools; such a wheel runs as it lies."""
    found: dict[str, str] = {}
    if kit and not kit["collecting"] and kit["manifest"]:
        for entry in kit["manifest"]["hosts"]:
            for path in entry["tools"]:
                if re.search(r"/pip-[^/]*\.whl\Z", path):
                    found[entry["kind"]["python"]] = path.partition("/")[2]
    return found


def wheels(values: Mapping[str, Any], host: Mapping[str, Any], limits: Limits) -> KitWheels | None:
    """The wheels that each application's virtualenv is filled from, for the publish role; None without a kit."""
    kit, uwsgi = host.get("kit"), host.get("uwsgi") or {}
    if not kit or kit["collecting"] or not kit["manifest"]:
        return None
    found: dict[str, list[str]] = {}
    tools: list[str] = []
    for entry in _entries(kit, host):
        if any(entry["kind"][name] != uwsgi.get(name) for name in ("python", "abi", "interpreter")):
            continue
        tools = entry["tools"]
        for _path, app in _apps(values):
            held = entry["requirements"].get(digests(kit, app["name"], limits).get(entry["kind"]["python"]))
            if held:
                found[app["name"]] = sorted({*tools, *held["files"]})
    files = kit["manifest"]["files"]
    taken = sorted({path for paths in found.values() for path in paths})
    return KitWheels(folder=kit["folder"], apps=found, files={path: files[path] for path in taken})
