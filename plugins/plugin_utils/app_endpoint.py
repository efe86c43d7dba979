"""Where an application is reached: its socket, taken apart here and nowhere else."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import layout
from .problem import Problems
from .text_values import HOST_PORT


class Endpoint(NamedTuple):
    """A socket as uWSGI binds it, and what it is made of."""

    socket: str
    # Empty for any address of the host, and for a unix socket, which has no port either.
    host: str
    port: int | None


def parsed(socket: str) -> Endpoint:
    """Of a path, and of what is no socket at all, there is nothing to take apart."""
    found = HOST_PORT.match(socket)
    # nginx writes * for any address, uWSGI does not know it.
    if not found or found["host"] == "*" or not 0 < int(found["port"]) < 65536:
        return Endpoint(socket, "", None)
    return Endpoint(socket, found["host"], int(found["port"]))


def of(app: Mapping[str, Any], instance: str) -> Endpoint:
    """The socket that the application states, or the one that the instance has where it states none."""
    return parsed(app["socket"] or layout.socket(instance))


def check(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse a socket that nginx or uWSGI could not open."""
    socket = app["socket"]
    if not socket or parsed(socket).port is not None:
        return
    if not socket.startswith("/"):
        problems.add(
            f"{path}.socket",
            f"{socket!r} is neither host:port nor an absolute path",
            "write e.g. 127.0.0.1:5051, or leave it out for a unix socket",
        )
    elif posixpath.normpath(socket).startswith(("/tmp/", "/var/tmp/")):
        message = f"{socket!r} lies in a folder that each unit has to itself (PrivateTmp), where nginx does not see it"
        problems.add(f"{path}.socket", message, "leave it out, or put it below /run or the project")
    elif posixpath.normpath(socket).startswith("/run/uwsgi-") and "RuntimeDirectoryMode" not in app["service_options"]:
        # The unit's RuntimeDirectory, which only the application's account may enter.
        message = f"{socket!r} lies in a folder that the unit makes for itself alone, where nginx may not look"
        problems.add(f"{path}.socket", message, "leave it out, or put it below a folder of yours that nginx may enter")
