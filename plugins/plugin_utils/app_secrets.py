"""What an application must know and nobody else: ``secrets``, in a file of root's like its environment.

``secrets_file`` is such a file that is on the host already. systemd hands both over, so that whatever has the settings
of the application's unit knows them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from . import app_environment, layout
from .model import Check, File
from .problem import Problems

# What systemd and the throw-away unit of the preflight read as that path and as nothing else.
_PLAIN = re.compile(r"/[A-Za-z0-9_./@:+, -]*[A-Za-z0-9_]\Z")


def check(app: Mapping[str, Any], path: str, conf_dir: str, problems: Problems) -> None:
    """Refuse what would not arrive, or twice. No message repeats a value."""
    app_environment.check(app["secrets"], f"{path}.secrets", problems)
    for name in sorted({str(name) for name in app["secrets"]}.intersection(str(name) for name in app["env"])):
        message = "is in env as well, and the application would see only one of the two"
        problems.add(f"{path}.secrets.{name}", message, "leave it out of env")
    file = app["secrets_file"]
    if file is None:
        return
    where = f"{path}.secrets_file"
    if not _PLAIN.match(file) or posixpath.normpath(file) != file:
        message = f"{file!r} is no absolute path of plain letters" if file else "is empty"
        problems.add(where, message, "write a path such as /etc/shop/secrets, of letters, digits and _./@:+,-")
    elif file in (layout.environment(conf_dir, app["name"]), layout.secrets(conf_dir, app["name"])):
        problems.add(where, f"{file} is the file that the role writes", "name another file, or write secrets")


def paths(app: Mapping[str, Any], conf_dir: str) -> list[str]:
    """The files that systemd hands over beside the environment's."""
    own = [layout.secrets(conf_dir, app["name"])] if app["secrets"] else []
    return ([app["secrets_file"]] if app["secrets_file"] else []) + own


def words(app: Mapping[str, Any]) -> dict[str, str]:
    """All variables that the plan knows, as the application sees them."""
    return app_environment.words(app["env"]) | app_environment.words(app["secrets"])


def contents(app: Mapping[str, Any], conf_dir: str) -> dict[str, str]:
    """{path: content} of all that the role writes for systemd to hand over."""
    return {file.dest: str(file.content) for file in [*app_environment.file(app, conf_dir), *file_of(app, conf_dir)]}


def file_of(app: Mapping[str, Any], conf_dir: str) -> list[File]:
    """The file of the secrets; none for an application without."""
    if not app["secrets"]:
        return []
    path = layout.secrets(conf_dir, app["name"])
    content = app_environment.content(app["secrets"])
    return [File(dest=path, content=content, mode="0600", secret=True, belongs_to=app["name"])]


def checks(app: Mapping[str, Any], path: str) -> list[Check]:
    """What only the host can tell of the file that is there already; see module_utils/secret_checks.py."""
    if not app["secrets_file"]:
        return []
    known = sorted({str(name) for key in ("env", "secrets") for name in app[key]})
    return [
        {"kind": "secrets_file", "variable": f"{path}.secrets_file", "path": app["secrets_file"], "names": known}
    ]
