"""The groups of an application that would let it into more than its own: root's powers, or nginx's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .problem import Problem
from .text_values import items

# Whose members are root by another name, or read what is root's: an application's code and sockets would be theirs.
PRIVILEGED = {
    *("root", "sudo", "wheel", "adm", "disk", "shadow", "kmem", "systemd-journal"),
    *("docker", "lxd", "incus-admin", "libvirt"),
}
NGINX = "leave it out: nginx reaches the socket without it"
_REACHES = "which reaches the sockets of all applications"


def check_group(variable: str, group: str, problems: list[Problem]) -> None:
    """Refuse a group whose members have powers beyond the application's."""
    if group in PRIVILEGED:
        message = f"{group!r} is a group of the system's, to which all of the application's files would belong"
        problems.append(Problem(variable, message, "leave it out for a group of its own, or name one without powers"))


def _words(options: Mapping[str, Any]) -> list[str]:
    return [word for item in items(options.get("SupplementaryGroups")) for word in str(item or "").split()]


def _given(app: Mapping[str, Any], path: str, uwsgi: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    """What adds groups to an application's own, and which."""
    for variable, options in (
        (f"{path}.service_options", app["service_options"]),
        ("uwsgi_unit_options", uwsgi["uwsgi_unit_options"]),
    ):
        yield f"{variable}.SupplementaryGroups", _words(options)


def check_more(
    app: Mapping[str, Any], path: str, nginx_group: str, uwsgi: Mapping[str, Any], problems: list[Problem]
) -> None:
    """Refuse root's group and nginx's among those that a unit adds."""
    for variable, groups in _given(app, path, uwsgi):
        for name in groups:
            problem = None
            if name == nginx_group:
                problem = Problem(variable, f"{name!r} is nginx's group, {_REACHES}", NGINX)
            elif name == "root" or (name.isdigit() and not int(name)):
                problem = Problem(variable, f"{name!r} is root's group", "leave it out, or name one without privileges")
            # What stands in the role's variable is told once, not for each application.
            if problem and problem not in problems:
                problems.append(problem)


def checks(app: Mapping[str, Any], path: str, nginx_group: str, uwsgi: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What only the host can tell: whether a number is that of nginx's group."""
    found = []
    for variable, groups in _given(app, path, uwsgi):
        numbers = [int(name) for name in groups if name.isdigit()]
        if numbers:
            found.append({"kind": "nginx_number", "variable": variable, "numbers": numbers, "nginx_group": nginx_group})
    return found
