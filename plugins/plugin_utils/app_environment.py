"""The environment of an application: a file that only root reads, whose content systemd hands to the application.

In uWSGI's configuration its values would be read by the application's whole group and by whoever shows what changed;
as `Environment=` in the unit everybody on the host could ask systemd for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import layout
from .model import File
from .problem import Problems

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What uWSGI and systemd tell each other this way. uWSGI takes each UWSGI_X for its option x.
RESERVED = re.compile(
    r"(UWSGI_|LISTEN_|WATCHDOG_|SYSTEMD_)"
    r"|(NOTIFY_SOCKET|MAINPID|MANAGERPID|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY)\Z"
)
# systemd drops a variable with one of them, and writes it, value and all, to the journal.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Linux's limit for one of them, its name and the ends of both among it (MAX_ARG_STRLEN).
LONGEST = 131072


def word(value: Any) -> str:
    """A value as the application sees it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def words(env: Mapping[Any, Any]) -> dict[str, str]:
    """All variables, as the application sees them."""
    return {str(name): word(value) for name, value in env.items()}


def check(env: Mapping[Any, Any], path: str, problems: Problems) -> None:
    """Refuse what systemd or Linux would not hand over as it is written. No message repeats a value."""
    for name, value in env.items():
        name = str(name)
        if not NAME.match(name):
            # Somebody may have written NAME=value.
            message = f"{name.partition('=')[0]!r} is no name of a variable, and systemd would drop it"
            problems.add(path, message, "use letters, digits and '_', no digit first, and write NAME: value")
        elif RESERVED.match(name):
            message = "is a name by which uWSGI and systemd talk to each other"
            hint = "state a uWSGI option with options" if name.startswith("UWSGI_") else "give it another name"
            problems.add(f"{path}.{name}", message, hint)
        elif isinstance(value, (Mapping, list, tuple)):
            problems.add(f"{path}.{name}", "is not one text", "write its value in quotes, or put it through to_json")
        else:
            _check_text(word(value), name, f"{path}.{name}", problems)


def _check_text(text: str, name: str, path: str, problems: Problems) -> None:
    if "\n" in text or "\r" in text:
        hint = "put it through b64encode and decode it in the application, or write it on one line"
        problems.add(path, "holds a line break, which not every systemd hands over", hint)
    elif CONTROL.search(text) or not _is_text(text):
        hint = "put it through b64encode and decode it in the application"
        problems.add(path, "holds a character that systemd does not hand over", hint)
    elif len(name.encode()) + len(text.encode()) + 2 > LONGEST:
        problems.add(path, f"is longer than the {LONGEST} bytes that Linux allows", "put it into a file")


def _is_text(text: str) -> bool:
    """Whether systemd takes it for UTF-8; it refuses the code points that Unicode keeps free."""
    return not any(
        0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE for code in map(ord, text)
    )


def path_of(app: Mapping[str, Any], conf_dir: str) -> str | None:
    """Where the application's file is, which all its instances share; None for one without variables."""
    return layout.environment(conf_dir, app["name"]) if app["env"] else None


def content(env: Mapping[Any, Any]) -> str:
    """The file. In double quotes systemd 219 takes any character behind a backslash, and a newer one these four."""
    lines = ['{}="{}"\n'.format(name, re.sub(r'(["\\`$])', r"\\\1", text)) for name, text in words(env).items()]
    return "# Written by Ansible (graceful.wsgi.publish); systemd hands it over.\n" + "".join(lines)


def file(app: Mapping[str, Any], conf_dir: str) -> list[File]:
    """The file; none for an application without variables."""
    path = path_of(app, conf_dir)
    if not path:
        return []
    return [File(dest=path, content=content(app["env"]), mode="0600", secret=True, belongs_to=app["name"])]
